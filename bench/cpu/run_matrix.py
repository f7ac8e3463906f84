#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Builds the CPU matrix, runs it and writes bench/results/matrix_cpu.json.

    bench/cpu/run_matrix.py [--processes 3] [--repetitions 3] [--filter REGEX] [--output FILE]
                            [--against PROGRAM=FILE] [--no-torch]

`--filter ^short/` is the list that bench/guard.py compares. Repetitions of all points are shuffled,
so that a spell of a busy machine falls on no point alone; processes are several because each is
given other memory. `--against` runs another build of bench_matrix in turn with this one, a coin says
which is first in each round, and writes its figures to FILE. Where PyTorch is installed its dense attention is measured too, over the same inputs.
"""

import argparse
import importlib.util
import json
import pathlib
import shlex
import shutil
import sys

from run import ROOT, processor

sys.path.insert(0, str(ROOT / "bench"))
import guard  # noqa: E402
import results  # noqa: E402
from results import command  # noqa: E402

PRESET = "bench"


def flags():
    """The flags that bench_matrix was compiled with, but for paths and warnings."""
    commands = json.loads((ROOT / "build" / PRESET / "compile_commands.json").read_text())
    found = next(c for c in commands if c["file"].endswith("bench/cpu/matrix.cpp"))
    words = shlex.split(found["command"])[1:]
    return [w for w in words if w.startswith(("-O", "-D", "-m", "-std", "-f"))]


def result_of(runs, words, torch_points):
    context = runs[0]["context"]
    points = results.points_of(runs)
    # What repetitions met, not the best read: memory has spells in which it is nearly twice as fast.
    met = guard.usual_rate(guard.of_matrix({"points": points}, "median_ms"))
    ceilings = {"read_bytes_per_second": met or float(context["read_bytes_per_second"])}
    return {
        "device": processor(),
        "threads": int(context["threads"]),
        "caches": [f"L{c['level']} {c['type']} {c['size'] >> 10} KiB" for c in context["caches"]],
        "date": context["date"],
        "commit": command("git", "rev-parse", "HEAD").strip(),
        "dirty": bool(command("git", "status", "--porcelain", "--untracked-files=no").strip()),
        "command": shlex.join(["bench/cpu/run_matrix.py", *sys.argv[1:]]),
        "program": shlex.join(["bench_matrix", *words]),
        "processes": len(runs),
        "compiler": command("c++", "--version").splitlines()[0],
        "flags": flags(),
        "delay_percent": float(context["delay_percent"]),
        "ceilings": ceilings,
        "points": results.finish(points + torch_points, ceilings),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=3, help="in each process")
    parser.add_argument("--filter", default=".")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "bench/results/matrix_cpu.json")
    parser.add_argument("--against", metavar="PROGRAM=FILE", help="another build, its processes in turn with these")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out where it is installed")
    options = parser.parse_args()

    command("cmake", "--preset", PRESET)
    command("cmake", "--build", "--preset", PRESET, "--target", "bench_matrix")
    raw = ROOT / "build" / PRESET / "matrix.json"
    programs = {options.output: ROOT / "build" / PRESET / "bench" / "bench_matrix"}
    if options.against:
        program, _, output = options.against.partition("=")
        programs[pathlib.Path(output)] = pathlib.Path(program).resolve()
    words = [*results.words_for(options.filter, options.repetitions), "--benchmark_min_time=0.1"]
    peer = importlib.util.find_spec("torch") and not options.no_torch and not options.against
    torch_points = {}

    inputs = raw.with_name("inputs")
    if peer:
        inputs.mkdir(exist_ok=True)
        command(str(programs[options.output]), "--write-inputs", str(inputs))

    def run_once(program):
        command(str(program), *words, f"--benchmark_out={raw}")
        if peer:
            made = json.loads(command(sys.executable, str(ROOT / "bench/cpu/torch_peer.py"), str(inputs), options.filter))
            for point in made:
                before = torch_points.setdefault(point["name"], point)
                if before is not point and "samples" in before:
                    for key, samples in point.get("samples", {}).items():
                        before["samples"][key] += samples
        return json.loads(raw.read_text())

    runs, turns = results.run_in_turn(programs, options.processes, run_once)
    shutil.rmtree(inputs, ignore_errors=True)  # two gigabytes
    for output in programs:
        result = {**result_of(runs[output], words, list(torch_points.values())), **turns}
        if output != options.output:  # built elsewhere, from what is not known here
            result.update(commit=None, dirty=None, compiler=None, flags=None)
        results.write(output, result)


if __name__ == "__main__":
    main()
