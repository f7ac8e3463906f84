#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Says which points of a benchmark moved between two runs, beyond what the runs themselves scatter.

    bench/guard.py BEFORE.json AFTER.json [--minimum 0.03] [--factor 3] [--all] ...

Either file may be Google Benchmark's output with repetitions, that of a run_matrix.py, of
bench/cuda/decode.py, or of bench/compile_time.py, where a tenth is allowed since each is taken once.

Where both files come of one run_matrix.py with `--against`, of at least 7 rounds in each of which both
programs ran one process, the order drawn by a coin, a point has moved where the median over the rounds of
after / before differs by more than `--minimum`, and where its mean stands out further from its scatter than
that of any point does with the names of the programs swapped in any rounds, in all points at once (with
8 rounds: 127 ways; with more, all but 1 in 128 of them). If the programs are the same, only the coin tells
them apart: anything is then reported in one of 128 comparisons, however restless the machine.

Elsewhere a point has moved where the medians of its repetitions differ by more than `--minimum` and by
more than `--factor` times the scatter of both runs (median absolute deviations, scaled to standard
deviations, added as squares). A point that only one run has, or that only one refuses, has moved too.

Where repetitions say what read bandwidth they met before and after, those that met one further than
`--calm` from the usual one of both runs are left out: the machine was in another state, whatever the
program. A point with too few repetitions left is undecided. Of programs that took turns they are left
out only where that spares every point as many rounds.

