#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Builds the CPU matrix, runs it and writes bench/results/matrix_cpu.json.

    bench/cpu/run_matrix.py [--processes 3] [--repetitions 3] [--filter REGEX] [--output FILE]
                            [--against PROGRAM=FILE]

`--filter ^short/` is the list that bench/guard.py compares. Repetitions of all points are shuffled,
so that a spell of a busy machine falls on no point alone; processes are several because each is
given other memory. `--against` runs another build of bench_matrix in turn with this one and writes
its figures to FILE.
"""

import argparse
import json
import pathlib
import shlex
import statistics
import sys

from run import ROOT, command, processor

PRESET = "bench"
# What repetitions differ in; the other counters are the same in each.
SAMPLED = ("real_time", "median_ms", "least_ms", "read_before", "read_after")
CONSTANT = (
    "k_bytes", "v_bytes", "multiply_adds", "recall", "expected_recall", "retained_mass",
    "exact_retained_mass", "largest_difference",
)


def flags():
    """The flags that bench_matrix was compiled with, but for paths and warnings."""
    commands = json.loads((ROOT / "build" / PRESET / "compile_commands.json").read_text())
    found = next(c for c in commands if c["file"].endswith("bench/cpu/matrix.cpp"))
    words = shlex.split(found["command"])[1:]
    return [w for w in words if w.startswith(("-O", "-D", "-m", "-std", "-f"))]


def points_of(runs):
    """One entry for each point: its name, what is constant, the samples of all processes."""
    points = {}
    for entry in (e for run in runs for e in run["benchmarks"] if e["run_type"] == "iteration"):
        name = entry["run_name"].removesuffix("/manual_time")
        point = points.setdefault(name, {"name": name})
        if entry.get("error_occurred"):
            point["refused"] = entry["error_message"]
            continue
        point.update({key: entry[key] for key in CONSTANT if key in entry})
        samples = point.setdefault("samples", {key: [] for key in SAMPLED})
        for key in SAMPLED:
            samples[key].append(float(f"{entry[key]:.5g}"))
    return list(points.values())


def run_once(program, words):
    raw = ROOT / "build" / PRESET / "matrix.json"
    command(str(program), *words, f"--benchmark_out={raw}")
    return json.loads(raw.read_text())


def result_of(runs, words):
    context = runs[0]["context"]
    return {
        "device": processor(),
        "threads": int(context["threads"]),
        "caches": context["caches"],
        "date": context["date"],
        "commit": command("git", "rev-parse", "HEAD").strip(),
        "dirty": bool(command("git", "status", "--porcelain", "--untracked-files=no").strip()),
        "command": shlex.join(["bench/cpu/run_matrix.py", *sys.argv[1:]]),
        "program": shlex.join(["bench_matrix", *words]),
        "processes": len(runs),
        "compiler": command("c++", "--version").splitlines()[0],
        "flags": flags(),
        "delay_percent": int(context["delay_percent"]),
        # Of each process the best read, of these the median: a spell of one is not the machine.
        "read_bytes_per_second": statistics.median(float(r["context"]["read_bytes_per_second"]) for r in runs),
        "points": points_of(runs),
    }


def text_of(result):
    """JSON with a line for each point."""
    head = json.dumps({k: v for k, v in result.items() if k != "points"}, indent=1)
    lines = ",\n".join("  " + json.dumps(point) for point in result["points"])
    return head[:-2] + ',\n "points": [\n' + lines + "\n ]\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=3, help="in each process")
    parser.add_argument("--filter", default=".")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "bench/results/matrix_cpu.json")
    parser.add_argument("--against", metavar="PROGRAM=FILE", help="another build, its processes in turn with these")
    options = parser.parse_args()

    command("cmake", "--preset", PRESET)
    command("cmake", "--build", "--preset", PRESET, "--target", "bench_matrix")
    programs = {options.output: ROOT / "build" / PRESET / "bench" / "bench_matrix"}
    if options.against:
        program, _, output = options.against.partition("=")
        programs[pathlib.Path(output)] = pathlib.Path(program).resolve()
    words = [
        f"--benchmark_filter={options.filter}",
        f"--benchmark_repetitions={options.repetitions}",
        "--benchmark_min_time=0.1",
        "--benchmark_enable_random_interleaving=true",
    ]
    runs = {output: [] for output in programs}
    for i in range(options.processes):
        order = list(programs.items())
        for output, program in order if i % 2 == 0 else reversed(order):
            runs[output].append(run_once(program, words))
    for output in programs:
        output.parent.mkdir(parents=True, exist_ok=True)
        result = result_of(runs[output], words)
        if output != options.output:  # built elsewhere, from what is not known here
            result.update(commit=None, dirty=None, compiler=None, flags=None)
        output.write_text(text_of(result))
        print(output)


if __name__ == "__main__":
    main()
