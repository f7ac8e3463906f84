#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""check_gpu_log.py: fails where no log of tests/gpu_results/ is of the sources that stand here, or of others
that same_code.py found to compile to the same code, with every test run, none failed and none skipped, the
sanitizer's included."""

import json
import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests/cuda"))
sys.dont_write_bytecode = True
from source_hash import source_hash  # noqa: E402


def problem_of(log, wanted):
    counts = log["counts"]
    if wanted not in (log["source_hash"], log.get("same_code", {}).get("source_hash")):
        return f"is of other sources ({log['source_hash'][:12]}, not {wanted[:12]}); run the GPU tests again"
    if counts["failed"] or counts["skipped"]:
        return f"has {counts['failed']} failed and {counts['skipped']} skipped"
    if not (log["whole"] and counts["programs"] and counts["sanitizer_runs"] and log["device"]):
        return "is not of a whole run on a GPU"
    return ""


def main():
    wanted = source_hash()
    problems = []
    for path in sorted((TOP / "tests/gpu_results").glob("*.json")):
        problem = problem_of(json.loads(path.read_text()), wanted)
        if not problem:
            of = "these sources" if json.loads(path.read_text())["source_hash"] == wanted else "the same code"
            print(f"{path.relative_to(TOP)}: of {of}, all passed")
            return 0
        problems.append(f"{path.relative_to(TOP)} {problem}")
    for problem in problems or ["tests/gpu_results: there is no log"]:
        print(problem, file=sys.stderr)
    return 1


sys.exit(main())
