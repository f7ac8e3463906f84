#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Tests of tables.py, on small made-up files."""

import json
import pathlib
import tempfile
import unittest

import tables

FILES = {
    "matrix": [
        {"selection": "exact_radix", "precision": "fp32", "source": "paged", "scope": "kv_group"},
        {"selection": "bucketed", "precision": "bf16", "source": "ragged", "scope": "kv_group"},
    ],
    "language_model": [
        {"method": "dense", "ratio": None, "bits_per_byte": 1.5, "change": 0.0, "recall": None,
         "retained_mass": None, "entropy_nats": None, "ms_per_token": 3.25},
        {"method": "exact_radix", "ratio": 0.1, "bits_per_byte": 1.51, "change": 0.01, "recall": 1.0,
         "retained_mass": 0.98765, "entropy_nats": 3.0, "ms_per_token": 1.0},
    ],
    "bench_cpu": [
        {"flags": "native", "precision": "bf16", "kv_len": 131072, "group": 4, "score_gbs": 20.0,
         "score_share": 0.81, "call_ms": 5.125, "call_share": 0.5},
    ],
    "bench_cuda": [
        {"batch": 64, "kv_len": 8192, "query_head_us": 1234.56, "kv_group_us": 300.0, "composed_us": 2000.0,
         "cudnn_us": 400.0, "flash_us": None, "over_composed": 1.625, "over_cudnn": 0.324, "read_share": 0.25},
    ],
}


class Tables(unittest.TestCase):
    def made(self, kind):
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            data = FILES[kind] if kind == "matrix" else {"rows": FILES[kind]}
            (top / "rows.json").write_text(json.dumps(data), "utf-8")
            before = f"head\n<!-- table:{kind} rows.json -->\nold\n<!-- /table -->\ntail\n"
            once = tables.with_tables(before, top)
            self.assertEqual(once, tables.with_tables(once, top))
            self.assertTrue(once.startswith("head\n<!-- table:"))
            self.assertTrue(once.endswith("<!-- /table -->\ntail\n"))
            return once.splitlines()[2:-2]

    def test_matrix(self):
        self.assertEqual(
            self.made("matrix"),
            [
                "| selection | precision | paged, kv_group | ragged, kv_group |",
                "| :-- | :-- | --: | --: |",
                "| `exact_radix` | `fp32` | yes | – |",
                "| `bucketed` | `bf16` | – | yes |",
            ],
        )

    def test_language_model(self):
        lines = self.made("language_model")
        self.assertEqual(lines[2], "| dense | – | 1.5000 | +0.0000 | – | – | – | 3.25 |")
        self.assertEqual(lines[3], "| exact_radix | 10% | 1.5100 | +0.0100 | 1.000 | 0.988 | 3.00 | 1.00 |")

    def test_bench_cpu(self):
        self.assertEqual(self.made("bench_cpu")[2], "| native | bf16 | 131,072 | 4 | 20.0 | 81% | 5.12 | 50% |")

    def test_bench_cuda(self):
        lines = self.made("bench_cuda")
        self.assertEqual(lines[1], "|" + " --: |" * 10)
        self.assertEqual(
            lines[2], "| 64 | 8,192 | 1,234.6 | 300.0 | 2,000.0 | 400.0 | – | 1.62 | 0.32 | 25% |"
        )

    def test_bad_markers(self):
        top = pathlib.Path(".")
        for text in (
            "<!-- table:matrix none.json -->\n<!-- /table -->\n",
            "<!-- table:nothing none.json -->\n<!-- /table -->\n",
            "<!-- table:matrix -->\n<!-- /table -->\n",
            "<!-- table:matrix none.json -->\n",
            "<!-- /table -->\n",
        ):
            with self.assertRaises(SystemExit):
                tables.with_tables(text, top)


if __name__ == "__main__":
    unittest.main()
