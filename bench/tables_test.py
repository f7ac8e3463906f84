#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Tests of tables.py, on small made-up files."""

import json
import pathlib
import tempfile
import unittest

import points
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
}


def measured():
    """Three points of a GPU at 64 x 8K: ours, by group, and dense attention."""
    at = {**points.CUDA_BASE, "batch": 64, "kv_len": 8192}
    us = {"": 1234.56, "group": 300.0, "sdpa_cudnn": 400.0, "torch_composed": 2000.0}
    of = {"": at, "group": {**at, "scope": "kv_group"}, **{n: {**at, "peer": n} for n in ("sdpa_cudnn", "torch_composed")}}
    found = [{"name": points.name_of(of[n]), "median_ms": t / 1e3, "k_bytes": 1.23456e9} for n, t in us.items()]
    refused = {"name": points.name_of({**at, "peer": "sdpa_flash"}), "refused": "no"}
    return {"ceilings": {"read_bytes_per_second": 4e12}, "points": [*found, refused]}


FILES["bench_cuda"] = FILES["cuda_decode"] = measured()


class Tables(unittest.TestCase):
    def made(self, kind):
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            data = {"rows": FILES[kind]} if kind in ("language_model", "bench_cpu") else FILES[kind]
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

    def test_suite(self):
        lines = self.made("cuda_decode")
        self.assertTrue(lines[0].startswith("| decode | `k2048` | `k512` | `kv_group` |"))
        self.assertTrue(lines[2].startswith("| 64x8K | 1,234.6 | – | 300.0 |"))

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
