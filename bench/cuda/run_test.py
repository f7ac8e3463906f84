#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Tests of what run.py does without a GPU, on made-up times and made-up measuring processes."""

import ctypes
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import library
import run

# Hangs or dies at subject `bad` of place 2, or at all, unless told to skip it.
MEASURING = """
import json, os, sys, time
fd, how, state = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
def send(**message): os.write(fd, (json.dumps(message) + "\\n").encode())
send(event="step", subject=None, step="start")
if not state["head"]: send(event="head", data={"device": "none"})
for n in (1, 2):
    if n in state["done"]: continue
    for name in ("good", "bad", "worse", "worst", "last") if how == "all" else ("good", "bad"):
        if name in state["skip"] or (name != "good" and "*" in state["skip"]): continue
        send(event="step", subject=name, step="check")
        if name != "good" and n == 2:
            if how == "hang": time.sleep(60)
            if how == "broken":
                send(event="broken", subject=name, step="check", error="illegal address")
                os._exit(3)
            os.abort()
    send(event="place", number=n, points=[{"name": str(n), "label": ""}])
send(event="done")
"""


class Supervise(unittest.TestCase):
    def supervised(self, how):
        state = {"head": None, "points": [], "done": [], "skip": {}}

        def command(state, fd):
            return [sys.executable, "-c", MEASURING, str(fd), how, json.dumps(state)]

        return run.supervise(command, state, 1.0, 20.0, log=lambda text: None)

    def test_goes_on_after_a_bad_subject(self):
        for how, why in (("hang", "hung"), ("broken", "illegal address"), ("abort", "ended with -6")):
            with self.subTest(how):
                state = self.supervised(how)
                self.assertNotIn("stopped", state)
                self.assertEqual(state["done"], [1, 2])
                self.assertEqual([p["name"] for p in state["points"]], ["1", "2"])
                self.assertEqual(list(state["skip"]), ["bad"])
                self.assertIn(why, state["skip"]["bad"])

    def test_gives_up_the_library_after_three(self):
        state = self.supervised("all")
        self.assertEqual(list(state["skip"]), ["bad", "worse", "worst", "*"])
        self.assertEqual(state["done"], [1, 2])

    def test_stops_where_no_subject_is_to_blame(self):
        state = {"head": None, "points": [], "done": [], "skip": {}}
        run.supervise(lambda state, fd: [sys.executable, "-c", "raise SystemExit(2)"], state, 1.0, 20.0, log=lambda text: None)
        self.assertIn("ended with 2", state["stopped"])


class Interface(unittest.TestCase):
    def test_structures_are_those_of_the_compiler(self):
        lines = []
        for name, kind in library.STRUCTURES.items():
            offsets = ", ".join(f"offsetof(struct tka_bench_{name}, {field})" for field, _ in kind._fields_)
            lines.append(f"size_t {name}[] = {{sizeof(struct tka_bench_{name}), {offsets}}};")
            lines.append(f'for (int i = 0; i < {len(kind._fields_) + 1}; ++i) printf("%zu ", {name}[i]);')
        text = '#include "abi.h"\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {' + "\n".join(lines) + "}\n"
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "sizes.c"
            source.write_text(text)
            subprocess.run(["cc", "-I", str(library.HEADER.parent), str(source), "-o", f"{folder}/sizes"], check=True)
            found = [int(n) for n in subprocess.run([f"{folder}/sizes"], check=True, capture_output=True, text=True).stdout.split()]
        expected = []
        for kind in library.STRUCTURES.values():
            expected += [ctypes.sizeof(kind), *(getattr(kind, field).offset for field, _ in kind._fields_)]
        self.assertEqual(found, expected)
        self.assertGreater(len(expected), 50)

    def test_functions(self):
        declared = library.HEADER.read_text("utf-8").count(" tka_bench_")
        self.assertEqual(library.FUNCTIONS["abi"], (ctypes.c_int32, []))
        self.assertEqual(library.FUNCTIONS["spin"], (ctypes.c_int32, [ctypes.c_int64, ctypes.c_void_p]))
        self.assertEqual(library.FUNCTIONS["status_text"], (ctypes.c_char_p, [ctypes.c_int32]))
        self.assertLess(len(library.FUNCTIONS), declared)
        self.assertGreaterEqual(len(library.FUNCTIONS), 17)


class Results(unittest.TestCase):
    def state(self, **ceilings):
        found = {"read_bytes_per_second": 4.6e12, "gather_bytes_per_second": 4.4e12, "launch_us": 0.6} | ceilings
        build = {"commit": "c", "dirty": False, "compiler": "n", "architecture": "sm_90a", "stale": False}
        timed = {"k_bytes": 4e8, "v_bytes": 0, "samples": {"median_ms": [0.1, 0.11, 0.1], "process": [0, 1, 2]}}
        return {
            "head": {"device": "NVIDIA H200", "driver": "1", "torch": "2", "ceilings": found, "libraries": {"": build, "after": build}},
            "points": [
                {"name": "full/a:1", "label": "", **timed},
                {"name": "full/b:1", "label": "", "refused": "infeasible"},
                {"name": "full/a:1", "label": "after", **timed, "same_bits_as_before": False},
            ],
        }

    def test_result(self):
        result = run.result_of(self.state(), "", {"command": "run.py"})
        good, bad = result["points"]
        self.assertEqual([good["median_ms"], good["axes"], bad["refused"]], [0.1, {"a": 1}, "infeasible"])
        self.assertAlmostEqual(good["floor_ms"], (4e8 / 4.6e12 + 0.6e-6) * 1e3, 5)
        self.assertNotIn("rejected", result)
        self.assertEqual(result["commit"], "c")
        self.assertEqual(list(run.remarks(result)), ["full/b:1: infeasible"])
        result["points"].append({"name": "full/c:1", "refused": "infeasible"})
        self.assertEqual(list(run.remarks(result)), ["full/b:1 and 1 more: infeasible"])
        after = run.result_of(self.state(), "after", {})
        self.assertEqual(list(run.remarks(after)), ["full/a:1: other bits than before"])

    def test_slow_device_is_rejected(self):
        for name, value in (("read_bytes_per_second", 4e12), ("gather_bytes_per_second", 2e12), ("launch_us", 0.9)):
            result = run.result_of(self.state(**{name: value}), "", {})
            self.assertIn(name, result["rejected"][0])

    def test_incomplete_build_is_rejected(self):
        state = self.state()
        state["points"][1]["refused"] = "this build has no attend/a/b/c/d"
        self.assertIn("attend/a/b/c/d", run.result_of(state, "", {})["rejected"][0])


if __name__ == "__main__":
    unittest.main()
