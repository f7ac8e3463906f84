#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""mutate.py MUTATION FILE: replaces in FILE the text of the mutation, which must stand there once."""

import pathlib
import sys


def main():
    description = pathlib.Path(sys.argv[1]).read_text()
    file = pathlib.Path(sys.argv[2])
    _, _, rest = description.partition("\n--- from\n")
    before, found, after = rest.partition("\n--- to\n")
    if not found:
        print("no lines '--- from' and '--- to'")
        return 1
    after = after.removesuffix("\n")
    text = file.read_text()
    if text.count(before) != 1:
        print(f"the text stands {text.count(before)} times in the file")
        return 1
    file.write_text(text.replace(before, after))
    return 0


sys.exit(main())
