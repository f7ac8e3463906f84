#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""check_pairwise.py: fails where the pairwise lines of instances.txt are more than 20, or lack a pair
of choices that can go together."""

import itertools
import pathlib
import re
import sys

AT_MOST = 20
CHOICES = {
    "selection": ["exact_radix", "bucketed", "lightning_indexer", "stored_scores"],
    "precision": ["fp32", "fp16", "bf16", "fp8", "fp8_with<fp32>"],
    "kv source": ["contiguous", "ragged", "paged"],
    "query source": ["uniform", "ragged"],
    "scope": ["query_head", "kv_group", "all_heads"],
    "visibility": ["all", "causal", "sliding_window"],
    "layout": ["plain", "scaled", "mla_656"],
}
DEFAULTS = {"kv": "contiguous", "query": "uniform", "scope": "query_head", "visibility": "causal", "layout": "plain"}


def can_go_together(selection, precision, kv, query, scope, visibility, layout):
    if selection in ("exact_radix", "bucketed") and scope == "all_heads":
        return False
    if selection == "lightning_indexer" and scope != "all_heads":
        return False
    return layout != "mla_656" or precision.startswith("fp8")


def pairs(row):
    return set(itertools.combinations(enumerate(row), 2))


def row_of(line):
    selection, precision, form = (part.strip().replace("tka::", "") for part in line.split("|"))
    parts = dict(re.findall(r"(\w+)::(\w+)", form))
    found = [parts.get(name, default) for name, default in DEFAULTS.items()]
    return (re.match(r"\w+", selection).group(), precision, *found)


def main():
    lines = (pathlib.Path(__file__).parent / "instances.txt").read_text().splitlines()
    rows = [row_of(line.split(None, 2)[2]) for line in lines if line.startswith("pairwise ")]
    problems = [f"{len(rows)} lines, at most {AT_MOST}"] if len(rows) > AT_MOST else []
    possible = [row for row in itertools.product(*CHOICES.values()) if can_go_together(*row)]
    problems += [f"not a combination: {row}" for row in rows if row not in possible]
    wanted = set().union(*(pairs(row) for row in possible))
    missing = wanted - set().union(*(pairs(row) for row in rows))
    problems += [f"no line has {a} with {b}" for (_, a), (_, b) in sorted(missing)]
    for problem in problems:
        print(f"tests/cuda/instances.txt: {problem}", file=sys.stderr)
    print(f"{len(rows)} combinations hold {len(wanted) - len(missing)} of {len(wanted)} pairs")
    return 1 if problems else 0


sys.exit(main())
