#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""run_gpu_tests.py FOLDER [--log FILE] [--no-sanitizer] [--only NAME]...

Runs every GPU test and CUDA example of FOLDER (build/cuda/cuda_tests: programs built before, perhaps
elsewhere), then a small suite under the four tools of compute-sanitizer, and writes a log. A skipped test is a failure.

FOLDER/SOURCE_HASH, written when the programs were built, says of which sources they are; the log is
kept as tests/gpu_results/<device>.json, where .ci/check_gpu_log.py compares that hash with the tree."""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
SECONDS_PER_TEST = 300

# Small, tie-heavy and through every kind of call; racecheck is the slowest of the tools.
SANITIZED = {
    "memcheck": [
        ("attend_pairwise_cuda_test", "*several*,*decode*"),
        ("errors_data_error_cuda_test", "*"),
        ("errors_given_positions_cuda_test", "*"),
        ("select_order_cuda_test", "*equal scores*,*NaN ranks*,*around tiles*"),
    ],
    "racecheck": [("attend_pairwise_cuda_test", "*several*"), ("cuda_sanitizer_test", "*")],
    "initcheck": [("attend_pairwise_cuda_test", "*several*"), ("cuda_sanitizer_test", "*")],
    "synccheck": [("attend_pairwise_cuda_test", "*several*"), ("cuda_sanitizer_test", "*")],
}


def first_line(*command):
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return ""


def device():
    fields = first_line("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader").split(", ")
    return fields if len(fields) == 2 else ["", ""]


def run(command, environment):
    start = time.time()
    try:
        done = subprocess.run(command, env={**os.environ, **environment}, timeout=SECONDS_PER_TEST,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        status, text = done.returncode, done.stdout
    except subprocess.TimeoutExpired as e:
        status, text = 124, (e.stdout or b"").decode(errors="replace") if isinstance(e.stdout, bytes) else e.stdout or ""
    return status, text, round(time.time() - start, 1)


def cases_of(text):
    found = re.findall(r"test cases: *(\d+) \| *(\d+) passed \| *(\d+) failed \| *(\d+) skipped", text)
    return [int(x) for x in found[-1]] if found else [0, 0, 0, 0]


def report(name, status, text, seconds):
    word = "passed" if status == 0 else "SKIPPED" if status == 77 else "FAILED"
    print(f"{word:8} {name:55} {seconds:7.1f} s", flush=True)
    if status not in (0, 77):
        print(text[-6000:], flush=True)
    return word.lower()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--log", type=pathlib.Path)
    parser.add_argument("--no-sanitizer", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    arguments = parser.parse_args()

    programs = sorted(p for p in arguments.folder.iterdir()
                      if re.fullmatch(r"\w+_test|example_\w+", p.name) and os.access(p, os.X_OK))
    if arguments.only:
        programs = [p for p in programs if p.name in arguments.only]
    if not programs:
        sys.exit(f"no tests in {arguments.folder}")
    name, driver = device()
    hash_file = arguments.folder / "SOURCE_HASH"
    log = {
        "device": name,
        "driver": driver,
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["tests/cuda/run_gpu_tests.py", *(a for a in sys.argv[1:])]),
        "source_hash": hash_file.read_text().strip() if hash_file.is_file() else "",
        "whole": not arguments.only and not arguments.no_sanitizer,
        "tests": [],
        "sanitizer": [],
    }
    required = {"TKA_REQUIRE_GPU": "1"}
    for program in programs:
        status, text, seconds = run([str(program)], required)
        word = report(program.name, status, text, seconds)
        total, passed, failed, skipped = cases_of(text)
        log["tests"].append({"program": program.name, "result": word, "cases": total, "failed": failed,
                             "skipped": skipped, "seconds": seconds,
                             "sha256": hashlib.sha256(program.read_bytes()).hexdigest()})

    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    small = {**required, "TKA_TEST_FAST": "1", "TKA_TEST_NO_CANARIES": "1"}
    for kind, suite in ({} if arguments.no_sanitizer else SANITIZED).items():
        for program, cases in suite:
            path = arguments.folder / program
            if arguments.only and program not in arguments.only:
                continue
            command = [tool, "--tool", kind, "--error-exitcode", "9", str(path), f"--test-case={cases}"]
            # Only memcheck needs buffers without room between them.
            status, text, seconds = run(command, small) if path.is_file() else (1, f"no {path}", 0.0)
            clean = status == 0 and "ERROR SUMMARY: 0 errors" in text or "RACECHECK SUMMARY: 0 hazards" in text
            status = status if clean or status != 0 else 9
            word = report(f"{kind}: {program} {cases}", status, text, seconds)
            log["sanitizer"].append({"tool": kind, "program": program, "cases": cases, "result": word,
                                     "seconds": seconds})

    log["counts"] = {
        "programs": len(log["tests"]),
        "cases": sum(t["cases"] for t in log["tests"]),
        "failed": sum(t["result"] == "failed" for t in log["tests"] + log["sanitizer"]),
        "skipped": sum(t["skipped"] for t in log["tests"]) + sum(t["result"] == "skipped" for t in log["tests"]),
        "sanitizer_runs": len(log["sanitizer"]),
    }
    file = arguments.log or TOP / "tests/gpu_results" / (re.sub(r"\W+", "_", name.lower() or "none") + ".json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(log, indent=1) + "\n")
    print(json.dumps(log["counts"]), f"-> {file}")
    return 1 if log["counts"]["failed"] or log["counts"]["skipped"] else 0


if __name__ == "__main__":
    sys.exit(main())
