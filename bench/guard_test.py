#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Tests of guard.py, on small made-up files."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import guard

QUIET = [1.00, 1.001, 0.999, 1.002, 0.998]


def google(points, refused=(), **counters):
    """Google Benchmark's form: {name: [real_time, ...]}."""
    entries = []
    for name, samples in points.items():
        for x in samples:
            entries.append({"run_name": name, "name": name, "run_type": "iteration", "real_time": x,
                            **{k: f(x) for k, f in counters.items()}})
        entries.append({"run_name": name, "name": name + "_median", "run_type": "aggregate", "real_time": 99.0})
    for name in refused:
        entries.append({"run_name": name, "name": name, "run_type": "iteration", "error_occurred": True,
                        "error_message": "no such head size"})
    return {"context": {}, "benchmarks": entries}


def cuda(samples):
    return {"points": [{"batch": 8, "kv_len": 32768, "contenders": {
        "query_head": {"us": 1.0, "samples_us": samples},
        "flash": {"check": {"problem": "wrong"}}}}]}


class Guard(unittest.TestCase):
    def run_guard(self, before, after, *options):
        """(exit status, what was printed)"""
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for name, data in (("a.json", before), ("b.json", after)):
                path = pathlib.Path(folder) / name
                path.write_text(data if isinstance(data, str) else json.dumps(data), "utf-8")
                paths.append(str(path))
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                status = guard.main([*paths, *options])
            return status, out.getvalue()

    def test_same(self):
        status, text = self.run_guard(google({"a": QUIET}), google({"a": QUIET[::-1]}))
        self.assertEqual((status, text), (0, "0 of 1 points moved, 0 undecided\n"))

    def test_slower_and_faster(self):
        slow = [1.05 * x for x in QUIET]
        status, text = self.run_guard(google({"a": QUIET, "b": QUIET}), google({"a": slow, "b": QUIET}))
        self.assertEqual(status, 1)
        self.assertIn("SLOWER   +5.0%", text)
        self.assertIn("1 of 2 points moved, 0 undecided", text)
        status, text = self.run_guard(google({"a": slow}), google({"a": QUIET}))
        self.assertEqual(status, 1)
        self.assertIn("faster", text)

    def test_one_bad_repetition_changes_nothing(self):
        self.assertEqual(self.run_guard(google({"a": QUIET}), google({"a": QUIET[:4] + [7.0]}))[0], 0)

    def test_scatter_excuses(self):
        noisy = [1.0, 1.1, 1.05, 1.15, 0.95]
        self.assertEqual(self.run_guard(google({"a": QUIET}), google({"a": noisy}))[0], 0)
        self.assertEqual(self.run_guard(google({"a": QUIET}), google({"a": noisy}), "--factor", "0.1")[0], 1)

    def test_minimum_excuses(self):
        slow = [1.05 * x for x in QUIET]
        self.assertEqual(self.run_guard(google({"a": QUIET}), google({"a": slow}), "--minimum", "0.06")[0], 0)

    def test_statistic(self):
        before = google({"a": QUIET}, least_ms=lambda x: 1.0)
        after = google({"a": [2 * x for x in QUIET]}, least_ms=lambda x: 1.0)
        self.assertEqual(self.run_guard(before, after)[0], 0)
        self.assertEqual(self.run_guard(before, after, "--statistic", "real_time")[0], 1)

    def test_lost_and_refused_points_have_moved(self):
        both = google({"a": QUIET}, refused=["b"])
        self.assertEqual(self.run_guard(both, both)[0], 0)
        self.assertIn("only in the first run", self.run_guard(google({"a": QUIET, "b": QUIET}), google({"a": QUIET}))[1])
        status, text = self.run_guard(google({"a": QUIET, "b": QUIET}), both)
        self.assertEqual(status, 1)
        self.assertIn("refused in the second run: no such head size", text)

    def test_matrix(self):
        def matrix(samples):
            return {"points": [{"name": "a", "samples": {"least_ms": samples}}, {"name": "b", "refused": "no"}]}

        self.assertEqual(self.run_guard(matrix(QUIET), matrix(QUIET))[0], 0)
        self.assertIn("1 of 2", self.run_guard(matrix(QUIET), matrix([1.05 * x for x in QUIET]))[1])

    def test_spells_are_left_out(self):
        def matrix(samples, rates):
            return {"points": [{"name": "a", "samples": {
                "least_ms": samples, "read_before": rates, "read_after": rates}}]}

        calm = matrix(QUIET, [35.0] * 5)
        half = matrix(QUIET[:3] + [0.7] * 4, [35.0] * 3 + [60.0] * 4)
        self.assertEqual(self.run_guard(calm, half)[0], 0)
        self.assertEqual(self.run_guard(calm, half, "--calm", "9", "--factor", "0")[0], 1)
        status, text = self.run_guard(calm, matrix([0.7] * 4, [60.0] * 4))
        self.assertEqual(status, 2)
        self.assertIn("0 repetitions at the usual bandwidth", text)

    def test_cuda(self):
        self.assertEqual(self.run_guard(cuda(QUIET), cuda(QUIET))[0], 0)
        status, text = self.run_guard(cuda(QUIET), cuda([1.05 * x for x in QUIET]))
        self.assertEqual(status, 1)
        self.assertIn("8x32768/query_head", text)

    def test_unusable(self):
        good = google({"a": QUIET})
        for bad in ("", "{}", "[]", google({}), google({"a": QUIET[:2]})):
            status, text = self.run_guard(good, bad)
            self.assertEqual(status, 2, text)


if __name__ == "__main__":
    unittest.main()
