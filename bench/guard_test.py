#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Tests of guard.py, on small made-up files."""

import contextlib
import io
import json
import pathlib
import random
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


def in_turn(points, turns=7, rounds=8):
    """The form of run_matrix.py: {name: function of a round, giving its two repetitions}."""
    return {"turns": turns, "points": [
        {"name": name, "samples": {"least_ms": [x for r in range(rounds) for x in of(r)],
                                   "process": [r for r in range(rounds) for _ in range(2)]}}
        for name, of in points.items()]}


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

    def test_rounds(self):
        slow_spell = [1.0, 1.3, 1.3, 1.0, 1.0, 1.2, 1.0, 1.0]  # what the machine did in each round

        def program(factor):
            return in_turn({name: lambda r, n=n: [factor * (1 + 0.004 * ((3 * r + n) % 5)) * slow_spell[r]] * 2
                            for n, name in enumerate("abc")})

        before = program(1.0)
        self.assertEqual(self.run_guard(before, program(1.0))[0], 0)
        status, text = self.run_guard(before, program(1.05))
        self.assertEqual(status, 1)
        self.assertIn("3 of 3 points moved", text)
        self.assertIn("SLOWER   +5.0%", text)
        self.assertIn("faster", self.run_guard(program(1.05), before)[1])
        self.assertEqual(self.run_guard(before, program(1.05), "--minimum", "0.06")[0], 0)
        # The same figures of programs that did not take turns scatter too much.
        self.assertEqual(self.run_guard(before, {**program(1.05), "turns": 8})[0], 0)

    def test_rounds_with_another_bandwidth(self):
        def program(factor):
            data = in_turn({"a": lambda r: [factor * (1 + 0.004 * (r % 3))] * 2})
            rates = [1.0, 1.0, 1.5, 1.5] * 4  # every second round; the usual rate leaves too few of the others
            data["points"][0]["samples"].update(read_before=rates, read_after=rates)
            return data

        self.assertEqual(self.run_guard(program(1.0), program(1.05))[0], 1)
        self.assertEqual(self.run_guard(program(1.0), program(1.0))[0], 0)

    def test_rounds_that_disagree(self):
        # Half of the rounds of the second program met a slow machine: its repetitions agree with one another.
        steady = in_turn({"a": lambda r: [1.0, 1.0]})
        restless = in_turn({"a": lambda r: [1.2, 1.2] if r % 2 else [0.999, 0.999]})
        self.assertEqual(self.run_guard(steady, restless)[0], 0)
        # In all but one: swapping that one's names would stand out further.
        nearly = in_turn({"a": lambda r: [0.8, 0.8] if r == 3 else [1.2, 1.2]})
        self.assertEqual(self.run_guard(steady, nearly)[0], 0)

    def test_rounds_judge_all_points_at_once(self):
        # `b` stands out further than `a` once the names of round 5 are swapped: what `a` shows may be luck.
        def of(a, b):
            return in_turn({"a": lambda r: [1.0 + a] * 2, "b": lambda r: [1 / (1.0 + b) if r == 5 else 1.0 + b] * 2})

        self.assertEqual(self.run_guard(of(0, 0), of(0.05, 0.06))[0], 0)
        self.assertEqual(self.run_guard(of(0, 0), of(0.05, 0.0))[0], 1)

    def test_few_rounds(self):
        few = {"rounds": 6}
        status, text = self.run_guard(in_turn({"a": lambda r: [1, 1.001]}, **few), in_turn({"a": lambda r: [1.05, 1.051]}, **few))
        self.assertIn("allowed 3.0%", text)  # as if they had not taken turns
        self.assertEqual(status, 1)

    def test_false_reports(self):
        # The same program on a machine that drifts: a coin says which of a round's two is slower.
        coin = random.Random(3)
        reported = 0
        for _ in range(100):
            points = {name: [[coin.gauss(1.0, 0.01), coin.gauss(1.0, 0.01)] for _ in range(8)] for name in "abcd"}
            drift = [coin.choice([1.0, 1.15]) for _ in range(16)]

            def half(i, points=points, drift=drift):
                return in_turn({n: lambda r, of=of: [of[r][i] * drift[2 * r + i]] * 2 for n, of in points.items()})
            reported += self.run_guard(half(0), half(1))[0]
        self.assertLessEqual(reported, 4)  # 0.8 expected

    def test_what_cannot_be_compared(self):
        one = {"device": "one", **in_turn({"a": lambda r: [1.0, 1.0]})}
        for other in ({**one, "device": "two"}, {**one, "rejected": ["too slow"]}):
            self.assertEqual(self.run_guard(one, other)[0], 2)
        self.assertEqual(self.run_guard(one, {**one, "flags": ["-O2"]})[0], 0)

    def test_cuda(self):
        self.assertEqual(self.run_guard(cuda(QUIET), cuda(QUIET))[0], 0)
        status, text = self.run_guard(cuda(QUIET), cuda([1.05 * x for x in QUIET]))
        self.assertEqual(status, 1)
        self.assertIn("8x32768/query_head", text)

    def test_compile_times(self):
        def times(seconds):
            return {"compile_seconds": {"a": seconds, "b": 1.0}}

        self.assertEqual(self.run_guard(times(10.0), times(10.9))[0], 0)
        status, text = self.run_guard(times(10.0), times(11.5))
        self.assertEqual(status, 1)
        self.assertIn("1 of 2", text)

    def test_unusable(self):
        good = google({"a": QUIET})
        for bad in ("", "{}", "[]", google({}), google({"a": QUIET[:2]})):
            status, text = self.run_guard(good, bad)
            self.assertEqual(status, 2, text)


if __name__ == "__main__":
    unittest.main()
