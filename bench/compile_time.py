#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Compiles one call of each combination of the matrix and says how many seconds it took.

    bench/compile_time.py cpu|cuda [--compiler c++] [--only PREFIX] [--output FILE]

Each is a source of its own with the headers and one call, as a user would have it; `headers` is the
same without the call. Seconds are processor time of one core, which a busy machine moves little.
bench/guard.py compares two such files. An nvcc compiles for compute capability 9.0a alone.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "cpu"))
import matrix  # noqa: E402
from results import ROOT, command  # noqa: E402
from run import processor  # noqa: E402

INCLUDES = ["-I", str(ROOT / "include")]
MACHINES = {
    "cpu": ("c++", "cpp", "cpu.hpp", ["-std=c++20", "-O3", "-DNDEBUG", "-march=native"], ["-isystem", "/usr/include/eigen3"]),
    # -arch=sm_90a would compile twice: for 9.0 as PTX too.
    "cuda": ("nvcc", "cu", "cuda.cuh", ["-std=c++20", "-O3", "-gencode", "arch=compute_90a,code=sm_90a"], []),
}
WHERE = {"cpu": "tka::thread_team&", "cuda": "cudaStream_t"}
NAMES = {"attend": "sparse_attention", "select": "select_top_k", "attend_selected": "attend_selected"}
CALL = """
using call = std::remove_cvref_t<decltype(tka::{types})>;
tka::status run(tka::plan const& plan, call::tensors const& tensors, tka::workspace const& workspace, {where} where) {{
  return call{{}}(plan, tensors, workspace, where);
}}
"""


def source_of(machine, combination):
    """Headers and one call; without a combination the headers alone."""
    task = combination.split("/")[0] if combination else "attend"
    text = f"#include <tka/backend/{MACHINES[machine][2]}>\n#include <tka/{NAMES[task]}.hpp>\n#include <type_traits>\n"
    if not combination:
        return text
    task, selection, precision, form = matrix.types_of(combination)
    arguments = [selection, precision, f"tka::{machine}", form]
    if task == "attend_selected":
        arguments.pop(0)
    return text + CALL.format(types=f"{NAMES[task]}<{', '.join(arguments)}>", where=WHERE[machine])


def seconds(words, path, text):
    """Processor time of the compiler and what it starts."""

    def used():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    path.write_text(text)
    before = used()
    subprocess.run([*words, "-c", str(path), "-o", str(path.with_suffix(".o"))], check=True)
    return round(used() - before, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("machine", choices=MACHINES)
    parser.add_argument("--compiler")
    parser.add_argument("--only", action="append", default=[], metavar="PREFIX")
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    compiler, suffix, _, flags, more = MACHINES[options.machine]
    compiler = options.compiler or compiler
    version = command(compiler, "--version").strip().splitlines()
    result = {
        "device": processor(),
        "commit": command("git", "rev-parse", "HEAD").strip(),
        "dirty": bool(command("git", "status", "--porcelain", "--untracked-files=no").strip()),
        "compiler": version[-1 if options.machine == "cuda" else 0],
        "flags": flags,
        "compile_seconds": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"one.{suffix}"
        for combination in ["", *matrix.combinations(options.machine, options.only)]:
            name = combination or "headers"
            took = seconds([compiler, *flags, *INCLUDES, *more], path, source_of(options.machine, combination))
            result["compile_seconds"][name] = took
            print(f"{took:6.2f} s  {name}", flush=True)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
