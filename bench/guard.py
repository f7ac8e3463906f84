#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Says which points of a benchmark moved between two runs, beyond what the runs themselves scatter.

    bench/guard.py BEFORE.json AFTER.json [--minimum 0.03] [--factor 3] [--statistic least_ms]

Either file may be Google Benchmark's output with repetitions, bench/results/matrix_cpu.json, or that
of bench/cuda/decode.py. A point has moved where the medians of its repetitions differ by more than
`--minimum` and by more than `--factor` times the scatter of both runs (median absolute deviations,
scaled to standard deviations, added as squares). A point that only one run has, or that only one
refuses, has moved too.

Exit status: 0 nothing moved, 1 something did, 2 the files cannot be compared.
"""

import argparse
import dataclasses
import json
import math
import pathlib
import statistics
import sys

FEWEST = 3  # samples of a point, below which there is no scatter to speak of


class Unusable(Exception):
    pass


@dataclasses.dataclass
class Point:
    samples: list
    refused: str = ""

    @property
    def median(self):
        return statistics.median(self.samples)

    @property
    def scatter(self):
        """A robust standard deviation, relative to the median."""
        middle = self.median
        deviations = [abs(x - middle) for x in self.samples]
        return 1.4826 * statistics.median(deviations) / middle


def of_google_benchmark(data, statistic):
    points = {}
    for entry in data["benchmarks"]:
        if entry.get("run_type", "iteration") != "iteration":
            continue
        point = points.setdefault(entry.get("run_name", entry["name"]), Point([]))
        if entry.get("error_occurred"):
            point.refused = entry["error_message"]
        else:
            point.samples.append(entry.get(statistic, entry["real_time"]))
    return points


def of_matrix(data, statistic):
    return {
        p["name"]: Point(p.get("samples", {}).get(statistic, []), p.get("refused", "")) for p in data["points"]
    }


def of_cuda(data):
    points = {}
    for place in data["points"]:
        for name, found in place["contenders"].items():
            point = points.setdefault(f"{place['batch']}x{place['kv_len']}/{name}", Point([]))
            if found.get("samples_us"):
                point.samples = found["samples_us"]
            else:
                point.refused = str(found.get("check", {}).get("problem") or "not timed")
    return points


def read(path, statistic):
    """{name: Point} of one file."""
    try:
        data = json.loads(pathlib.Path(path).read_text("utf-8"))
        if "benchmarks" in data:
            points = of_google_benchmark(data, statistic)
        elif "contenders" in data["points"][0]:
            points = of_cuda(data)
        else:
            points = of_matrix(data, statistic)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
        raise Unusable(f"{path}: not the output of a benchmark: {problem!r}") from problem
    few = [n for n, p in points.items() if not p.refused and len(p.samples) < FEWEST]
    if few:
        raise Unusable(
            f"{path}: {few[0]} has {len(points[few[0]].samples)} repetitions; {FEWEST} are the least,"
            " see --benchmark_repetitions"
        )
    if not points:
        raise Unusable(f"{path}: no points")
    return points


@dataclasses.dataclass
class Verdict:
    name: str
    moved: bool
    change: float = 0.0  # relative, of the medians
    allowed: float = 0.0
    note: str = ""

    def __str__(self):
        if self.note:
            return f"{'MOVED' if self.moved else 'same '}  {self.name}: {self.note}"
        word = "same " if not self.moved else "SLOWER" if self.change > 0 else "faster"
        return f"{word:6} {self.change:+7.1%} (allowed {self.allowed:.1%})  {self.name}"


def judge(name, before, after, minimum, factor):
    if before is None or after is None:
        return Verdict(name, True, note="only in the " + ("second" if before is None else "first") + " run")
    if before.refused or after.refused:
        moved = bool(before.refused) != bool(after.refused)
        which = "both runs" if not moved else "the first run" if before.refused else "the second run"
        return Verdict(name, moved, note=f"refused in {which}: {before.refused or after.refused}")
    # Relative to the smaller median, so that the two runs may be given in any order.
    low, high = sorted([before.median, after.median])
    distance = high / low - 1
    allowed = max(minimum, factor * math.hypot(before.scatter, after.scatter))
    change = after.median / before.median - 1
    return Verdict(name, distance > allowed, change, allowed)


def compare(before, after, minimum, factor):
    names = list(dict.fromkeys([*before, *after]))
    return [judge(n, before.get(n), after.get(n), minimum, factor) for n in names]


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--minimum", type=float, default=0.03, help="changes below this are never reported")
    parser.add_argument("--factor", type=float, default=3.0, help="how many deviations of both runs")
    parser.add_argument("--statistic", default="least_ms", help="counter that is compared; real_time where absent")
    parser.add_argument("--all", action="store_true", help="also say what did not move")
    options = parser.parse_args(words)
    try:
        before = read(options.before, options.statistic)
        after = read(options.after, options.statistic)
    except Unusable as problem:
        print(f"guard.py: {problem}", file=sys.stderr)
        return 2
    verdicts = compare(before, after, options.minimum, options.factor)
    moved = [v for v in verdicts if v.moved]
    for verdict in verdicts if options.all else moved:
        print(verdict)
    print(f"{len(moved)} of {len(verdicts)} points moved")
    return 1 if moved else 0


if __name__ == "__main__":
    sys.exit(main())
