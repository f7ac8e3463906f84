#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""same_code.py TESTED NOW: lets a log of the GPU tests stand for sources that compile to the same code.

TESTED and NOW are folders of the preset `cuda`, built at one path, the first then copied away: TESTED holds
the programs that a log says were run, NOW those of the sources that stand here. Every object file is compared
with its namesake, section by section, the device's code too. Only what nvcc makes of its process id and which
line of source an instruction is of may differ. If nothing else does, the log keeps, beside the hash of the
sources that ran, the hash of those that stand here. Brings NOW up to date;
needs ninja and cuobjdump on the path."""

import argparse
import hashlib
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests/cuda"))
sys.dont_write_bytecode = True
from source_hash import source_hash  # noqa: E402

# `53_GLOBAL__N__<file>_cu_<hash>_<process>`: a namespace without a name, its length before it.
INTERNAL = re.compile(rb"\D(\d\d)(_GLOBAL__N__)")
TEMPORARY = re.compile(rb"tmpxft_[0-9a-f]{8}")
# Lines of source, and where the names of sections and symbols stand.
NOT_CODE = re.compile(r"\.(rela?\.)?(nv_)?debug_|\.(str|shstr)tab$")
FATBIN = ".nv_fatbin"  # compressed; what is in it is compared in its place
TARGET = "cuda_tests"
NO_BYTES = 8           # the kind of a section that only says how large it is


def without_process(data):
    """`data` with the process id of the nvcc that made it, and hashes of it, blanked."""
    found = INTERNAL.search(data)
    if found:
        name = data[found.start(2):found.start(2) + int(found[1])]
        data = data.replace(name[len(b"_GLOBAL__N_"):], b"x" * (len(name) - len(b"_GLOBAL__N_")))
    return TEMPORARY.sub(b"tmpxft_xxxxxxxx", data)


def sections(data):
    """Name, head without addresses, and bytes of each section of a 64-bit ELF file that holds code or data."""
    if data[:4] != b"\x7fELF":
        sys.exit("not an object file")
    data = without_process(data)
    table, = struct.unpack_from("<Q", data, 0x28)
    size, count, names_at = struct.unpack_from("<HHH", data, 0x3A)
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]

    def content(head):
        return b"" if head[1] == NO_BYTES else data[head[4]:head[4] + head[5]]

    names = content(heads[names_at])
    for head in heads:
        name = names[head[0]:names.index(b"\0", head[0])].decode()
        if not NOT_CODE.search(name):
            yield (name, *((head[1],) if name == FATBIN else (*head[1:3], *head[5:9], content(head))))


def device_code(path):
    """The objects for a GPU within an object file, by name."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cuobjdump", "-xelf", "all", path.resolve()], cwd=folder, check=True, capture_output=True)
        return {p.name: p.read_bytes() for p in pathlib.Path(folder).iterdir()}


def difference_of_sections(tested, now):
    """The first section that differs, or nothing."""
    tested, now = list(sections(tested)), list(sections(now))
    if len(tested) != len(now):
        return f"{len(tested)} sections, not {len(now)}"
    return next((s[0] for s, t in zip(tested, now) if s != t), "")


def difference(tested, now):
    """The first thing in which the code of two object files differs, or nothing."""
    x, y = tested.read_bytes(), now.read_bytes()
    if x == y:
        return ""
    found = difference_of_sections(x, y)
    if found or FATBIN not in [s[0] for s in sections(x)]:
        return found and f"the host's {found}"
    a, b = device_code(tested), device_code(now)
    if not a or a.keys() != b.keys():
        return f"device code for {sorted(a)}, not {sorted(b)}"
    return next((f"{name}'s {found}" for name in a if (found := difference_of_sections(a[name], b[name]))), "")


def objects(folder):
    """The object files that the programs are linked from."""
    listed = subprocess.run(["ninja", "-C", folder, "-t", "inputs", TARGET], check=True, capture_output=True, text=True)
    return {name: folder / name for name in listed.stdout.split() if name.endswith(".o")}


def programs_differ(log, folder):
    """The programs of `log` that are not in `folder` as they were run."""
    def of_run(test):
        path = folder / "cuda_tests" / test["program"]
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == test["sha256"]
    return [test["program"] for test in log["tests"] if not of_run(test)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tested", type=pathlib.Path)
    parser.add_argument("now", type=pathlib.Path)
    arguments = parser.parse_args()
    wanted = source_hash()
    subprocess.run(["cmake", "--build", arguments.now, "--target", TARGET], check=True)
    if (arguments.now / "cuda_tests/SOURCE_HASH").read_text().strip() != wanted:
        sys.exit(f"{arguments.now} is not of these sources")
    logs = {path: json.loads(path.read_text()) for path in sorted((TOP / "tests/gpu_results").glob("*.json"))}
    logs = {path: log for path, log in logs.items() if not programs_differ(log, arguments.tested)}
    if not logs:
        sys.exit(f"{arguments.tested} holds the programs of no log")

    tested, now = objects(arguments.tested), objects(arguments.now)
    if tested.keys() != now.keys():
        sys.exit(f"object files of one only: {sorted(tested.keys() ^ now.keys())}")
    rebuilt = [name for name in now if tested[name].read_bytes() != now[name].read_bytes()]
    for name in rebuilt:
        problem = difference(tested[name], now[name])
        print(f"{name}: {problem or 'the same code'}")
        if problem:
            sys.exit("run the GPU tests again")
    for path, log in logs.items():
        log["same_code"] = {"source_hash": wanted, "objects": len(now), "compiled_again": rebuilt}
        path.write_text(json.dumps(log, indent=1) + "\n")
        print(f"{path.relative_to(TOP)}: stands for these sources")


if __name__ == "__main__":
    main()
