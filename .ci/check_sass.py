#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""check_sass.py FOLDER: fails unless, in the object files below FOLDER, every kernel that multiplies keys
or values of 16 or 8 bits does it on tensor cores, on each architecture that they were compiled for.

Such a kernel has `scan`, `score`, `attend`, `values` or `attention_kernel` in its own name, and the problem among
its template arguments says what it multiplies. Needs cuobjdump, nvdisasm and c++filt on the path."""

import collections
import multiprocessing
import pathlib
import re
import subprocess
import sys

MULTIPLIES = re.compile(r"scan|score|attend|values|attention_kernel")
TENSOR_CORES = re.compile(r"\b(HMMA|HGMMA|QGMMA)\b")
BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "fp8_with<fp16>": 8, "fp8_with<bf16>": 8, "index_fp8": 8,
        # The narrower is widened: such a pair meets in fp32.
        "fp8_with<fp32>": 32}

Kernel = collections.namedtuple("Kernel", "architecture name instructions")


def arguments_of(name, template):
    """The template arguments of the first `template<...>` in a demangled name, or none."""
    found = re.search(rf"\b{template}<", name)
    if not found:
        return []
    arguments, depth, start = [], 0, found.end()
    for at in range(start, len(name)):
        c = name[at]
        if depth == 0 and c in ",>":
            arguments.append(name[start:at].strip())
            start = at + 1
            if c == ">":
                return arguments
        depth += (c in "<(") - (c in ">)")
    return []


def own_name(name):
    """`score_kernel` of `void tka::detail::score_kernel<...>(...)`."""
    return re.sub(r"[<(].*", "", name.removeprefix("void ")).split("::")[-1]


def multiplied(name):
    """What a kernel multiplies: `score` or `attend`, and the bits of the narrower type (0: nothing of its own;
    None: not understood)."""
    selection, precision, *_ = arguments_of(name, "problem") + ["", ""]
    part = "score" if re.search("scan|score", own_name(name)) else "attend"
    if part == "score":
        if selection.startswith(("stored_scores", "given_positions")):
            return part, 0
        if selection.startswith("lightning_indexer"):
            precision = (arguments_of(selection, "lightning_indexer") + ["", ""])[1]
    return part, BITS.get(precision)


def problems_of(kernels):
    """A sentence for each kernel without what it needs, and for what was not there to be checked."""
    problems = []
    seen = collections.Counter()
    for kernel in kernels:
        # Names of the library without its namespaces, whose names change with the version.
        name = re.sub(r"\b(tka|v\d\w*|detail|cuda)::", "", kernel.name)
        if not MULTIPLIES.search(own_name(name)):
            continue
        part, bits = multiplied(name)
        if bits is None:
            problems.append(f"{kernel.architecture}: what does it multiply? {name}")
        elif bits in (8, 16):
            seen[kernel.architecture, part, bits] += 1
            if kernel.instructions == 0:
                problems.append(f"{kernel.architecture}: not on tensor cores: {name}")
    for architecture in sorted({k.architecture for k in kernels}):
        for part in ("score", "attend"):
            for bits in (16, 8):
                if not seen[architecture, part, bits]:
                    problems.append(f"{architecture}: no kernel of {part} with {bits} bits")
    if not kernels:
        problems.append("no kernel at all")
    return problems, seen


def kernels_in(lines):
    """The kernels of a listing of `cuobjdump -sass`, by mangled name."""
    kernels, architecture, name, count = [], "", "", 0
    for line in lines:
        if "Function : " in line or line.startswith("arch = "):
            if name:
                kernels.append(Kernel(architecture, name, count))
            name, count = "", 0
            if line.startswith("arch = "):
                architecture = line.removeprefix("arch = ").strip()
            else:
                name = line.partition("Function : ")[2].strip()
        elif TENSOR_CORES.search(line):
            count += 1
    if name:
        kernels.append(Kernel(architecture, name, count))
    return kernels


def kernels_of(path):
    with subprocess.Popen(["cuobjdump", "-sass", path], stdout=subprocess.PIPE, text=True) as listing:
        kernels = kernels_in(listing.stdout)
    if listing.returncode != 0 or not kernels:
        raise RuntimeError(f"{path}: cuobjdump lists no kernel (exit status {listing.returncode})")
    names = subprocess.run(["c++filt"], input="\n".join(k.name for k in kernels), check=True, capture_output=True,
                           text=True).stdout.splitlines()
    return [k._replace(name=name) for k, name in zip(kernels, names, strict=True)]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    objects = sorted(str(path) for path in pathlib.Path(sys.argv[1]).rglob("*.o"))
    with multiprocessing.Pool() as pool:
        kernels = [kernel for found in pool.imap(kernels_of, objects) for kernel in found]
    problems, seen = problems_of(kernels)
    for (architecture, part, bits), count in sorted(seen.items()):
        print(f"{architecture}: {count} kernels of {part} with {bits} bits")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
