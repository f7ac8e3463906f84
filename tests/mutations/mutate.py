#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""mutate.py MUTATION FILE: replaces in FILE the text of the mutation, which must stand there once.
mutate.py --check: fails where a mutation beside this file or in cuda/ has no such text in the sources."""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent


class CannotMutate(Exception):
    pass


def mutated(description, file):
    """The text of FILE with the mutation."""
    _, _, rest = description.partition("\n--- from\n")
    before, found, after = rest.partition("\n--- to\n")
    if not found:
        raise CannotMutate("no lines '--- from' and '--- to'")
    if not file.is_file():
        raise CannotMutate(f"there is no file '{file}'")
    text = file.read_text()
    if text.count(before) != 1:
        raise CannotMutate(f"the text stands {text.count(before)} times in the file")
    return text.replace(before, after.removesuffix("\n"))


def check():
    failed = 0
    for path in sorted([*HERE.glob("*.mutation"), *HERE.glob("cuda/*.mutation")]):
        description = path.read_text()
        named = re.search(r"^file: *(.*)$", description, re.MULTILINE)
        try:
            if not named:
                raise CannotMutate("no line 'file: '")
            mutated(description, HERE.parents[1] / named[1])
        except CannotMutate as problem:
            print(f"{path.relative_to(HERE.parents[1])}: {problem}", file=sys.stderr)
            failed = 1
    return failed


def main():
    if sys.argv[1:] == ["--check"]:
        return check()
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    file = pathlib.Path(sys.argv[2])
    try:
        file.write_text(mutated(pathlib.Path(sys.argv[1]).read_text(), file))
    except CannotMutate as problem:
        print(problem)
        return 1
    return 0


sys.exit(main())
