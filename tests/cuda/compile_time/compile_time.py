#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""compile_time.py NVCC INCLUDE ARCHITECTURE [SECONDS]

Compiles one combination for one architecture, cold and optimised, prints the time and fails above
SECONDS (40). Judged by the time on the processor: other work on the machine does not count. Fails too
where the headers behind it include Thrust, Eigen or all of CUB."""

import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time


def heavy_headers(nvcc, include, source):
    made = subprocess.run([nvcc, "-std=c++20", "-M", "-I", include, source], check=True, capture_output=True, text=True)
    return [name for name in made.stdout.split() if re.search(r"/thrust/|/Eigen/|/cub/cub\.cuh$", name)]


def main():
    nvcc, include, architecture = sys.argv[1:4]
    limit = float(sys.argv[4]) if len(sys.argv) > 4 else 40.0
    source = pathlib.Path(__file__).parent / "one_combination.cu"
    with tempfile.TemporaryDirectory() as folder:
        start = time.time()
        # -arch would compile once more, for PTX.
        target = f"arch=compute_{architecture},code=sm_{architecture}"
        subprocess.run([nvcc, "-std=c++20", "-O3", "-gencode", target, "-I", include, "-c", source, "-o",
                        pathlib.Path(folder) / "one.o"], check=True)
        wall = time.time() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    heavy = heavy_headers(nvcc, include, source)
    for header in heavy:
        print(f"included: {header}")
    processor = used.ru_utime + used.ru_stime
    print(f"one combination, sm_{architecture}: {processor:.1f} s of the processor, {wall:.1f} s elapsed, limit {limit:.0f} s")
    return 1 if heavy or min(processor, wall) > limit else 0


sys.exit(main())
