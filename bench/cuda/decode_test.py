#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Tests of what decode.py does without a GPU, on made-up times and made-up measuring processes."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import decode

# Hangs or dies at contender `bad` of point 2, or at all, unless told to skip it.
MEASURING = """
import json, os, sys, time
fd, how, state = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
def send(**message): os.write(fd, (json.dumps(message) + "\\n").encode())
send(event="step", contender=None, step="start")
if not state["head"]: send(event="head", data={"device": "none"})
for n in (1, 2):
    if [n, 1024] in state["done"]: continue
    for name in ("good", "bad", "worse", "worst", "last") if how == "all" else ("good", "bad"):
        if name in state["skip"] or (name != "good" and "*" in state["skip"]): continue
        send(event="step", contender=name, step="check", point=[n, 1024])
        if name != "good" and n == 2:
            if how == "hang": time.sleep(60)
            if how == "broken":
                send(event="broken", contender=name, step="check", point=[n, 1024], error="illegal address")
                os._exit(3)
            os.abort()
    send(event="point", data={"batch": n, "kv_len": 1024, "contenders": state["skip"]})
send(event="done")
"""


class Supervise(unittest.TestCase):
    def supervised(self, how):
        state = {"head": None, "points": [], "done": [], "skip": {}}

        def command(state, fd):
            return [sys.executable, "-c", MEASURING, str(fd), how, json.dumps(state)]

        return decode.supervise(command, state, 1.0, 20.0, log=lambda text: None)

    def test_goes_on_behind_a_bad_contender(self):
        for how, why in (("hang", "hung"), ("broken", "illegal address"), ("abort", "ended with -6")):
            with self.subTest(how):
                state = self.supervised(how)
                self.assertNotIn("stopped", state)
                self.assertEqual(state["done"], [[1, 1024], [2, 1024]])
                self.assertEqual(list(state["skip"]), ["bad"])
                self.assertIn(why, state["skip"]["bad"])
                self.assertEqual(state["points"][0]["contenders"], {})
                self.assertIn("bad", state["points"][1]["contenders"])

    def test_gives_up_the_library_behind_three(self):
        state = self.supervised("all")
        self.assertEqual(list(state["skip"]), ["bad", "worse", "worst", "*"])
        self.assertEqual(state["done"], [[1, 1024], [2, 1024]])

    def test_stops_where_no_contender_is_to_blame(self):
        state = {"head": None, "points": [], "done": [], "skip": {}}
        decode.supervise(
            lambda state, fd: [sys.executable, "-c", "raise SystemExit(2)"], state, 1.0, 20.0, log=lambda text: None
        )
        self.assertIn("ended with 2", state["stopped"])


class Words(unittest.TestCase):
    def test_points(self):
        self.assertEqual(decode.points_of("64x8K, 1x1M,2x100"), [[64, 8192], [1, 1 << 20], [2, 100]])
        self.assertEqual(decode.point_text(8, 131072), "8x128K")
        with self.assertRaises(SystemExit):
            decode.points_of("8K")


    def test_schedules(self):
        self.assertEqual(decode.schedules_of(["a=workers:132,stages:2"]), {"a": {"workers": 132, "stages": 2}})
        for wrong in ("workers:3", "a=threads:3", "a=workers", "a=workers:x"):
            with self.assertRaises(SystemExit):
                decode.schedules_of([wrong])


class Results(unittest.TestCase):
    def result(self):
        good = {"ok": True, "problem": None}
        timed = {"check": good, "spread": 0.01, "same_bits_in_graph": True}
        return {
            "device": "NVIDIA H200",
            "ceilings": {"read_gbs": 4000.0, "gather_256b_gbs": 4300.0},
            "libraries": {"": {"stale": False}},
            "points": [
                {
                    "batch": 8,
                    "kv_len": 32768,
                    "k_bytes": 400_000_000,
                    "v_bytes_query_head": 80_000_000,
                    "v_bytes_kv_group": 40_000_000,
                    "contenders": {
                        "composed": {**timed, "us": 500.0},
                        "cudnn": {**timed, "us": 250.0, "spread": 0.2},
                        "flash": {"error": "RuntimeError: no"},
                        "query_head": {**timed, "us": 200.0},
                        "bound_1m": {**timed, "us": 204.0},
                        "kv_group": {"check": {"ok": False, "problem": "not the k largest"}},
                    },
                }
            ],
        }

    def test_finish(self):
        result = decode.finish(self.result(), "composed")
        ours = result["points"][0]["contenders"]["query_head"]
        self.assertAlmostEqual(ours["k_gbs"], 2000.0)
        self.assertAlmostEqual(ours["read_share"], 0.5)
        self.assertEqual(ours["bytes"], 480_000_000)
        self.assertAlmostEqual(ours["bytes_share"], 0.6)
        row = result["rows"][0]
        self.assertAlmostEqual(row["over_composed"], 2.5)
        self.assertAlmostEqual(row["over_cudnn"], 1.25)
        self.assertIsNone(row["kv_group_us"])
        self.assertIsNone(row["flash_us"])

    def test_wrong_times_make_no_ratios(self):
        result = self.result()
        ours = result["points"][0]["contenders"]["query_head"]
        ours["check"] = {"ok": False, "problem": "not the k largest"}
        row = decode.finish(result, "composed")["rows"][0]
        self.assertIsNone(row["query_head_us"])
        self.assertIsNone(row["over_composed"])
        self.assertIn("200.0!", decode.table(result))

    def test_complaints(self):
        lines = decode.complaints(decode.finish(self.result(), "composed"))
        self.assertEqual(len(lines), 4)
        self.assertTrue(lines[0].startswith("REJECT: read_gbs is 4000"))
        self.assertIn("8x32K cudnn: spread 20%", lines)
        self.assertIn("8x32K flash: RuntimeError: no", lines)
        self.assertIn("8x32K kv_group: WRONG, not the k largest", lines)

    def test_table(self):
        result = decode.finish(self.result(), "composed")
        last = decode.table(result).splitlines()[-1].split()
        self.assertEqual(last[:4], ["8x32K", "200.0", "204.0", "-"])
        self.assertEqual(last[-4:], ["2.50", "1.25", "50%", "1.020"])
        self.assertIn("composed -5%, cudnn -0%", decode.other_tables(result))


if __name__ == "__main__":
    unittest.main()
