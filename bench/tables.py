#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the tables of numbers in README.md from the committed JSON files, or checks them.

    bench/tables.py            rewrites every table between its markers
    bench/tables.py --check    fails where a table is not what its file gives

A table stands between markers that name its kind and its file, relative to the repository:

    <!-- table:language_model examples/language_model/results.json -->
    <!-- /table -->

Kinds:
    matrix          [{"selection", "precision", "source", "scope"}]
    language_model  {"rows": [{"method", "ratio", "bits_per_byte", "change", "recall",
                               "retained_mass", "entropy_nats", "ms_per_token"}]}
    bench_cpu       {"rows": [{"flags", "precision", "kv_len", "group", "score_gbs",
                               "score_share", "call_ms", "call_share"}]}
    bench_cuda      {"rows": [{"batch", "kv_len", "query_head_us", "kv_group_us", "composed_us",
                               "cudnn_us", "flash_us", "over_composed", "over_cudnn", "read_share"}]}
"""

import argparse
import difflib
import json
import pathlib
import re
import sys

MARKED = re.compile(
    r"(?P<open><!-- table:(?P<kind>\w+) (?P<file>\S+) -->\n)(?P<body>.*?)(?P<close><!-- /table -->)",
    re.DOTALL,
)


def markdown(head, rows, left=1):
    """A table; the first `left` columns hold words, the others numbers."""
    rule = [":--" if i < left else "--:" for i in range(len(head))]
    return "".join("| " + " | ".join(row) + " |\n" for row in [head, rule, *rows])


def number(value, form):
    """`value` as `form` says; a dash for null."""
    return "–" if value is None else format(value, form)


def columns(spec, left):
    """A table with one column for each (title, key, format); format None: as it is."""

    def make(data):
        body = []
        for row in data["rows"]:
            body.append([str(row[k]) if f is None else number(row[k], f) for _, k, f in spec])
        return markdown([title for title, _, _ in spec], body, left)

    return make


def in_order(rows, key):
    """The values of `key`, each once, in the order of the file."""
    return list(dict.fromkeys(row[key] for row in rows))


def matrix(data):
    """Policy and precision down, source and scope across; a cell is what the tests ran."""
    # The tests write one entry for each combination that passed (TKA_MATRIX_JSON).
    rows = [{**row, "policy": row["selection"]} for row in data]
    cell = {(r["policy"], r["precision"], r["source"], r["scope"]): 1 for r in rows}
    across = [(s, c) for s in in_order(rows, "source") for c in in_order(rows, "scope")]
    down = [(p, q) for p in in_order(rows, "policy") for q in in_order(rows, "precision")]
    body = []
    for policy, precision in down:
        counts = [cell.get((policy, precision, source, scope), 0) for source, scope in across]
        if any(counts):
            body.append([f"`{policy}`", f"`{precision}`", *("yes" if n else "–" for n in counts)])
    head = ["selection", "precision", *(f"{source}, {scope}" for source, scope in across)]
    return markdown(head, body, left=2)


KINDS = {
    "matrix": matrix,
    "language_model": columns(
        [
            ("attention", "method", None),
            ("keys kept", "ratio", ".0%"),
            ("bits per byte", "bits_per_byte", ".4f"),
            ("change", "change", "+.4f"),
            ("recall", "recall", ".3f"),
            ("retained mass", "retained_mass", ".3f"),
            ("entropy, nats", "entropy_nats", ".2f"),
            ("ms per token", "ms_per_token", ".2f"),
        ],
        left=1,
    ),
    "bench_cpu": columns(
        [
            ("flags", "flags", None),
            ("precision", "precision", None),
            ("kv_len", "kv_len", ",d"),
            ("group", "group", "d"),
            ("score pass, GB/s", "score_gbs", ".1f"),
            ("of bandwidth", "score_share", ".0%"),
            ("whole call, ms", "call_ms", ".2f"),
            ("of bandwidth", "call_share", ".0%"),
        ],
        left=2,
    ),
    "bench_cuda": columns(
        [
            ("batch", "batch", ",d"),
            ("kv_len", "kv_len", ",d"),
            ("tka, query_head", "query_head_us", ",.1f"),
            ("tka, kv_group", "kv_group_us", ",.1f"),
            ("PyTorch, composed", "composed_us", ",.1f"),
            ("cuDNN, dense", "cudnn_us", ",.1f"),
            ("flash, dense", "flash_us", ",.1f"),
            ("composed / query_head", "over_composed", ".2f"),
            ("cuDNN / query_head", "over_cudnn", ".2f"),
            ("of read bandwidth", "read_share", ".0%"),
        ],
        left=0,
    ),
}


def with_tables(text, top):
    """`text` with every table made anew."""

    def replaced(match):
        if match["kind"] not in KINDS:
            raise SystemExit(f"README.md: no kind of table '{match['kind']}'; there are {', '.join(KINDS)}")
        path = top / match["file"]
        if not path.is_file():
            raise SystemExit(f"README.md: a table is made from {match['file']}, which is not there")
        return match["open"] + KINDS[match["kind"]](json.loads(path.read_text("utf-8"))) + match["close"]

    made, count = MARKED.subn(replaced, text)
    if count != len(re.findall(r"<!-- table:", text)) or count != len(re.findall(r"<!-- /table -->", text)):
        raise SystemExit("README.md: a marker of a table is malformed or has no partner")
    return made


def main():
    top = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail where something would change")
    parser.add_argument("--readme", type=pathlib.Path, default=top / "README.md")
    arguments = parser.parse_args()

    text = arguments.readme.read_text("utf-8")
    made = with_tables(text, top)
    if made == text:
        return 0
    if arguments.check:
        lines = difflib.unified_diff(text.splitlines(), made.splitlines(), "README.md", "from JSON", lineterm="")
        print("\n".join(lines), file=sys.stderr)
        return 1
    arguments.readme.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
