#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Tests of the points, and of the JSON that is made of them."""

import unittest

import compile_time
import points
import results


class Points(unittest.TestCase):
    def test_points(self):
        for machine in points.MACHINES:
            listed = points.points(machine)
            names = [points.name_of(p) for p in listed]
            self.assertEqual(len(names), len(set(names)))
            self.assertEqual(any(n.startswith("short/") for n in names), machine == "cpu")
            compiled = points.combinations(machine)
            for point in listed:
                axes = results.axes_of(points.name_of(point))
                self.assertEqual({**point, **axes, "selection": 0}, {**point, "selection": 0})
                if "peer" in point:
                    continue
                self.assertIn(points.combination_of(point), compiled)
                if machine == "cpu" and points.reference_of(point):
                    self.assertIn(points.reference_of(point), compiled)
                if point["kv"] == "paged":
                    self.assertEqual(point["kv_len"] % points.PAGE_SIZE, 0)
            for combination in compiled:
                self.assertEqual(len(points.types_of(combination)), 4)
                self.assertIn("call", compile_time.source_of(machine, combination))

    def test_suites(self):
        every = {points.name_of(p).partition("/")[2] for p in points.points("cuda")}
        for suite in points.CUDA_SUITES:
            names = {points.name_of(p).partition("/")[2] for p in points.points("cuda", [suite])}
            self.assertTrue(names and names <= every)

    def test_few_combinations_for_cuda(self):
        self.assertLessEqual(len(points.combinations("cuda")), 19)  # up to 22 s each
        only = points.combinations("cuda", ["attend/exact_radix/query_head/bf16/contiguous"])
        self.assertEqual(len(only), 1)

    def test_names_show_what_differs(self):
        names = [points.name_of(p) for p in points.points("cuda", ["prefill"]) if p["q_len"] == 8192 and "peer" not in p]
        self.assertEqual([n.partition("/cache:cold/")[2] for n in names], ["q_len:8192", "q_len:8192/scratch:4G"])
        self.assertEqual(points.heads_of({"heads": "128-1x576-512"}), (128, 1, 576, 512))
        self.assertEqual(points.heads_of({}), (32, 8, 128, 128))

    def test_wrong_combination(self):
        with self.assertRaises(SystemExit):
            points.types_of("attend/exact_radix/bf16/query_head/contiguous")

    def test_recorded(self):
        text = points.recorded_source()
        self.assertEqual(text.count("f, {"), 8)


class Json(unittest.TestCase):
    def test_medians(self):
        samples = {"median_ms": [2.0, 1.0, 1.1, 0.9, 1.0], "read_before": [50, 40, 40, 40, 40], "read_after": [40] * 5}
        found = [{"name": "a", "axes": {}, "k_bytes": 30.0, "v_bytes": 10.0, "samples": samples}]
        results.finish(found, {"read_bytes_per_second": 80e3})
        self.assertEqual(found[0]["median_ms"], 1.0)  # without the repetition that met another bandwidth
        self.assertEqual(found[0]["floor_ms"], 0.5)
        self.assertEqual(found[0]["read_share"], 0.5)

    def test_tables(self):
        base = points.name_of(points.CUDA_BASE)
        dense = points.name_of({**points.CUDA_BASE, "peer": "sdpa_cudnn"})
        text = results.short_tables({"points": [{"name": base, "median_ms": 0.2}, {"name": dense, "refused": "no"}]})
        row = text.splitlines()[1].split()
        self.assertEqual(row[:3], ["8x32K", "200.0", "-"])

    def test_axes(self):
        self.assertEqual(results.axes_of("full/selection:bucketed_0.9/k:64"), {"selection": "bucketed_0.9", "k": 64})



if __name__ == "__main__":
    unittest.main()