Exit status: 0 nothing moved, 1 something did, 2 nothing could be compared.
"""

import argparse
import dataclasses
import itertools
import json
import math
import pathlib
import statistics
import sys

FEWEST = 3  # samples of a point, below which there is no scatter to speak of
FEWEST_ROUNDS = 7  # below which swapping names shows nothing: one in 64 at best
FALSE_REPORTS = 128  # one in so many comparisons of the same program
LEAST_SCATTER = 0.005  # of the ratios of rounds: less is luck
SAME = ("device", "threads", "flags")  # in what can be compared
COMPILE_MINIMUM = 0.1  # of compile times, which are taken once and have no scatter


class Unusable(Exception):
    pass


@dataclasses.dataclass
class Point:
    samples: list
    refused: str = ""
    met: list = dataclasses.field(default_factory=list)  # (before, after) of each sample, where known
    minimum: float = 0.0  # changes below this are never reported
    rounds: list = dataclasses.field(default_factory=list)  # of each sample: its process

    def calm(self, usual, calm):
        """The point without the samples that met an unusual bandwidth."""
        if not self.met:
            return self
        kept = [i for i, m in enumerate(self.met) if all(abs(rate / usual - 1) <= calm for rate in m)]

        def of(values):
            return [values[i] for i in kept] if values else []

        return Point(of(self.samples), self.refused, of(self.met), self.minimum, of(self.rounds))

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
        chosen = samples.get(statistic) or samples.get("real_time", [])
        points[found["name"]] = Point(chosen, found.get("refused", ""), met, rounds=samples.get("process", []))
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


def of_compile_times(data):
    return {name: Point([s] * FEWEST, minimum=COMPILE_MINIMUM) for name, s in data["compile_seconds"].items()}


@dataclasses.dataclass
class Run:
    points: dict  # {name: Point}
    about: dict  # what must be the same, where known
    turns: object = None  # what the two files of programs that took turns have in common


def read(path, statistic):
    """The Run of one file."""
    try:
        data = json.loads(pathlib.Path(path).read_text("utf-8"))
        if "benchmarks" in data:
            points = of_google_benchmark(data, statistic)
        elif "compile_seconds" in data:
            points = of_compile_times(data)
        elif "contenders" in data["points"][0]:
            points = of_cuda(data)
        else:
            points = of_matrix(data, statistic)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
        raise Unusable(f"{path}: not the output of a benchmark: {problem!r}") from problem
    if data.get("rejected"):
        raise Unusable(f"{path}: rejected: {data['rejected'][0]}")
    few = [n for n, p in points.items() if not p.refused and len(p.samples) < FEWEST]
    if few:
        raise Unusable(
            f"{path}: {few[0]} has {len(points[few[0]].samples)} repetitions; {FEWEST} are the least,"
            " see --benchmark_repetitions"
        )
    if not points:
        raise Unusable(f"{path}: no points")
    about = {key: data[key] for key in SAME if data.get(key) is not None}
    return Run(points, about, data.get("turns"))


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
    allowed = max(minimum, before.minimum, factor * math.hypot(before.scatter, after.scatter))
    change = after.median / before.median - 1
    return Verdict(name, distance > allowed, change=change, allowed=allowed)


def usual_rate(*runs):
    """The median read bandwidth that the repetitions of all runs met; None where unknown."""
    rates = [rate for run in runs for point in run.values() for pair in point.met for rate in pair]
    return statistics.median(rates) if rates else None


def ratios(before, after):
    """{round: log of the median after over the median before} of one point."""
    medians = []
    for point in (before, after):
        of = {}
        for number, sample in zip(point.rounds, point.samples):
            of.setdefault(number, []).append(sample)
        medians.append({number: statistics.median(samples) for number, samples in of.items()})
    return {n: math.log(medians[1][n] / medians[0][n]) for n in medians[0] if n in medians[1]}


def error(values):
    """The standard error of their mean."""
    return (statistics.stdev(values) + LEAST_SCATTER) / math.sqrt(len(values))


def standing_out(points):
    """How far a point's mean ratio, over its error, must lie from 0 so that only 1 of FALSE_REPORTS ways of
    swapping the programs' names in rounds has a point further out; `points` hold the same rounds."""
    count = len(points[0])
    furthest = []
    for signs in itertools.product((1, -1), repeat=count - 1):
        swapped = [[values[0], *(s * v for s, v in zip(signs, values[1:]))] for values in points]
        furthest.append(max(abs(statistics.fmean(values)) / error(values) for values in swapped))
    # The names as they are count among the ways.
    return sorted(furthest, reverse=True)[max(1, len(furthest) // FALSE_REPORTS)]


def judge_rounds(before, after, minimum):
    """{name: Verdict} of the points of two programs that took turns, as far as rounds can tell."""
    found = {n: ratios(before[n], after[n]) for n in before if n in after}
    rounds = set().union(*found.values()) if found else set()
    whole = {n: [of[r] for r in sorted(rounds)] for n, of in found.items() if of.keys() == rounds}
    if len(rounds) < FEWEST_ROUNDS or not whole:
        return {}
    needed = standing_out(list(whole.values()))
    verdicts = {}
    for name, values in whole.items():
        change = math.exp(statistics.median(values)) - 1
        allowed = max(minimum, math.exp(needed * error(values)) - 1)
        moved = abs(statistics.fmean(values)) > needed * error(values) and abs(statistics.median(values)) > math.log1p(minimum)
        verdicts[name] = Verdict(name, moved, change=change, allowed=allowed)
    return verdicts


def compare(before, after, minimum, factor, calm):
    for key in before.about.keys() & after.about.keys():
        if before.about[key] != after.about[key]:
            raise Unusable(f"{key}: {before.about[key]} and {after.about[key]} are not comparable")
    usual = usual_rate(before.points, after.points)
    quiet = []
    for run in (before, after):
        quiet.append({n: p if usual is None else p.calm(usual, calm) for n, p in run.points.items()})
    judged = {}
    if before.turns and before.turns == after.turns:
        # Rounds share what they meet, so an unusual bandwidth is left out only where that spares all points.
        judged = judge_rounds(before.points, after.points, minimum)
        of_quiet = judge_rounds(*quiet, minimum)
        judged = of_quiet if of_quiet.keys() == judged.keys() else judged
    names = dict.fromkeys([*before.points, *after.points])
    return [judged.get(n) or judge(n, quiet[0].get(n), quiet[1].get(n), minimum, factor) for n in names]


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
        verdicts = compare(before, after, options.minimum, options.factor, options.calm)
    except Unusable as problem:
        print(f"guard.py: {problem}", file=sys.stderr)
        return 2
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
