#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Compiles one call of each combination of the CPU matrix and says how many seconds it took.

    bench/cpu/compile_time.py [--compiler c++] [--output FILE]

Each is a source of its own with two headers and one call; `headers` is the same without the call.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

from run import ROOT, command, processor

FLAGS = ["-std=c++20", "-O3", "-DNDEBUG", "-march=native", f"-I{ROOT}/include", "-isystem", "/usr/include/eigen3"]
HEADERS = "#include <tka/backend/cpu.hpp>\n#include <tka/sparse_attention.hpp>\n"
CALL = """
using call = std::remove_cvref_t<decltype(tka::sparse_attention<{types}>)>;
tka::status run(tka::plan const& plan, call::tensors const& tensors, tka::workspace const& workspace,
                tka::thread_team& team) {{
  return call{{}}(plan, tensors, workspace, team);
}}
"""


def combinations():
    for selection in ("exact_radix", "bucketed"):
        for precision in ("fp32", "bf16", "fp16", "fp8"):
            for scope in ("query_head", "kv_group"):
                yield (
                    f"{selection}/{precision}/{scope}",
                    f"tka::{selection}, tka::{precision}, tka::cpu, tka::form<tka::scope::{scope}>",
                )
    yield "exact_radix/bf16/query_head/paged", "tka::exact_radix, tka::bf16, tka::cpu, tka::form<tka::kv::paged>"
    yield "lightning_indexer/bf16", "tka::lightning_indexer<tka::exact_radix>, tka::bf16, tka::cpu"


def seconds(compiler, source, folder):
    path = pathlib.Path(folder) / "one.cpp"
    path.write_text(source)
    begin = time.monotonic()
    subprocess.run([compiler, *FLAGS, "-c", str(path), "-o", str(path.with_suffix(".o"))], check=True)
    return round(time.monotonic() - begin, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    sources = {"headers": HEADERS, **{name: HEADERS + CALL.format(types=types) for name, types in combinations()}}
    result = {
        "device": processor(),
        "commit": command("git", "rev-parse", "HEAD").strip(),
        "dirty": bool(command("git", "status", "--porcelain", "--untracked-files=no").strip()),
        "compiler": command(options.compiler, "--version").splitlines()[0],
        "flags": [f for f in FLAGS if not f.startswith(("-I", "-isystem", "/"))],
        "seconds": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, source in sources.items():
            result["seconds"][name] = seconds(options.compiler, source, folder)
            print(f"{result['seconds'][name]:6.2f} s  {name}", flush=True)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
