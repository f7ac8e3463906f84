#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""The one declaration of what is measured: policies, the points of each machine, peers.

    bench/points.py cpu|cuda [--suite NAME]... [--output FOLDER] [--only PREFIX]...

Lists the combinations of policies (what is compiled) and points (what is measured). With `--output`
it writes sources for CMake, which calls it when it configures: the recorded scores, and on the CPU
points.inc and combinations.inc, on CUDA a file for each combination, where one takes up to 22 s.
The driver of the GPU, cuda/run.py, reads the points from here when it runs.
"""

import argparse
import pathlib
import struct
from functools import partial

HERE = pathlib.Path(__file__).resolve().parent

# ---- policies: a line each -------------------------------------------------------------------------

SELECTIONS = {
    "exact_radix": "tka::exact_radix",
    "bucketed": "tka::bucketed",
    "lightning_indexer": "tka::lightning_indexer<tka::exact_radix>",
    "lightning_indexer_bucketed": "tka::lightning_indexer<tka::bucketed>",
    "stored_scores": "tka::stored_scores<tka::exact_radix>",  # these two: a selection alone
    "stored_scores_bucketed": "tka::stored_scores<tka::bucketed>",
}
PRECISIONS = ("fp32", "fp16", "bf16", "fp8")
SCOPES = ("query_head", "kv_group", "all_heads")
KV = ("contiguous", "paged")
SCORES = (
    "normal", "uniform", "narrow", "zeros_94", "all_equal", "ascending", "descending", "recorded",
)  # bench/scores.hpp makes them
EXACT = {  # what an approximate one is held against
    "bucketed": "exact_radix", "lightning_indexer_bucketed": "lightning_indexer", "stored_scores_bucketed": "stored_scores",
}
TASKS = ("attend", "select", "attend_selected")

# ---- points: a base for each machine, and what is varied around it ---------------------------------

K = 1024
BASE = {
    "selection": "exact_radix", "recall": 0.0, "precision": "bf16", "scope": "query_head", "kv": "contiguous",
    "batch": 1, "kv_len": 32 * K, "k": 2048, "bound": "exact", "scores": "normal", "cache": "cold",
    "short": False,  # only CPU: in the list that two builds are compared by
}
HEADS = "32-8x128"  # query heads - key heads x dimension, or qk_dim-v_dim
# Axes of the GPU that a name shows where they differ from this.
MORE = {"task": "attend", "heads": HEADS, "q_len": 1, "metrics": "selected", "scratch": "own", "route": "own"}
SCRATCH = {"own": 0, "4G": 4 << 30}  # bytes; 0: the library's own limit
CUDA_BASE = {**BASE, "batch": 8, **MORE}
PAGE_SIZE, INDEX_HEADS = 64, 64


def bucketed(recall=0.99, **axes):
    return {"selection": "bucketed", "recall": recall, **axes}


def indexer(recall=0.0, **axes):
    name = "lightning_indexer_bucketed" if recall else "lightning_indexer"
    return {"selection": name, "recall": recall, "scope": "all_heads", **axes}


def peer(name, **axes):
    stored = {"selection": "stored_scores"} if name in SELECT_PEERS else {}
    return {"peer": name, **stored, **axes}


DENSE_PEERS = ("sdpa_cudnn", "sdpa_flash")
SELECT_PEERS = ("torch_topk", "cub_segmented_radix_sort", "cub_batched_topk")
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


def cuda_matrix():
    """Each axis varied around the base."""
    sizes = [(1, n * K) for n in (8, 32, 128, 512, 1024)]
    sizes += [(8, n * K) for n in (8, 32, 128, 1024)] + [(64, n * K) for n in (8, 32, 128)]
    sizes += [(256, 8 * K), (256, 32 * K), (256, 1024 * K)]  # the last fits no memory, and says so
    for batch, kv_len in sizes:
        yield {"batch": batch, "kv_len": kv_len}
    for batch, kv_len in sizes:
        if kv_len > 128 * K or batch * kv_len > 64 * 32 * K:
            continue
        yield {"batch": batch, "kv_len": kv_len, "scope": "kv_group"}
        yield bucketed(batch=batch, kv_len=kv_len)
        yield indexer(batch=batch, kv_len=kv_len)
    yield bucketed(scope="kv_group")
    for precision in ("fp32", "fp16", "fp8"):
        yield {"precision": precision}
    yield {"precision": "fp8", "scope": "kv_group"}
    yield bucketed(precision="fp8")
    for recall in (0.9, 0.99, 0.999):
        yield indexer(recall)
    for recall in (0.8, 0.9, 0.95, 0.999, 1.0):
        yield bucketed(recall)
    yield {"kv": "paged"}
    yield {"kv": "paged", "batch": 64, "kv_len": 8 * K}
    for k in (64, 256, 1024, 4096):
        yield {"k": k}
    for batch, kv_len in ((1, 8 * K), (8, 32 * K), (64, 8 * K)):
        yield {"batch": batch, "kv_len": kv_len, "bound": "1M"}
    for axes in ({}, {"scope": "kv_group"}):
        yield {"batch": 1, "kv_len": 8 * K, "cache": "warm", **axes}
    for scores in SCORES[1:]:
        yield {"scores": scores}
        yield bucketed(scores=scores)
    for batch, kv_len in ((1, 128 * K), (8, 32 * K), (64, 8 * K)):
        yield {"selection": "stored_scores", "batch": batch, "kv_len": kv_len}
        yield from map(partial(peer, batch=batch, kv_len=kv_len), SELECT_PEERS)
    for batch, kv_len in sizes:
        if kv_len <= 512 * K and batch * kv_len <= 64 * 32 * K:
            yield from map(partial(peer, batch=batch, kv_len=kv_len), (*DENSE_PEERS, "torch_composed"))
    for scope in ("query_head", "kv_group"):
        for task in ("select", "attend_selected"):
            yield {"task": task, "scope": scope}
    for route in ("staged", "looped"):
        for batch, kv_len in ((1, 8 * K), (8, 32 * K)):
            yield {"batch": batch, "kv_len": kv_len, "route": route}



def decode():
    """One query token: the sizes and budgets that a dense attention is compared at."""
    sizes = [(1, n * K) for n in (8, 32, 128, 512)]
    sizes += [(batch, n * K) for batch in (8, 64) for n in (8, 32, 128)]
    for batch, kv_len in sizes:
        at = {"batch": batch, "kv_len": kv_len}
        for k in (2048, 512):
            yield {**at, "k": k}
        yield {**at, "scope": "kv_group"}
        yield from map(partial(peer, **at), DENSE_PEERS)
        if batch * kv_len <= 64 * 32 * K:
            yield peer("torch_composed", **at)
    for batch, kv_len in ((8, 128 * K), (64, 32 * K)):
        yield {"precision": "fp8", "batch": batch, "kv_len": kv_len}
    for batch, kv_len in ((1, 8 * K), (8, 32 * K), (64, 8 * K)):
        at = {"batch": batch, "kv_len": kv_len}
        yield {**at, "kv": "paged"}
        yield {**at, "bound": "1M"}
        yield {**at, "metrics": "visible"}
    yield {"q_len": 4}
    for kv_len in (2 * K, 4 * K):  # all keys are kept; nearly all
        yield {"kv_len": kv_len}
        yield peer("sdpa_cudnn", batch=8, kv_len=kv_len)


def select():
    """A selection alone, of a row of stored scores for each sequence."""
    row = {"heads": "1-1x128"}
    sizes = [(batch, n * K) for batch, lengths in (
        (1, (8, 128, 1024)), (8, (32, 128, 1024)), (64, (8, 32, 128, 1024)), (256, (32, 128)),
    ) for n in lengths]
    cells = [{"batch": batch, "kv_len": kv_len, "cache": cache} for batch, kv_len in sizes for cache in ("warm", "cold")]
    cells.append({"batch": 64, "kv_len": 128 * K, "k": 4096, "cache": "warm"})
    for scores in ("uniform", "narrow", "zeros_94", "ascending", "descending", "all_equal"):
        cells.append({"batch": 64, "kv_len": 128 * K, "scores": scores, "cache": "warm"})
    for cell in cells:
        yield {"selection": "stored_scores", **row, **cell}
        for recall in (0.9, 0.99) if cell["cache"] == "warm" and cell["kv_len"] >= 32 * K else ():
            yield {"selection": "stored_scores_bucketed", "recall": recall, **row, **cell}
        if cell["cache"] == "warm":
            yield from map(partial(peer, **row, **cell), SELECT_PEERS)


def prefill():
    """Causal prompts; what is late in a longer sequence; one in a hundred keys."""
    for q_len, kv_len, k in ((4 * K, 4 * K, 2048), (8 * K, 8 * K, 2048), (32 * K, 32 * K, 2048), (32 * K, 32 * K, 328), (2 * K, 32 * K, 2048)):
        at = {"batch": 1, "q_len": q_len, "kv_len": kv_len}
        yield {**at, "k": k}
        if q_len < 32 * K:
            yield {**at, "k": k, "scratch": "4G"}
        yield from map(partial(peer, **at), DENSE_PEERS)
        if q_len == kv_len:
            yield peer("sdpa_cudnn_training", **at)


def attend_selected():
    """Positions that are given, random and ascending: for each group of heads, or for all heads of MLA."""
    for batch in (1, 16, 64):
        for k in (256, 1024, 2048, 4096):
            yield {"task": "attend_selected", "scope": "kv_group", "batch": batch, "kv_len": 128 * K, "k": k}
        for heads in ("64-1x576-512", "128-1x576-512"):
            for k in (512, 2048):
                yield {**MLA, "heads": heads, "batch": batch, "k": k}


MLA = {"task": "attend_selected", "scope": "all_heads", "heads": "128-1x576-512", "kv_len": 32 * K}


def paired():
    """What two builds are compared by: each kind of call, where it is bound by different things."""
    for batch, kv_len in ((1, 8 * K), (1, 32 * K), (1, 128 * K), (8, 8 * K), (8, 32 * K), (8, 128 * K), (64, 8 * K)):
        for scope in ("query_head", "kv_group"):
            yield {"batch": batch, "kv_len": kv_len, "scope": scope}
    for batch, kv_len in ((1, 32 * K), (8, 32 * K), (64, 8 * K)):
        at = {"batch": batch, "kv_len": kv_len}
        yield {**at, "precision": "fp8"}
        yield {**at, "kv": "paged"}
        yield bucketed(**at)
        yield indexer(**at)
        yield {**at, "selection": "stored_scores"}
    for batch, kv_len in ((1, 128 * K), (64, 128 * K)):
        yield {"selection": "stored_scores", "heads": "1-1x128", "batch": batch, "kv_len": kv_len, "cache": "warm"}
    for batch in (1, 16):
        yield {"task": "attend_selected", "scope": "kv_group", "batch": batch, "kv_len": 128 * K}
        yield {**MLA, "batch": batch}
    yield {"k": 512}
    yield {"bound": "1M"}
    yield {"batch": 1, "q_len": 4 * K, "kv_len": 4 * K}


def dense_columns(*peers):
    return {name: {"peer": name} for name in peers}


# Short tables of the suites: what a row has, and {column: what it has beside}.
TABLES = {
    "decode": (("batch", "kv_len"), {
        "k2048": {}, "k512": {"k": 512}, "kv_group": {"scope": "kv_group"}, "fp8": {"precision": "fp8"},
        "paged": {"kv": "paged"}, "bound_1m": {"bound": "1M"}, "visible": {"metrics": "visible"},
        **dense_columns(*DENSE_PEERS, "torch_composed"),
    }),
    "select": (("batch", "kv_len", "k", "scores", "cache"), {
        "tka": {"selection": "stored_scores", "heads": "1-1x128"},
        **{f"bucketed_{r}": {"selection": "stored_scores_bucketed", "recall": r, "heads": "1-1x128"} for r in (0.9, 0.99)},
        **{name: {"peer": name, "heads": "1-1x128"} for name in SELECT_PEERS},
    }),
    "prefill": (("batch", "kv_len", "q_len", "k"), {
        "tka": {}, "scratch_4g": {"scratch": "4G"}, **dense_columns(*DENSE_PEERS, "sdpa_cudnn_training"),
    }),
    "attend_selected": (("batch", "kv_len", "scope", "heads"), {
        f"k{k}": {"task": "attend_selected", "k": k} for k in (256, 512, 1024, 2048, 4096)
    }),
}

# ---- what follows from these -----------------------------------------------------------------------

MACHINES = {
    "cpu": (BASE, (cpu_points,)),
    "cuda": (CUDA_BASE, (cuda_matrix, decode, select, prefill, attend_selected, paired)),
}
CUDA_SUITES = {"matrix": cuda_matrix} | {f.__name__: f for f in MACHINES["cuda"][1][1:]}
PEER_AXES = {
    "dense_eigen": ("precision", "batch", "kv_len"),
    **dict.fromkeys((*DENSE_PEERS, "sdpa_cudnn_training"), ("precision", "batch", "kv_len")),
    "torch_composed": ("precision", "batch", "kv_len", "k"),
    **dict.fromkeys(SELECT_PEERS, ("batch", "kv_len", "k")),
}


def points(machine, suites=()):
    """Every point of these suites, or of all, with all its axes, each once."""
    base, every = MACHINES[machine]
    found = {}
    for axes in (axes for suite in ([CUDA_SUITES[s] for s in suites] or every) for axes in suite()):
        unknown = set(axes) - set(base) - {"peer"}
        if unknown:
            raise SystemExit(f"bench/points.py: no axis {', '.join(unknown)}")
        point = {**base, **axes}
        before = found.setdefault(name_of(point).partition("/")[2], point)
        before["short"] = before["short"] or point["short"]
    return list(found.values())


def selection_text(point):
    return point["selection"] + (f"_{point['recall']:g}" if point["recall"] else "")


def name_of(point):
    shown = {**point, "selection": selection_text(point)}
    more = [a for a in MORE if point.get(a, MORE[a]) != MORE[a]]
    if "peer" in point:
        more += [a for a in ("scores", "cache") if point[a] != BASE[a]]
        axes = [*PEER_AXES[point["peer"]], *more]
        return f"peer/{point['peer']}/" + "/".join(f"{a}:{shown[a]}" for a in axes)
    axes = [a for a in BASE if a not in ("recall", "short")] + more
    return ("short/" if point["short"] else "full/") + "/".join(f"{a}:{shown[a]}" for a in axes)


def heads_of(point):
    """q_heads, kv_heads, qk_dim, v_dim."""
    heads, _, dims = point.get("heads", HEADS).partition("x")
    qk_dim, _, v_dim = dims.partition("-")
    q_heads, _, kv_heads = heads.partition("-")
    return int(q_heads), int(kv_heads), int(qk_dim), int(v_dim or qk_dim)


def combination_of(point, selection=None):
    """What is compiled for a point: task/selection/scope/precision/kv."""
    if "peer" in point:
        return f"peer/{point['peer']}/{point['precision']}"
    selection = selection or point["selection"]
    task = "select" if selection.startswith("stored_scores") else point.get("task", MORE["task"])
    return f"{task}/{selection}/{point['scope']}/{point['precision']}/{point['kv']}"


def reference_of(point):
    """The exact combination that an approximate one is compared with, on the CPU."""
    exact = EXACT.get(point.get("selection"))
    return combination_of(point, exact) if exact and "peer" not in point else ""


def combinations(machine, prefixes=()):
    """The combinations to compile, each once; those that begin with one of the prefixes."""
    of = (combination_of,) if machine == "cuda" else (combination_of, reference_of)
    wanted = [c for p in points(machine) if "peer" not in p for c in (f(p) for f in of) if c]
    return [c for c in dict.fromkeys(wanted) if not prefixes or c.startswith(tuple(prefixes))]


def types_of(combination):
    """Task, and the arguments selection, precision and form of its call."""
    task, selection, scope, precision, kv = combination.split("/")
    if task not in TASKS or scope not in SCOPES or precision not in PRECISIONS or kv not in KV:
        raise SystemExit(f"bench/points.py: {combination}: not task/selection/scope/precision/kv")
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
    parser.add_argument("--suite", action="append", default=[], choices=CUDA_SUITES, help="only points of these; on CUDA")
    parser.add_argument("--output", type=pathlib.Path, help="write sources here and list those to compile")
    parser.add_argument("--only", action="append", default=[], metavar="PREFIX", help="combinations that begin so")
    options = parser.parse_args()
    chosen = combinations(options.machine, options.only)
    if not chosen:
        raise SystemExit(f"bench/points.py: no combination begins with {' or '.join(options.only)}")
    if not options.output:
        print(*chosen, *map(name_of, points(options.machine, options.suite)), sep="\n")
        return
    write(options.output / "recorded_scores.cpp", recorded_source())
    if options.machine == "cpu":
        write(options.output / "points.inc", "".join(map(point_line, points("cpu"))))
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
