#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the tables of numbers in the documents from the committed JSON files, or checks them.

    bench/tables.py [FILE]...       rewrites every table between its markers; by default in README.md,
                                    docs/*.md, examples/*/README.md and bench/README.md
    bench/tables.py --check         fails where a table is not what its file gives

A table stands between markers that name its kind and its file, relative to the repository:

    <!-- table:language_model examples/language_model/results.json -->
    <!-- /table -->

Kinds:
    matrix          [{"selection", "precision", "source", "scope"}]
    language_model  {"rows": [{"method", "ratio", "bits_per_byte", "change", "recall",
                               "retained_mass", "entropy_nats", "ms_per_token"}]}
    bench_cpu       {"rows": [{"flags", "precision", "kv_len", "group", "score_gbs",
                               "score_share", "call_ms", "call_share"}]}
    bench_cuda      what bench/cuda/run.py writes: decoding beside dense attention, with ratios
    cuda_SUITE      the same file: us of a call, of each suite in points.TABLES
"""

import argparse
import difflib
import json
import pathlib
import re
import sys
from functools import partial

import points
import results

DOCUMENTS = ("README.md", "docs/*.md", "examples/*/README.md", "bench/README.md")
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


def us_of(point):
    return None if point is None or "median_ms" not in point else point["median_ms"] * 1e3


def bench_cuda(data):
    """Decoding where dense attention was measured too; `of read bandwidth` counts K alone."""
    body = []
    for row, cells in results.table_rows(data, "decode"):
        us = {name: us_of(point) for name, point in cells.items()}
        if us["sdpa_cudnn"] is None or us["kv_group"] is None:
            continue
        ours = us["k2048"]
        over = [None if None in (us[n], ours) else us[n] / ours for n in ("torch_composed", "sdpa_cudnn")]
        share = None if ours is None else cells["k2048"]["k_bytes"] / ours * 1e6 / data["ceilings"]["read_bytes_per_second"]
        times = [us[n] for n in ("k2048", "kv_group", "torch_composed", "sdpa_cudnn", "sdpa_flash")]
        body.append(
            [f"{row['batch']:,d}", f"{row['kv_len']:,d}"]
            + [number(t, ",.1f") for t in times]
            + [number(x, ".2f") for x in over]
            + [number(share, ".0%")]
        )
    head = ["batch", "kv_len", "tka, query_head", "tka, kv_group", "PyTorch, composed", "cuDNN, dense", "flash, dense"]
    return markdown([*head, "composed / query_head", "cuDNN / query_head", "of read bandwidth"], body, left=0)


def suite(name, data):
    """us of a call: a row for each shape, a column for each call or peer of the suite."""
    head = [name, *(f"`{column}`" for column in points.TABLES[name][1])]
    body = [[results.row_text(row), *(number(us_of(p), ",.1f") for p in cells.values())] for row, cells in results.table_rows(data, name)]
    return markdown(head, body)


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
    "bench_cuda": bench_cuda,
    **{f"cuda_{name}": partial(suite, name) for name in points.TABLES},
}


def with_tables(text, top, where="README.md"):
    """`text` with every table made anew; `where` it stands, for messages."""

    def replaced(match):
        if match["kind"] not in KINDS:
            raise SystemExit(f"{where}: no kind of table '{match['kind']}'; there are {', '.join(KINDS)}")
        path = top / match["file"]
        if not path.is_file():
            raise SystemExit(f"{where}: a table is made from {match['file']}, which is not there")
        return match["open"] + KINDS[match["kind"]](json.loads(path.read_text("utf-8"))) + match["close"]

    made, count = MARKED.subn(replaced, text)
    if count != len(re.findall(r"<!-- table:", text)) or count != len(re.findall(r"<!-- /table -->", text)):
        raise SystemExit(f"{where}: a marker of a table is malformed or has no partner")
    return made


def main():
    top = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail where something would change")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()

    stale = False
    for path in arguments.files or sorted(path for pattern in DOCUMENTS for path in top.glob(pattern)):
        text = path.read_text("utf-8")
        made = with_tables(text, top, path)
        if made == text:
            continue
        if arguments.check:
            lines = difflib.unified_diff(text.splitlines(), made.splitlines(), str(path), "from JSON", lineterm="")
            print("\n".join(lines), file=sys.stderr)
            stale = True
        else:
            path.write_text(made, "utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
