#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Builds the CPU benchmark with three sets of flags, runs it and writes bench/results/cpu.json.

    bench/cpu/run.py [--repetitions 9] [--output bench/results/cpu.json]

Bandwidth is the best repetition of each run, every other figure the median of its repetitions.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRESETS = {"default": "bench-baseline", "AVX2": "bench-avx2", "native": "bench"}


def command(*words):
    return subprocess.run(words, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout


def run(preset, repetitions):
    """The raw repetitions of one build: {benchmark: [entry, ...]}."""
    command("cmake", "--preset", preset)
    command("cmake", "--build", "--preset", preset)
    out = ROOT / "build" / preset / "decode.json"
    command(
        str(ROOT / "build" / preset / "bench" / "bench_decode"),
        f"--benchmark_repetitions={repetitions}",
        "--benchmark_min_time=0.05",
        f"--benchmark_out={out}",
    )
    data = json.loads(out.read_text())
    entries = {}
    for entry in data["benchmarks"]:
        if entry.get("run_type") == "iteration":
            entries.setdefault(entry["run_name"], []).append(entry)
    return data["context"], entries


def median(entries, key):
    return statistics.median(entry[key] for entry in entries)


def rows_of(flags, entries):
    """One row for each precision, length and group."""
    bandwidth = max(e["bytes_per_second"] for e in entries["read_bandwidth/real_time"])
    rows = []
    for name in entries:
        kind, _, rest = name.partition("/")
        if kind != "call":
            continue
        parts = dict(part.split(":") for part in rest.split("/")[1:-1])
        scores = entries[name.replace("call/", "scores/", 1)]
        call = entries[name]
        rows.append(
            {
                "flags": flags,
                "precision": rest.split("/")[0],
                "kv_len": int(parts["kv_len"]),
                "group": int(parts["group"]),
                "bandwidth_gbs": bandwidth / 1e9,
                "score_ms": median(scores, "real_time"),
                "score_gbs": median(scores, "bytes_per_second") / 1e9,
                "score_share": median(scores, "bytes_per_second") / bandwidth,
                "call_ms": median(call, "real_time"),
                "call_min_ms": min(e["real_time"] for e in call),
                "call_share": median(call, "bytes_per_second") / bandwidth,
            }
        )
    return rows


def prefill_of(flags, entries):
    return [
        {
            "flags": flags,
            "tokens": int(name.split("tokens:")[1].split("/")[0]),
            "ms": median(found, "real_time"),
            "scratch_bytes": int(found[0]["scratch_bytes"]),
        }
        for name, found in entries.items()
        if name.startswith("prefill/")
    ]


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "bench/results/cpu.json")
    options = parser.parse_args()
    result = {
        "device": processor(),
        "commit": command("git", "rev-parse", "HEAD").strip(),
        "dirty": bool(command("git", "status", "--porcelain", "--untracked-files=no").strip()),
        "command": f"bench/cpu/run.py --repetitions {options.repetitions}",
        "rows": [],
        "prefill": [],
    }
    for flags, preset in PRESETS.items():
        context, entries = run(preset, options.repetitions)
        result["threads"] = 2
        result["caches"] = context["caches"]
        result["rows"] += rows_of(flags, entries)
        result["prefill"] += prefill_of(flags, entries)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    print(options.output)


if __name__ == "__main__":
    main()
