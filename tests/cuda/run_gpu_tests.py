#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""run_gpu_tests.py FOLDER [--log FILE] [--no-sanitizer] [--only NAME]... [--jobs N]

Runs every GPU test and CUDA example of FOLDER (build/cuda/cuda_tests: programs built before, perhaps
elsewhere) and a small suite under the four tools of compute-sanitizer, N of them at a time on the one GPU, and
writes a log. A skipped test is a failure.

FOLDER/SOURCE_HASH, written when the programs were built, says of which sources they are; the log is
kept as tests/gpu_results/<device>.json, where .ci/check_gpu_log.py compares that hash with the tree."""

import argparse
import concurrent.futures
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

# Small, tie-heavy and through every kind of call.
SANITIZED = {
    "racecheck": [("attend_pairwise_cuda_test", "*several*"), ("cuda_sanitizer_test", "*")],
    "memcheck": [
        ("attend_pairwise_cuda_test", "*several*,*decode*"),
        ("errors_data_error_cuda_test", "*"),
        ("errors_given_positions_cuda_test", "*"),
        ("select_order_cuda_test", "*equal scores*,*NaN ranks*,*around tiles*"),
    ],
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
    except OSError as e:
        status, text = 1, str(e)
    return status, text, round(time.time() - start, 1)


REQUIRED = {"TKA_REQUIRE_GPU": "1"}
# Only memcheck needs buffers without room between them.
SMALL = {**REQUIRED, "TKA_TEST_FAST": "1", "TKA_TEST_NO_CANARIES": "1"}


def run_test(program):
    status, text, seconds = run([str(program)], REQUIRED)
    word = report(program.name, status, text, seconds)
    total, _, failed, skipped = cases_of(text)
    return {"program": program.name, "result": word, "cases": total, "failed": failed, "skipped": skipped,
            "seconds": seconds, "sha256": hashlib.sha256(program.read_bytes()).hexdigest()}


def run_sanitized(tool, kind, program, cases):
    command = [tool, "--tool", kind, "--error-exitcode", "9", str(program), f"--test-case={cases}"]
    status, text, seconds = run(command, SMALL)
    clean = status == 0 and "ERROR SUMMARY: 0 errors" in text or "RACECHECK SUMMARY: 0 hazards" in text
    status = status if clean or status != 0 else 9
    word = report(f"{kind}: {program.name} {cases}", status, text, seconds)
    return {"tool": kind, "program": program.name, "cases": cases, "result": word, "seconds": seconds}


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
    parser.add_argument("--jobs", type=int, default=min(6, os.cpu_count() or 1))
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
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    suite = [] if arguments.no_sanitizer else [
        (tool, kind, arguments.folder / program, cases) for kind, runs in SANITIZED.items() for program, cases in runs
        if not arguments.only or program in arguments.only]
    # The sanitizer's runs are the longest and begin first.
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        sanitized = [pool.submit(run_sanitized, *item) for item in suite]
        tests = [pool.submit(run_test, program) for program in programs]
        log["sanitizer"] = [job.result() for job in sanitized]
        log["tests"] = [job.result() for job in tests]

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
