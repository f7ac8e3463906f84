#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""compare.py A.json B.json: fails unless two results of language_model, of different backends say, are
of the same text and agree to four digits behind the point in every number but the times."""

import json
import math
import sys

SAME = ["text", "model", "window_bytes", "windows", "scored_bytes", "every_token_alone", "measured_every"]
COLUMNS = ["bits_per_byte", "change", "recall", "retained_mass", "entropy_nats"]
HALF_A_DIGIT = 5e-5


def row_name(row):
    return row["method"] if row["ratio"] is None else f"{row['method']}, {row['ratio']:.0%}"


def problems_of(a, b):
    """A sentence for each thing that differs, and the largest difference of each column."""
    problems = [f"{key} differs" for key in SAME if a[key] != b[key]]
    largest = dict.fromkeys(COLUMNS, 0.0)
    if [row_name(r) for r in a["rows"]] != [row_name(r) for r in b["rows"]]:
        return problems + ["the rows are others"], largest
    for left, right in zip(a["rows"], b["rows"]):
        for column in COLUMNS:
            x, y = left[column], right[column]
            # null stands for NaN in JSON; it agrees with nothing.
            difference = math.inf if x is None or y is None else abs(x - y)
            largest[column] = max(largest[column], difference)
            if difference > HALF_A_DIGIT:
                problems.append(f"{row_name(left)}: {column} is {x} and {y}")
    return problems, largest


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    a, b = (json.load(open(name, encoding="utf-8")) for name in sys.argv[1:])
    problems, largest = problems_of(a, b)
    print(f"{a.get('backend', 'cpu')} and {b.get('backend', 'cpu')}, {len(a['rows'])} rows; the largest differences:")
    for column in COLUMNS:
        print(f"  {column:15} {largest[column]:.2e}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems or not a["rows"] else 0


if __name__ == "__main__":
    sys.exit(main())
