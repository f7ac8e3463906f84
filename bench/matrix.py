#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""The one declaration of what is measured: policies, the points of each machine, peers.

    bench/matrix.py cpu|cuda [--output FOLDER] [--only PREFIX]...

Lists the combinations of policies (what is compiled) and points (what is measured). With `--output`
it writes them as sources for CMake, which calls it when it configures: points.inc, the recorded
scores, and combinations.inc on the CPU or a file for each combination on CUDA, where one takes half
a minute.
"""

import argparse
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent

# ---- policies: a line each -------------------------------------------------------------------------

SELECTIONS = {
    "exact_radix": "tka::exact_radix",
    "bucketed": "tka::bucketed",
    "lightning_indexer": "tka::lightning_indexer<tka::exact_radix>",
    "lightning_indexer_bucketed": "tka::lightning_indexer<tka::bucketed>",
    "stored_scores": "tka::stored_scores<tka::exact_radix>",  # measured as a selection alone
}
PRECISIONS = ("fp32", "fp16", "bf16", "fp8")
SCOPES = ("query_head", "kv_group", "all_heads")
KV = ("contiguous", "paged")
SCORES = (
    "normal", "uniform", "narrow", "zeros_94", "all_equal", "ascending", "descending", "recorded",
)  # bench/scores.hpp makes them
EXACT = {"bucketed": "exact_radix", "lightning_indexer_bucketed": "lightning_indexer"}
TASKS = ("attend", "select", "attend_selected")

# ---- points: a base for each machine, and what is varied around it ---------------------------------

K = 1024
BASE = {
    "selection": "exact_radix", "recall": 0.0, "precision": "bf16", "scope": "query_head", "kv": "contiguous",
    "batch": 1, "kv_len": 32 * K, "k": 2048, "bound": "exact", "scores": "normal", "cache": "cold",
    "short": False,  # in the list that two builds are compared by
}
CUDA_BASE = {**BASE, "batch": 8}


def bucketed(recall=0.99, **axes):
    return {"selection": "bucketed", "recall": recall, **axes}


def indexer(recall=0.0, **axes):
    name = "lightning_indexer_bucketed" if recall else "lightning_indexer"
    return {"selection": name, "recall": recall, "scope": "all_heads", **axes}


def peer(name, **axes):
    return {"peer": name, **axes}


CPU_DENSE = [(1, 32 * K), (1, 8 * K), (1, 128 * K), (4, 32 * K), (16, 8 * K)]  # of PyTorch too


def cpu_points():
    for precision in PRECISIONS:
        listed = precision == "bf16"
        yield {"precision": precision, "short": True}
        yield {"precision": precision, "scope": "kv_group", "short": listed}
        yield bucketed(precision=precision, short=listed)
        yield bucketed(precision=precision, scope="kv_group", short=listed)
    yield indexer(short=True)
    for kv_len in (8 * K, 128 * K):
        yield indexer(kv_len=kv_len)
    for recall in (0.9, 0.99, 0.999):
        yield indexer(recall)
    for recall in (0.8, 0.9, 0.95, 0.999, 1.0):  # a plan refuses 1, and says so
        yield bucketed(recall)
    yield {"kv": "paged", "short": True}
    for kv_len in (8 * K, 128 * K):
        yield {"kv_len": kv_len, "short": True}
        yield {"kv_len": kv_len, "scope": "kv_group"}
        yield bucketed(kv_len=kv_len)
    yield {"batch": 4, "short": True}
    yield {"batch": 16, "kv_len": 8 * K}
    yield {"batch": 16, "kv_len": 8 * K, "scope": "kv_group"}
    for batch, kv_len in ((1, 1024 * K), (64, 8 * K), (256, 8 * K)):  # fit no memory, and say so
        yield {"batch": batch, "kv_len": kv_len}
    for k in (64, 256, 1024, 4096):
        yield {"k": k, "short": k == 64}
    yield {"bound": "1M", "short": True}
    for scores in SCORES[1:]:
        yield {"scores": scores, "short": scores in ("narrow", "zeros_94", "ascending", "recorded")}
        yield bucketed(scores=scores)
    for precision in ("fp32", "bf16"):
        for batch, kv_len in CPU_DENSE:
            yield peer("dense_eigen", precision=precision, batch=batch, kv_len=kv_len)


def cuda_points():
    sizes = [(1, n * K) for n in (8, 32, 128, 512, 1024)]
    sizes += [(8, n * K) for n in (8, 32, 128, 1024)] + [(64, n * K) for n in (8, 32, 128)]
    sizes += [(256, 8 * K), (256, 32 * K), (256, 1024 * K)]  # the last fits no memory, and says so
    for batch, kv_len in sizes:
        listed = (batch, kv_len) in ((1, 8 * K), (1, 128 * K), (8, 32 * K), (64, 8 * K))
        yield {"batch": batch, "kv_len": kv_len, "short": listed}
    for batch, kv_len in sizes:
        if kv_len > 128 * K or batch * kv_len > 64 * 32 * K:
            continue
        base = (batch, kv_len) == (8, 32 * K)
        yield {"batch": batch, "kv_len": kv_len, "scope": "kv_group", "short": base}
        yield bucketed(batch=batch, kv_len=kv_len, short=base)
        yield indexer(batch=batch, kv_len=kv_len, short=base)
    yield bucketed(scope="kv_group", short=True)
    for precision in ("fp32", "fp16", "fp8"):
        yield {"precision": precision, "short": True}
    yield {"precision": "fp8", "scope": "kv_group"}
    yield bucketed(precision="fp8")
    for recall in (0.9, 0.99, 0.999):
        yield indexer(recall)
    for recall in (0.8, 0.9, 0.95, 0.999, 1.0):
        yield bucketed(recall)
    yield {"kv": "paged", "short": True}
    yield {"kv": "paged", "batch": 64, "kv_len": 8 * K}
    for k in (64, 256, 1024, 4096):
        yield {"k": k, "short": k in (64, 4096)}
    for batch, kv_len in ((1, 8 * K), (8, 32 * K), (64, 8 * K)):
        yield {"batch": batch, "kv_len": kv_len, "bound": "1M", "short": batch == 8}
    for axes in ({}, {"scope": "kv_group"}):
        yield {"batch": 1, "kv_len": 8 * K, "cache": "warm", **axes}
    for scores in SCORES[1:]:
        yield {"scores": scores, "short": scores in ("narrow", "zeros_94", "recorded")}
        yield bucketed(scores=scores)
    for batch, kv_len in ((1, 128 * K), (8, 32 * K), (64, 8 * K)):
        yield {"selection": "stored_scores", "batch": batch, "kv_len": kv_len, "short": batch == 8}
        yield peer("cub_segmented_radix_sort", batch=batch, kv_len=kv_len)
        yield peer("cub_batched_topk", batch=batch, kv_len=kv_len)


# Compiled for CUDA beside what its points need: stages that bench/cuda/decode.py measures.
CUDA_STAGES = [
    f"{task}/{selection}/{scope}/bf16/contiguous"
    for task, selection in (("select", "exact_radix"), ("attend_selected", "exact_radix"))
    for scope in ("query_head", "kv_group")
]

# ---- what follows from these -----------------------------------------------------------------------

MACHINES = {"cpu": (BASE, cpu_points), "cuda": (CUDA_BASE, cuda_points)}
PEER_AXES = {
    "dense_eigen": ("precision", "batch", "kv_len"),
    "cub_segmented_radix_sort": ("batch", "kv_len", "k"),
    "cub_batched_topk": ("batch", "kv_len", "k"),
}


def points(machine):
    """Every point with all its axes, each once."""
    base, listed = MACHINES[machine]
    found = {}
    for axes in listed():
        unknown = set(axes) - set(base) - {"peer"}
        if unknown:
            raise SystemExit(f"bench/matrix.py: no axis {', '.join(unknown)}")
        point = {**base, **axes}
        before = found.setdefault(name_of(point).partition("/")[2], point)
        before["short"] = before["short"] or point["short"]
    return list(found.values())


def selection_text(point):
    return point["selection"] + (f"_{point['recall']:g}" if point["recall"] else "")


def name_of(point):
    if "peer" in point:
        return f"peer/{point['peer']}/" + "/".join(f"{axis}:{point[axis]}" for axis in PEER_AXES[point["peer"]])
    shown = {**point, "selection": selection_text(point)}
    return ("short/" if point["short"] else "full/") + "/".join(f"{a}:{shown[a]}" for a in BASE if a not in ("recall", "short"))


def combination_of(point, selection=None):
    """What is compiled for a point: task/selection/scope/precision/kv."""
    if "peer" in point:
        return f"peer/{point['peer']}/{point['precision']}"
    selection = selection or point["selection"]
    task = "select" if selection == "stored_scores" else "attend"
    return f"{task}/{selection}/{point['scope']}/{point['precision']}/{point['kv']}"


def reference_of(point):
    """The exact combination that an approximate one is compared with."""
    exact = EXACT.get(point.get("selection"))
    return combination_of(point, exact) if exact and "peer" not in point else ""


def combinations(machine, prefixes=()):
    """The combinations to compile, each once; those that begin with one of the prefixes."""
    wanted = [c for p in points(machine) if "peer" not in p for c in (combination_of(p), reference_of(p)) if c]
    if machine == "cuda":
        wanted += CUDA_STAGES
    return [c for c in dict.fromkeys(wanted) if not prefixes or c.startswith(tuple(prefixes))]


def types_of(combination):
    """Task, and the arguments selection, precision and form of its call."""
    task, selection, scope, precision, kv = combination.split("/")
    if task not in TASKS or scope not in SCOPES or precision not in PRECISIONS or kv not in KV:
        raise SystemExit(f"bench/matrix.py: {combination}: not task/selection/scope/precision/kv")
    return task, SELECTIONS[selection], f"tka::{precision}", f"tka::form<tka::scope::{scope}, tka::kv::{kv}>"


def point_line(point):
    bound = 1 << 20 if point["bound"] == "1M" else 0
    strings = ", ".join(f'"{s}"' for s in (name_of(point), combination_of(point), reference_of(point), point["scores"]))
    warm = "true" if point["cache"] == "warm" else "false"
    numbers = f"{point['recall']:.3f}f, {point['batch']}, {point['kv_len']}, {point['k']}, {bound}, {warm}"
    return f"{{{strings}, {numbers}}},\n"


def recorded_source():
    """bench/recorded/scores.bin, which record.cpp wrote, as an array."""
    data = (HERE / "recorded" / "scores.bin").read_bytes()
    length = 8192
    rows = []
    for at in range(0, len(data), 8 + length):
        low, step = struct.unpack_from("<ff", data, at)
        levels = ",".join(map(str, data[at + 8 : at + 8 + length]))
        rows.append(f"{{{low!r}f, {step!r}f, {{{levels}}}}}")
    declared = "std::array<bench::recorded_row, bench::recorded_rows> const bench::recorded_scores"
    return f'#include "scores.hpp"\n{declared}{{{{\n' + ",\n".join(rows) + "}};\n"


def write(path, text):
    """Leaves a file alone that is right already, so that nothing is compiled anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("machine", choices=MACHINES)
    parser.add_argument("--output", type=pathlib.Path, help="write sources here and list those to compile")
    parser.add_argument("--only", action="append", default=[], metavar="PREFIX", help="combinations that begin so")
    options = parser.parse_args()
    chosen = combinations(options.machine, options.only)
    if not chosen:
        raise SystemExit(f"bench/matrix.py: no combination begins with {' or '.join(options.only)}")
    if not options.output:
        print(*chosen, *map(name_of, points(options.machine)), sep="\n")
        return
    write(options.output / "points.inc", "".join(map(point_line, points(options.machine))))
    write(options.output / "recorded_scores.cpp", recorded_source())
    if options.machine == "cpu":
        lines = [f'TKA_MATRIX_COMBINATION("{c}", {", ".join(types_of(c)[1:])})\n' for c in chosen]
        write(options.output / "combinations.inc", "".join(lines))
        return
    for combination in chosen:
        path = options.output / (combination.replace("/", "_") + ".cu")
        types = ", ".join(types_of(combination))
        write(path, f'#include "instance.cuh"\nTKA_BENCH_INSTANCE("{combination}", {types})\n')
        print(path)


if __name__ == "__main__":
    main()
