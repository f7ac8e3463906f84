#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Tests of the matrix, of the JSON made from it, and of the runner on a GPU, with a made-up program."""

import importlib.util
import json
import pathlib
import stat
import sys
import tempfile
import unittest

import compile_time
import matrix
import results

HERE = pathlib.Path(__file__).resolve().parent
SPEC = importlib.util.spec_from_file_location("run_matrix_cuda", HERE / "cuda/run_matrix.py")
run_matrix = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run_matrix)

# Takes 100 us at one point, longer with --delay; refuses another.
PROGRAM = """#!{python}
import json, sys
words = dict(w.lstrip("-").partition("=")[::2] for w in sys.argv[1:])
ms = 0.1 * (1 + float(words.get("delay", 0)) / 100)
entry = {{"run_type": "iteration", "real_time": ms, "median_ms": ms, "least_ms": ms, "k_bytes": 4e8, "v_bytes": 0,
          "run_name": "short/selection:exact_radix/batch:8/iterations:1/manual_time"}}
bad = {{"run_type": "iteration", "run_name": "full/batch:256/iterations:1/manual_time", "error_occurred": True,
        "error_message": "{refused}"}}
context = {{"device": "NVIDIA H200", "cuda": "13000", "cub": "1", "date": "-", "launch_us": "{launch}",
            "delay_percent": words.get("delay", "0"), "read_bytes_per_second": "{read}",
            "gather_bytes_per_second": "4.4e12"}}
count = int(words["benchmark_repetitions"])
json.dump({{"context": context, "benchmarks": [entry] * count + [bad] * count}}, open(words["benchmark_out"], "w"))
"""


class Matrix(unittest.TestCase):
    def test_points(self):
        for machine in matrix.MACHINES:
            points = matrix.points(machine)
            names = [matrix.name_of(p) for p in points]
            self.assertEqual(len(names), len(set(names)))
            self.assertTrue(any(n.startswith("short/") for n in names))
            compiled = matrix.combinations(machine)
            for point in points:
                if "peer" not in point:
                    self.assertIn(matrix.combination_of(point), compiled)
                if matrix.reference_of(point):
                    self.assertIn(matrix.reference_of(point), compiled)
                if point["kv"] == "paged":
                    self.assertEqual(point["kv_len"] % 64, 0)
            for combination in compiled:
                self.assertEqual(len(matrix.types_of(combination)), 4)
                self.assertIn("call", compile_time.source_of(machine, combination))

    def test_few_combinations_for_cuda(self):
        self.assertLessEqual(len(matrix.combinations("cuda")), 17)  # half a minute each
        only = matrix.combinations("cuda", ["attend/exact_radix/query_head/bf16/contiguous"])
        self.assertEqual(len(only), 1)

    def test_wrong_combination(self):
        with self.assertRaises(SystemExit):
            matrix.types_of("attend/exact_radix/bf16/query_head/contiguous")

    def test_recorded(self):
        text = matrix.recorded_source()
        self.assertEqual(text.count("f, {"), 8)


class Json(unittest.TestCase):
    def test_medians(self):
        samples = {"median_ms": [2.0, 1.0, 1.1, 0.9, 1.0], "read_before": [50, 40, 40, 40, 40], "read_after": [40] * 5}
        points = [{"name": "a", "axes": {}, "k_bytes": 30.0, "v_bytes": 10.0, "samples": samples}]
        results.finish(points, {"read_bytes_per_second": 80e3})
        self.assertEqual(points[0]["median_ms"], 1.0)  # without the repetition that met another bandwidth
        self.assertEqual(points[0]["floor_ms"], 0.5)
        self.assertEqual(points[0]["read_share"], 0.5)

    def test_axes(self):
        self.assertEqual(results.axes_of("full/selection:bucketed_0.9/k:64"), {"selection": "bucketed_0.9", "k": 64})


class OnGpu(unittest.TestCase):
    def run_it(self, read, *words, launch="0.5", refused="infeasible"):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "program"
            program.write_text(PROGRAM.format(python=sys.executable, read=read, launch=launch, refused=refused))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            output = pathlib.Path(folder) / "out.json"
            before, out = sys.argv, sys.stdout
            sys.argv = ["run_matrix.py", "--program", str(program), "--output", str(output)]
            sys.argv += [w.replace("@", folder + "/") for w in words]
            try:
                with open(pathlib.Path(folder) / "text", "w") as sys.stdout:
                    status = run_matrix.main()
            finally:
                sys.argv, sys.stdout = before, out
            return status, [json.loads(p.read_text()) for p in sorted(pathlib.Path(folder).glob("*.json"))]

    def test_result(self):
        status, (result,) = self.run_it("4.6e12")
        self.assertEqual(status, 0)
        good, bad = result["points"]
        self.assertEqual(good["name"], "short/selection:exact_radix/batch:8")
        self.assertEqual(len(good["samples"]["median_ms"]), 25)  # five processes of five
        self.assertAlmostEqual(good["floor_ms"], (4e8 / 4.6e12 + 0.5e-6) * 1e3, 5)
        self.assertEqual(bad["refused"], "infeasible")
        self.assertNotIn("rejected", result)

    def test_delayed(self):
        _, (slow, result) = self.run_it("4.6e12", "--delayed", "5=@delayed.json")
        self.assertEqual([slow["delay_percent"], result["delay_percent"]], [5.0, 0.0])
        self.assertAlmostEqual(slow["points"][0]["median_ms"], 0.105)

    def test_slow_device_is_rejected(self):
        status, (result,) = self.run_it("4.0e12")
        self.assertEqual(status, 3)
        self.assertIn("read_bytes_per_second", result["rejected"][0])
        status, (result,) = self.run_it("4.6e12", launch="0.7")
        self.assertEqual(status, 3)
        self.assertIn("launch_us", result["rejected"][0])

    def test_incomplete_build_is_rejected(self):
        status, (result,) = self.run_it("4.6e12", refused="this build has no attend/a/b/c/d")
        self.assertEqual(status, 3)
        self.assertIn("attend/a/b/c/d", result["rejected"][0])

    def test_torch_points(self):
        data = {
            "torch": "2", "cudnn": 9, "shape": {"k": 2048},
            "points": [{"batch": 8, "kv_len": 8192, "k_bytes": 1000, "v_bytes_query_head": 600, "contenders": {
                "query_head": {"us": 50.0}, "cudnn": {"samples_us": [60.0], "enqueue_us": 3.0},
                "composed": {"check": {"problem": "wrong"}}}}],
        }
        (dense, composed), about = run_matrix.torch_points(data)
        self.assertEqual(dense["name"], "peer/sdpa_cudnn/precision:bf16/batch:8/kv_len:8192")
        self.assertEqual(dense["samples"]["median_ms"], [0.06])
        self.assertEqual([dense[b] for b in ("k_bytes", "v_bytes")], [1000, 1000])
        self.assertEqual(run_matrix.work_of("composed", data["points"][0], 2048)["v_bytes"], 600)
        self.assertEqual(composed["refused"], "wrong")
        self.assertEqual(about["query_head_ms"], {"8x8192": 0.05})


if __name__ == "__main__":
    unittest.main()
