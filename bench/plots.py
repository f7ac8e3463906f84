#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Draws bench/results/matrix_cpu_*.svg from bench/results/matrix_cpu.json, and from nothing else.

    bench/plots.py [--results bench/results/matrix_cpu.json] [--output bench/results]

Needs matplotlib. A mark is the median of the repetitions, a bar reaches from the fastest repetition
to the slowest; those that met an unusual read bandwidth are left out, as by guard.py. The same file
gives the same pictures.
"""

import argparse
import json
import pathlib
import statistics

import guard
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASE = {
    "selection": "exact_radix", "precision": "bf16", "scope": "query_head", "kv": "contiguous", "batch": "1",
    "kv_len": "32768", "k": "2048", "bound": "exact", "scores": "normal",
}
STYLE = {
    "svg.hashsalt": "tka", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e6e6",
    "axes.axisbelow": True, "legend.frameon": False, "figure.facecolor": "white",
}
CALM = 0.15  # how far from the usual bandwidth a repetition may be
EXACT, GROUP, BUCKETED, DENSE, FLOOR = "#1f5fa8", "#6aa4d9", "#d9822b", "#666666", "#b22222"


class Results:
    def __init__(self, path):
        self.data = json.loads(path.read_text("utf-8"))
        self.bandwidth = self.data["read_bytes_per_second"]
        self.points = [p for p in self.data["points"] if "samples" in p]
        for point in self.points:
            point["axes"] = dict(part.split(":", 1) for part in point["name"].split("/") if ":" in part)
            point["peer"] = point["name"].startswith("peer/")
        known = guard.of_matrix(self.data, "median_ms")
        usual = guard.usual_rate(known)
        for point in self.points:
            calm = known[point["name"]].calm(usual, CALM).samples
            point["ms"] = calm if len(calm) >= guard.FEWEST else known[point["name"]].samples

    def find(self, **axes):
        """The point of the library that differs from the base in these axes, or None."""
        wanted = {**BASE, **{k: str(v) for k, v in axes.items()}}
        found = [p for p in self.points if not p["peer"] and p["axes"] == wanted]
        return found[0] if found else None

    def dense(self, kv_len, precision="bf16", batch=1):
        wanted = {"precision": precision, "batch": str(batch), "kv_len": str(kv_len)}
        found = [p for p in self.points if p["peer"] and p["axes"] == wanted]
        return found[0] if found else None

    def lengths(self, **axes):
        every = {int(p["axes"]["kv_len"]) for p in self.points}
        return [n for n in sorted(every) if self.find(kv_len=n, **axes)]

    def floor_ms(self, point):
        """The bytes that the point must read, at the bandwidth that was measured."""
        return (point["k_bytes"] + point["v_bytes"]) / self.bandwidth * 1e3

    def caption(self):
        d = self.data
        commit = d["commit"][:10] + (" with changes" if d["dirty"] else "")
        return f"{d['device']}, {d['threads']} threads, {self.bandwidth / 1e9:.0f} GB/s read; commit {commit}"


def ms(point):
    return statistics.median(point["ms"])


def spread(points):
    """Error bars from the fastest to the slowest repetition, as matplotlib wants them."""
    middle = [ms(p) for p in points]
    samples = [p["ms"] for p in points]
    return [[m - min(s) for m, s in zip(middle, samples)], [max(s) - m for m, s in zip(middle, samples)]]


def length_axis(axes, lengths):
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [f"{n // 1024}K" for n in lengths])
    axes.minorticks_off()
    axes.set_xlabel("kv_len")


def series(results):
    """(label, colour, lengths, points) of what is drawn against kv_len."""
    kinds = [
        ("exact_radix, query_head", EXACT, {}),
        ("exact_radix, kv_group", GROUP, {"scope": "kv_group"}),
        ("bucketed 0.99, query_head", BUCKETED, {"selection": "bucketed_0.99"}),
    ]
    for label, colour, axes in kinds:
        lengths = results.lengths(**axes)
        yield label, colour, lengths, [results.find(kv_len=n, **axes) for n in lengths]


def time_against_length(results, axes):
    for label, colour, lengths, points in series(results):
        axes.errorbar(lengths, [ms(p) for p in points], spread(points), color=colour, marker="o", ms=4, label=label)
    lengths = [n for n in results.lengths() if results.dense(n)]
    dense = [results.dense(n) for n in lengths]
    axes.errorbar(lengths, [ms(p) for p in dense], spread(dense), color=DENSE, marker="s", ms=4, label="dense, Eigen")
    axes.plot(lengths, [results.floor_ms(p) for p in dense], color=DENSE, ls=":", label="all of K and V at read bandwidth")
    exact = [results.find(kv_len=n) for n in lengths]
    axes.plot(lengths, [results.floor_ms(p) for p in exact], color=FLOOR, ls="--",
              label="all of K and the selected V at read bandwidth")
    axes.set_yscale("log")
    axes.set_ylabel("ms a call")
    axes.set_title("Time of one decode step, bf16, k = 2,048", loc="left")
    length_axis(axes, lengths)
    axes.legend(fontsize=8)


def speed_up(results, axes):
    for label, colour, lengths, points in series(results):
        dense = [ms(results.dense(n)) for n in lengths]
        axes.plot(lengths, [d / ms(p) for d, p in zip(dense, points)], color=colour, marker="o", ms=4,
                  label=f"dense, Eigen / {label}")
    lengths = results.lengths()
    ideal = [results.floor_ms(results.dense(n)) / ms(results.find(kv_len=n)) for n in lengths]
    axes.plot(lengths, ideal, color=DENSE, ls=":", marker="o", ms=3,
              label="a dense kernel that reads at full bandwidth / exact_radix, query_head")
    axes.axhline(1, color=FLOOR, lw=0.8)
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])  # room for the legend
    axes.set_ylabel("times faster")
    axes.set_title("Speed-up over dense attention, bf16, k = 2,048", loc="left")
    length_axis(axes, lengths)
    axes.legend(fontsize=8, loc="upper left")


def recall_against_time(results, axes):
    found = sorted({p["axes"]["selection"] for p in results.points if not p["peer"]})
    names = [n for n in found if n.startswith("bucketed_") and results.find(selection=n)]
    points = [results.find(selection=n) for n in names]
    lost = [1 - p["recall"] for p in points]
    axes.errorbar([ms(p) for p in points], lost, xerr=spread(points), color=BUCKETED, marker="o", ms=4, ls="-",
                  label="bucketed, measured")
    axes.plot([ms(p) for p in points], [1 - p["expected_recall"] for p in points], "x", color="black", ms=6,
              label="bucketed, expected")
    for name, point, y in zip(names, points, lost):
        axes.annotate(name.removeprefix("bucketed_"), (ms(point), y), xytext=(6, 4), textcoords="offset points")
    axes.axvline(ms(results.find()), color=EXACT, label="exact_radix (loses nothing)")
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.invert_yaxis()
    axes.set_ylabel("share of the k best keys lost (better is up)")
    axes.set_xlabel("ms a call (better is left)")
    axes.set_title("Recall against time, by recall target; 32K keys, bf16, k = 2,048", loc="left")
    axes.legend(fontsize=8)


def cross(results, axes):
    precisions = ["fp32", "fp16", "bf16", "fp8"]
    rows = [(s, c) for s in ("exact_radix", "bucketed_0.99") for c in ("query_head", "kv_group")]
    cells = [[results.find(selection=s, scope=c, precision=p) for p in precisions] for s, c in rows]
    shares = [[results.floor_ms(p) / ms(p) if p else float("nan") for p in row] for row in cells]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(cells):
        for x, point in enumerate(row):
            text = f"{ms(point):.2f} ms\n{shares[y][x]:.0%}" if point else "refused"
            axes.text(x, y, text, ha="center", va="center", color="white" if point and shares[y][x] > 0.6 else "black")
    axes.set_xticks(range(len(precisions)), precisions)
    axes.set_yticks(range(len(rows)), [f"{s},\n{c}" for s, c in rows])
    axes.grid(False)
    axes.figure.colorbar(image, label="share of read bandwidth")
    axes.set_title("Selection x precision x scope; 32K keys, k = 2,048", loc="left")


PICTURES = {"time": time_against_length, "speed_up": speed_up, "recall": recall_against_time, "cross": cross}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "bench/results/matrix_cpu.json")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "bench/results")
    options = parser.parse_args()
    results = Results(options.results)
    plt.rcParams.update(STYLE)
    for name, draw in PICTURES.items():
        figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
        draw(results, axes)
        figure.supxlabel(results.caption(), fontsize=7, color="#666666")
        path = options.output / f"matrix_cpu_{name}.svg"
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
        print(path)


if __name__ == "__main__":
    main()
