#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""source_hash.py: the hash of what the GPU tests are made of: every tracked file of include/, tests/,
cmake/ and examples/cuda/, and the CMake files at the top, by name and content; of tests/ not what no
program of them is made of: logs, mutations, uses that must not compile, and this file."""

import hashlib
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
PATHS = ["include", "tests", "cmake", "examples/cuda", "CMakeLists.txt", "CMakePresets.json", ":!tests/gpu_results",
         ":!tests/mutations", ":!tests/compile_fail", ":!tests/cuda/source_hash.py"]


def source_hash():
    listed = subprocess.run(["git", "-C", TOP, "ls-files", "-z", "--", *PATHS], check=True, capture_output=True).stdout
    total = hashlib.sha256()
    for name in sorted(name for name in listed.split(b"\0") if name):
        path = TOP / name.decode()
        if path.is_file():
            total.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


if __name__ == "__main__":
    try:
        print(source_hash())
    except (OSError, subprocess.CalledProcessError) as problem:  # no checkout: then no log can be of it
        print(f"no source hash: {problem}", file=sys.stderr)
