#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Builds the CPU matrix, runs it and writes bench/results/matrix_cpu.json.

    bench/cpu/run_matrix.py [--repetitions 9] [--filter REGEX] [--output FILE]

`--filter ^short/` is the list that bench/guard.py compares. Repetitions of all points are shuffled,
so that a spell of a busy machine falls on no point alone.
"""

import argparse
import json
import pathlib
import shlex
import sys

from run import ROOT, command, processor

PRESET = "bench"
# What repetitions differ in; the other counters are the same in each.
SAMPLED = ("real_time", "median_ms", "least_ms")
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


def points_of(data):
    """One entry for each point: its name, what is constant, its samples."""
    points = {}
    for entry in data["benchmarks"]:
        if entry["run_type"] != "iteration":
            continue
        name = entry["run_name"].removesuffix("/manual_time")
        point = points.setdefault(name, {"name": name})
        if entry.get("error_occurred"):
            point["refused"] = entry["error_message"]
            continue
        point.update({key: entry[key] for key in CONSTANT if key in entry})
        samples = point.setdefault("samples", {key: [] for key in SAMPLED})
        for key in SAMPLED:
            samples[key].append(entry[key])
    return list(points.values())


def text_of(result):
    """JSON with a line for each point."""
    head = json.dumps({k: v for k, v in result.items() if k != "points"}, indent=1)
    lines = ",\n".join("  " + json.dumps(point) for point in result["points"])
    return head[:-2] + ',\n "points": [\n' + lines + "\n ]\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--filter", default=".")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "bench/results/matrix_cpu.json")
    options = parser.parse_args()

    command("cmake", "--preset", PRESET)
    command("cmake", "--build", "--preset", PRESET, "--target", "bench_matrix")
    program = ROOT / "build" / PRESET / "bench" / "bench_matrix"
    raw = ROOT / "build" / PRESET / "matrix.json"
    words = [
        f"--benchmark_filter={options.filter}",
        f"--benchmark_repetitions={options.repetitions}",
        "--benchmark_min_time=0.1",
        "--benchmark_enable_random_interleaving=true",
    ]
    command(str(program), *words, f"--benchmark_out={raw}")
    data = json.loads(raw.read_text())
    context = data["context"]
    result = {
        "device": processor(),
        "threads": int(context["threads"]),
        "caches": context["caches"],
        "date": context["date"],
        "commit": command("git", "rev-parse", "HEAD").strip(),
        "dirty": bool(command("git", "status", "--porcelain", "--untracked-files=no").strip()),
        "command": "bench/cpu/run_matrix.py " + shlex.join(sys.argv[1:]),
        "program": "bench_matrix " + shlex.join(words),
        "compiler": command("c++", "--version").splitlines()[0],
        "flags": flags(),
        "delay_percent": int(context["delay_percent"]),
        "read_bytes_per_second": float(context["read_bytes_per_second"]),
        "points": points_of(data),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text_of(result))
    print(options.output)


if __name__ == "__main__":
    main()
