#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Says which points of a benchmark moved between two runs, beyond what the runs themselves scatter.

    bench/guard.py BEFORE.json AFTER.json [--minimum 0.03] [--factor 3] [--all] ...

Either file may be Google Benchmark's output with repetitions, that of a run_matrix.py, of
bench/cuda/decode.py, or of bench/compile_time.py, where a tenth is allowed since each is taken once.
A point has moved where the medians of its repetitions differ by more than `--minimum` and by more
than `--factor` times the scatter of both runs (median absolute deviations, scaled to standard
deviations, added as squares). A point that only one run has, or that only one refuses, has moved too.

Where repetitions say what read bandwidth they met before and after, those that met one further than
`--calm` from the usual one of both runs are left out: the machine was in another state, whatever the
program. A point with too few repetitions left is undecided.

Exit status: 0 nothing moved, 1 something did, 2 nothing could be compared.
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
    met: list = dataclasses.field(default_factory=list)  # (before, after) of each sample, where known

    def calm(self, usual, calm):
        """The point without the samples that met an unusual bandwidth."""
        if not self.met:
            return self
        kept = [
            (x, m) for x, m in zip(self.samples, self.met) if all(abs(rate / usual - 1) <= calm for rate in m)
        ]
        return Point([x for x, _ in kept], self.refused, [m for _, m in kept])

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
            if "read_before" in entry:
                point.met.append((entry["read_before"], entry["read_after"]))
    return points


def of_matrix(data, statistic):
    points = {}
    for found in data["points"]:
        samples = found.get("samples", {})
        met = list(zip(samples.get("read_before", []), samples.get("read_after", [])))
        points[found["name"]] = Point(samples.get(statistic, []), found.get("refused", ""), met)
    return points


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
    undecided: bool = False
    change: float = 0.0  # relative, of the medians
    allowed: float = 0.0
    note: str = ""

    def __str__(self):
        if self.note:
            word = "MOVED" if self.moved else "?" if self.undecided else "same"
            return f"{word:6} {self.note}: {self.name}"
        word = "same " if not self.moved else "SLOWER" if self.change > 0 else "faster"
        return f"{word:6} {self.change:+7.1%} (allowed {self.allowed:.1%})  {self.name}"


def judge(name, before, after, minimum, factor):
    if before is None or after is None:
        return Verdict(name, True, note="only in the " + ("second" if before is None else "first") + " run")
    if before.refused or after.refused:
        moved = bool(before.refused) != bool(after.refused)
        which = "both runs" if not moved else "the first run" if before.refused else "the second run"
        return Verdict(name, moved, note=f"refused in {which}: {before.refused or after.refused}")
    kept = min(len(before.samples), len(after.samples))
    if kept < FEWEST:
        return Verdict(name, False, undecided=True, note=f"{kept} repetitions at the usual bandwidth")
    # Relative to the smaller median, so that the two runs may be given in any order.
    low, high = sorted([before.median, after.median])
    distance = high / low - 1
    allowed = max(minimum, factor * math.hypot(before.scatter, after.scatter))
    change = after.median / before.median - 1
    return Verdict(name, distance > allowed, change=change, allowed=allowed)


def usual_rate(*runs):
    """The median read bandwidth that the repetitions of all runs met; None where unknown."""
    rates = [rate for run in runs for point in run.values() for pair in point.met for rate in pair]
    return statistics.median(rates) if rates else None


def compare(before, after, minimum, factor, calm):
    usual = usual_rate(before, after)
    if usual is not None:
        before = {name: point.calm(usual, calm) for name, point in before.items()}
        after = {name: point.calm(usual, calm) for name, point in after.items()}
    names = list(dict.fromkeys([*before, *after]))
    return [judge(n, before.get(n), after.get(n), minimum, factor) for n in names]


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--minimum", type=float, default=0.03, help="changes below this are never reported")
    parser.add_argument("--factor", type=float, default=3.0, help="how many deviations of both runs")
    parser.add_argument("--statistic", default="least_ms", help="counter that is compared; real_time where absent")
    parser.add_argument("--calm", type=float, default=0.1, help="how far read bandwidth may be from the usual")
    parser.add_argument("--all", action="store_true", help="also say what did not move")
    options = parser.parse_args(words)
    try:
        before = read(options.before, options.statistic)
        after = read(options.after, options.statistic)
    except Unusable as problem:
        print(f"guard.py: {problem}", file=sys.stderr)
        return 2
    verdicts = compare(before, after, options.minimum, options.factor, options.calm)
    moved = [v for v in verdicts if v.moved]
    undecided = [v for v in verdicts if v.undecided]
    for verdict in verdicts if options.all else moved + undecided:
        print(verdict)
    changes = [v.change for v in verdicts if v.allowed]
    if len(changes) > 1:
        print(f"{statistics.median(changes):+.1%} is the median change of {len(changes)} points, and judges none")
    print(f"{len(moved)} of {len(verdicts)} points moved, {len(undecided)} undecided")
    if len(undecided) == len(verdicts):
        return 2
    return 1 if moved else 0


if __name__ == "__main__":
    sys.exit(main())
