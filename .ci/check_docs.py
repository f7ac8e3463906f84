#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""check_docs.py: fails where a document names a file that is not there, or shows code that stands elsewhere.

A link is looked up from the document's folder. A block of code after `<!-- from:FILE -->` must stand in FILE,
which is compiled."""

import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
SHOWN = re.compile(r"<!-- from:(\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
# In docs/architecture.md a path in backticks is from include/tka, detail/ or one of its backends.
NAMED = re.compile(r"`([\w./]+\.(?:hpp|cuh|txt))`")
ROOTS = ["", "include/tka", "include/tka/detail", "include/tka/detail/cpu", "include/tka/detail/cuda"]


def problems_of(path):
    text = path.read_text("utf-8")
    for target in LINK.findall(text):
        if "://" not in target and not (path.parent / target).exists():
            yield f"links to {target}, which is not there"
    for file, code in SHOWN.findall(text):
        source = TOP / file
        if not source.is_file():
            yield f"shows code of {file}, which is not there"
        elif code not in source.read_text("utf-8"):
            yield f"shows code that does not stand in {file}"
    if text.count("<!-- from:") != len(SHOWN.findall(text)):
        yield "has a mark 'from:' without a block of code"
    if path.name == "architecture.md":
        for name in set(NAMED.findall(text)):
            if "NAME" not in name and not any((TOP / root / name).is_file() for root in ROOTS):
                yield f"names {name}, which is not there"


def main():
    listed = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard", "*.md"], check=True,
                            capture_output=True, text=True).stdout.splitlines()
    failed = 0
    for name in listed:
        for problem in problems_of(TOP / name) if (TOP / name).is_file() else ():
            print(f"{name}: {problem}", file=sys.stderr)
            failed = 1
    return failed


sys.exit(main())
