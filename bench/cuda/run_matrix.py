#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Runs the matrix on a GPU and writes bench/results/matrix_cuda.json.

    bench/cuda/run_matrix.py [--processes 5] [--repetitions 5] [--filter REGEX] [--output FILE]
                             [--torch] [--against PROGRAM=FILE | --delayed PERCENT=FILE]

Needs what `cmake --workflow --preset bench-cuda` built and a GPU, no compiler; `--torch` also
PyTorch, whose attention decode.py then measures behind them all. `--against` runs another
build in turn with this one, `--delayed` the same one with every call made longer by a kernel that
waits; both write its figures to FILE, for bench/guard.py. Exit status 3: the device did not reach the
bandwidths that it has had, or the build lacks combinations, so the run is rejected (it is written all
the same, and says so).
"""

import argparse
import json
import pathlib
import shlex
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import results  # noqa: E402
from results import ROOT  # noqa: E402

# What an H200 has reached; 10 % worse and something else is measured than the device.
SEEN = {"H200": {"read_bytes_per_second": 4.5e12, "gather_bytes_per_second": 4.0e12, "launch_us": 0.53}}
LACKING = "this build has no "  # a point of an incomplete build is not infeasible
CEILINGS = ("read_bytes_per_second", "gather_bytes_per_second", "launch_us")
Q_HEADS, HEAD_DIM = 32, 128
TORCH_POINTS = "1x8K,1x32K,1x128K,1x512K,8x8K,8x32K,8x128K,64x8K,64x32K"
# decode.py's contenders as peers: name, and the axes of its points.
TORCH_PEERS = {
    "cudnn": ("sdpa_cudnn", ("precision", "batch", "kv_len")),
    "flash": ("sdpa_flash", ("precision", "batch", "kv_len")),
    "composed": ("torch_composed", ("precision", "batch", "kv_len", "k")),
    "torch_topk": ("torch_topk", ("batch", "kv_len", "k")),
}


def driver():
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, check=True, text=True, capture_output=True, timeout=20).stdout.split("\n")[0].strip()
    except (OSError, subprocess.SubprocessError):
        return None


def build_of(program):
    """What build.json beside the program says of its library."""
    stamp = program.parent / "build.json"
    return json.loads(stamp.read_text("utf-8")) if stamp.is_file() else {}


def work_of(name, place, k):
    """The fewest bytes and products of a contender of decode.py; place: one of its points."""
    keys = place["batch"] * Q_HEADS * place["kv_len"]  # scores of all query heads
    if name == "torch_topk":
        return {"k_bytes": 4 * keys, "v_bytes": 0, "multiply_adds": 0}
    if name == "composed":
        products = (keys + place["batch"] * Q_HEADS * k) * HEAD_DIM
        return {"k_bytes": place["k_bytes"], "v_bytes": place["v_bytes_query_head"], "multiply_adds": products}
    return {"k_bytes": place["k_bytes"], "v_bytes": place["k_bytes"], "multiply_adds": 2 * keys * HEAD_DIM}


def torch_points(data):
    """Points of what decode.py measured of PyTorch, and what is to be said of that run."""
    points = []
    for place in data["points"]:
        axes = {"precision": "bf16", "batch": place["batch"], "kv_len": place["kv_len"], "k": data["shape"]["k"]}
        for name, (peer, shown) in TORCH_PEERS.items():
            found = place.get("contenders", {}).get(name)
            if found is None:
                continue
            named = "/".join(f"{axis}:{axes[axis]}" for axis in shown)
            point = {"name": f"peer/{peer}/{named}", "axes": {axis: axes[axis] for axis in shown}}
            if "samples_us" in found:
                samples = [results.rounded(us / 1e3) for us in found["samples_us"]]
                point["samples"] = {key: samples for key in ("real_time", "median_ms", "least_ms")}
                point["enqueue_us"] = results.rounded(found["enqueue_us"])
                point.update(work_of(name, place, axes["k"]))
            else:
                point["refused"] = str(found.get("error") or found.get("check", {}).get("problem"))
            points.append(point)
    ours = {
        f"{place['batch']}x{place['kv_len']}": results.rounded(place["contenders"]["query_head"]["us"] / 1e3)
        for place in data["points"]
        if "us" in place.get("contenders", {}).get("query_head", {})
    }
    # The same call in that process, to hold against the point of this program.
    about = {"torch": data.get("torch"), "cudnn": data.get("cudnn"), "query_head_ms": ours}
    return points, about


def complaints(result):
    """Why the run is rejected; empty: it is not."""
    lacking = {p["refused"] for p in result["points"] if LACKING in p.get("refused", "")}
    lines = [f"{refused}; build it with cmake --workflow --preset bench-cuda" for refused in sorted(lacking)]
    for device, seen in SEEN.items():
        for name, before in seen.items() if device in result["device"] else ():
            now = result["ceilings"][name]
            if (before / now if name.endswith("_us") else now / before) < 0.9:
                lines.append(f"{name} is {now:.3g}, 10 % or more worse than {before:.3g}")
    return lines


def result_of(runs, program, words, extra):
    context = runs[0]["context"]
    ceilings = {name: statistics.median(float(r["context"][name]) for r in runs) for name in CEILINGS}
    build = build_of(program)
    points = results.points_of(runs)
    torch = {}
    if extra:
        more, torch = torch_points(extra)
        points += more
    result = {
        "device": context["device"],
        "driver": driver(),
        "cuda": context["cuda"],
        "cub": context["cub"],
        "date": context["date"],
        "commit": build.get("commit"),
        "dirty": build.get("dirty"),
        "compiler": build.get("compiler"),
        "architecture": build.get("architecture"),
        "command": shlex.join(["bench/cuda/run_matrix.py", *sys.argv[1:]]),
        "program": shlex.join(["bench_matrix_cuda", *words]),
        "processes": len(runs),
        "delay_percent": float(context["delay_percent"]),
        "ceilings": ceilings,
        **({"torch_run": torch} if torch else {}),
        "points": results.finish(points, ceilings),
    }
    rejected = complaints(result)
    if rejected:
        result["rejected"] = rejected
    return result


def summary(result):
    """A line for each point, for whoever waits."""
    for point in result["points"]:
        if "refused" in point:
            print(f"{'-':>9}  {point['name']}: {point['refused']}")
        elif "median_ms" in point:
            share = f"{point['read_share']:4.0%}" if "read_share" in point else "    "
            print(f"{point['median_ms'] * 1e3:9.1f} us {share} +-{point['spread']:4.0%}  {point['name']}")
    print({name: float(f"{value:.4g}") for name, value in result["ceilings"].items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = ROOT / "build/bench-cuda/bench/cuda"
    parser.add_argument("--program", type=pathlib.Path, default=folder / "bench_matrix_cuda")
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=5, help="in each process")
    parser.add_argument("--filter", default=".")
    parser.add_argument("--torch", action="store_true", help="also PyTorch's attention, by decode.py")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "bench/results/matrix_cuda.json")
    parser.add_argument("--against", metavar="PROGRAM=FILE")
    parser.add_argument("--delayed", metavar="PERCENT=FILE")
    parser.add_argument("--patience", type=float, default=240.0, help="seconds that a process may take")
    options = parser.parse_args()
    if options.against and options.delayed:
        parser.error("one of --against and --delayed")

    words = results.words_for(options.filter, options.repetitions)
    programs = {options.output: [str(options.program.resolve())]}
    if options.against:
        program, _, output = options.against.partition("=")
        programs[pathlib.Path(output)] = [str(pathlib.Path(program).resolve())]
    if options.delayed:
        percent, _, output = options.delayed.partition("=")
        programs[pathlib.Path(output)] = [str(options.program.resolve()), f"--delay={percent}"]
    raw = options.output.with_suffix(".raw.json")
    raw.parent.mkdir(parents=True, exist_ok=True)

    def run_once(program):
        # Its standard error names the point that is prepared: the last one where it hangs.
        subprocess.run(
            [*program, *words, f"--benchmark_out={raw}"], check=True, stdout=subprocess.DEVNULL, timeout=options.patience
        )
        return json.loads(raw.read_text("utf-8"))

    runs, turns = results.run_in_turn(programs, options.processes, run_once)
    raw.unlink()
    extra = None
    rejected = []
    if options.torch:
        made = options.output.with_suffix(".torch.json")
        only = "query_head|" + "|".join(TORCH_PEERS)
        decode = [sys.executable, str(HERE / "decode.py"), "--points", TORCH_POINTS, "--only", only, "--output", str(made)]
        library = options.program.resolve().parent / "libtka_bench.so"
        try:
            subprocess.run([*decode, "--library", str(library)], timeout=options.patience)
            extra = json.loads(made.read_text("utf-8"))
            rejected += extra.get("rejected", [])
        except (OSError, ValueError, subprocess.SubprocessError) as problem:  # the other points stand
            rejected.append(f"nothing of PyTorch: {problem}")
        made.unlink(missing_ok=True)
    for output, program in programs.items():
        result = result_of(runs[output], pathlib.Path(program[0]), words, extra if output == options.output else None)
        result.update(turns)
        results.write(output, result)
        rejected += result.get("rejected", [])
    summary(result_of(runs[options.output], options.program, words, extra))
    for line in rejected:
        print("REJECT:", line)
    return 3 if rejected else 0


if __name__ == "__main__":
    sys.exit(main())
