#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Draws the pictures of a matrix from its JSON, and from nothing else.

    bench/plots.py [bench/results/matrix_cpu.json ...] [--output FOLDER]

Needs matplotlib. From bench/results/NAME.json it makes NAME_time.svg, NAME_speed_up.svg,
NAME_recall.svg and NAME_matrix.svg; by default of each matrix_*.json that is there. A mark is the
median of the repetitions, a bar their middle half. What a file does not hold is
not drawn; the same file gives the same pictures.
"""

import argparse
import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASE = {
    "selection": "exact_radix", "precision": "bf16", "scope": "query_head", "kv": "contiguous", "batch": 1,
    "kv_len": 32768, "k": 2048, "bound": "exact", "scores": "normal", "cache": "cold",
}
STYLE = {
    "svg.hashsalt": "tka", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e6e6",
    "axes.axisbelow": True, "legend.frameon": False, "figure.facecolor": "white",
}
EXACT, GROUP, BUCKETED, INDEXER, DENSE, FLASH, COMPOSED, FLOOR = (
    "#1f5fa8", "#6aa4d9", "#d9822b", "#2f9e6e", "#444444", "#9a9a9a", "#8e5ea2", "#b22222",
)
OURS = [
    ("exact_radix, query_head", EXACT, {}),
    ("exact_radix, kv_group", GROUP, {"scope": "kv_group"}),
    ("bucketed 0.99, query_head", BUCKETED, {"selection": "bucketed_0.99"}),
    ("lightning_indexer", INDEXER, {"selection": "lightning_indexer", "scope": "all_heads"}),
]
APPROXIMATE = [  # name, and the exact selection that it is held against
    ("bucketed", BUCKETED, "exact_radix", EXACT, "query_head"),
    ("lightning_indexer_bucketed", INDEXER, "lightning_indexer", INDEXER, "all_heads"),
]
# Dense attention and compositions; the fastest dense one is what speed-ups are over.
PEERS = [
    ("sdpa_cudnn", "dense, cuDNN", DENSE), ("sdpa_torch", "dense, PyTorch", DENSE),
    ("dense_eigen", "dense, Eigen", FLASH), ("sdpa_flash", "dense, flash", FLASH),
    ("torch_composed", "PyTorch, matmul + topk + gather", COMPOSED),
]


class Results:
    def __init__(self, path):
        self.data = json.loads(path.read_text("utf-8"))
        if "ceilings" not in self.data:
            raise SystemExit(f"{path}: of an older run_matrix.py; run it again")
        self.gpu = "multiprocessors" in self.data or "driver" in self.data
        self.points = [p for p in self.data["points"] if "median_ms" in p]
        self.base = BASE | {"batch": 8 if self.gpu else 1}
        # Times are drawn in ms on a CPU and in us on a GPU.
        self.unit, self.factor = ("µs", 1e3) if self.gpu else ("ms", 1.0)

    def find(self, **axes):
        """The point of the library that differs from the base in these axes, or None."""
        wanted = {**self.base, **axes}
        found = [p for p in self.points if not p["name"].startswith("peer/") and p["axes"] == wanted]
        return found[0] if found else None

    def peer(self, name, batch, kv_len, precision="bf16"):
        for p in self.points:
            axes = p["axes"]
            here = (axes.get("batch"), axes.get("kv_len"), axes.get("precision", "bf16")) == (batch, kv_len, precision)
            if p["name"].startswith(f"peer/{name}/") and here:
                return p
        return None

    def batches(self):
        """The batches that are measured at three lengths or more."""
        found = {p["axes"]["batch"] for p in self.points}
        return [b for b in sorted(found) if len(self.lengths(b)) >= 3]

    def lengths(self, batch, **axes):
        every = {p["axes"]["kv_len"] for p in self.points}
        return [n for n in sorted(every) if self.find(batch=batch, kv_len=n, **axes)]

    def time(self, point):
        return point["median_ms"] * self.factor

    def floor(self, point):
        return point["floor_ms"] * self.factor

    def spread(self, points):
        middle = [self.time(p) for p in points]
        samples = [[x * self.factor for x in p["samples"]["median_ms"]] for p in points]
        low_and_high = [statistics.quantiles(s, method="inclusive")[::2] for s in samples]
        below = [max(0.0, m - low) for m, (low, _) in zip(middle, low_and_high)]
        return [below, [max(0.0, high - m) for m, (_, high) in zip(middle, low_and_high)]]

    def lines(self, batch):
        """(label, colour, marker, lengths, points) of all that is drawn against kv_len."""
        for label, colour, axes in OURS:
            lengths = self.lengths(batch, **axes)
            yield label, colour, "o", lengths, [self.find(batch=batch, kv_len=n, **axes) for n in lengths]
        for name, label, colour in PEERS:
            lengths = [n for n in self.lengths(batch) if self.peer(name, batch, n)]
            yield label, colour, "s", lengths, [self.peer(name, batch, n) for n in lengths]

    def dense(self, batch, kv_len):
        """Label and point of the fastest dense attention, or None twice."""
        found = [(label, self.peer(name, batch, kv_len)) for name, label, _ in PEERS if label.startswith("dense")]
        return min((f for f in found if f[1]), key=lambda f: self.time(f[1]), default=(None, None))

    def caption(self):
        d = self.data
        commit = (d.get("commit") or "unknown")[:10] + (" with changes" if d.get("dirty") else "")
        read = f"{d['ceilings']['read_bytes_per_second'] / 1e9:,.0f} GB/s read"
        where = f"driver {d['driver']}" if self.gpu else f"{d['threads']} threads"
        return f"{d['device']}, {where}, {read}; commit {commit}"


def length_text(n):
    return f"{n >> 20}M" if n % (1 << 20) == 0 else f"{n >> 10}K"


def plain_ticks(axis, subs):
    """1, 2, 5, 10 ... and not powers of ten."""
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(NullLocator())


def legend_below(figure, axes, columns):
    """One legend for all panels, each label once, lines of the library first."""
    found = {}
    for place in axes:
        found |= {label: handle for handle, label in zip(*place.get_legend_handles_labels()) if label not in found}
    order = [label for label, *_ in OURS] + [label for _, label, _ in PEERS]
    labels = sorted(found, key=lambda label: order.index(label) if label in order else len(order))
    figure.legend([found[n] for n in labels], labels, loc="outside lower center", ncols=columns, fontsize=8)


def add_title(figure, results, title):
    """The title, and below it where the figures are from."""
    size, top = 11.0, 0.98  # the top is where a figure has its title anyway
    figure.suptitle(title + "\n", x=0.01, ha="left", fontsize=size)
    below = top - 1.5 * size / 72 / figure.get_figheight()
    figure.text(0.01, below, results.caption(), va="top", fontsize=7.5, color="#666666")


def length_axis(axes, lengths):
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [length_text(n) for n in lengths])
    axes.minorticks_off()
    axes.set_xlabel("kv_len")


def panels(results):
    """A figure with a panel for each batch."""
    batches = results.batches()
    if not batches:
        return None, []
    size = (7.4, 5.0) if len(batches) == 1 else (3.9 * len(batches), 5.0)
    figure, axes = plt.subplots(1, len(batches), figsize=size, layout="constrained", squeeze=False, sharey=True)
    return figure, list(zip(batches, axes[0]))


def time_against_length(results):
    figure, places = panels(results)
    for batch, axes in places:
        for label, colour, marker, lengths, points in results.lines(batch):
            if points:
                times = [results.time(p) for p in points]
                axes.errorbar(lengths, times, results.spread(points), color=colour, marker=marker, ms=4, label=label)
        lengths = results.lengths(batch)
        floors = [results.floor(results.find(batch=batch, kv_len=n)) for n in lengths]
        what = "floor: all of K, the selected V" + (", one launch" if results.gpu else "")
        axes.plot(lengths, floors, color=FLOOR, ls="--", label=what)
        axes.set_yscale("log")
        plain_ticks(axes.yaxis, (1, 2, 5) if len(places) == 1 else (1,))
        axes.set_title(f"batch {batch}", loc="left")
        length_axis(axes, lengths)
    if places:
        places[0][1].set_ylabel(f"{results.unit} a call")
        legend_below(figure, [axes for _, axes in places], 4 if len(places) > 1 else 3)
        add_title(figure, results, "Time of one decode step, bf16, k = 2,048")
    return figure


def speed_up(results):
    figure, places = panels(results)
    over = set()
    for batch, axes in places:
        shown = set()
        for label, colour, marker, lengths, points in results.lines(batch):
            pairs = [(n, results.dense(batch, n)[1], p) for n, p in zip(lengths, points)]
            pairs = [(n, d, p) for n, d, p in pairs if d is not None and d is not p]
            if pairs:
                over |= {results.dense(batch, n)[0] for n, _, _ in pairs}
                shown |= {n for n, _, _ in pairs}
                ratios = [results.time(d) / results.time(p) for _, d, p in pairs]
                axes.plot([n for n, _, _ in pairs], ratios, color=colour, marker=marker, ms=4, label=label)
        lengths = [n for n in results.lengths(batch) if "floor_ms" in (results.dense(batch, n)[1] or {})]
        bound = [results.time(results.dense(batch, n)[1]) / results.floor(results.find(batch=batch, kv_len=n)) for n in lengths]
        axes.plot(lengths, bound, color=FLOOR, ls="--", label="a call at its floor")
        axes.axhline(1, color=DENSE, lw=1.2)
        axes.set_yscale("log")
        plain_ticks(axes.yaxis, (1, 2, 5))
        axes.set_title(f"batch {batch}", loc="left")
        length_axis(axes, sorted(shown) or results.lengths(batch))
    if not over:
        plt.close(figure)
        return None
    places[0][1].set_ylabel("times as fast as dense")
    legend_below(figure, [axes for _, axes in places], 4 if len(places) > 1 else 3)
    add_title(figure, results, f"Speed-up over attention to all keys ({', '.join(sorted(over))}), bf16, k = 2,048")
    return figure


def recall_against_time(results):
    figure, axes = plt.subplots(figsize=(7.4, 5.0), layout="constrained")
    drawn, slowest = False, 0.0
    for selection, colour, exact, exact_colour, scope in APPROXIMATE:
        every = {p["axes"]["selection"] for p in results.points if "selection" in p["axes"]}
        named = sorted(n for n in every if n.rpartition("_")[0] == selection)
        points = [(n, found) for n in named if (found := results.find(selection=n, scope=scope))]
        if not points:
            continue
        lost = [1 - p["recall"] for _, p in points]
        times = [results.time(p) for _, p in points]
        bars = results.spread([p for _, p in points])
        axes.errorbar(times, lost, xerr=bars, color=colour, marker="o", ms=5, label=f"{selection}, measured")
        expected = [1 - p["expected_recall"] for _, p in points]
        axes.plot(times, expected, "x", color="black", ms=6, label=None if drawn else "expected beforehand")
        for (name, _), x, y in zip(points, times, lost):
            target = name.rpartition("_")[2]
            side = {"xytext": (-7, 4), "ha": "right"} if drawn else {"xytext": (7, 4), "ha": "left"}
            axes.annotate(target, (x, y), textcoords="offset points", color=colour, **side)
        if best := results.find(selection=exact, scope=scope):
            dashes = "-" if exact == "exact_radix" else "--"
            axes.axvline(results.time(best), color=exact_colour, ls=dashes, label=f"{exact}, loses nothing")
        drawn = True
        slowest = max(slowest, *times)
    if not drawn:
        plt.close(figure)
        return None
    for name, label, colour in PEERS:
        found = results.peer(name, results.base["batch"], results.base["kv_len"])
        if found and results.time(found) < 2 * slowest:  # one far off would press all else together
            axes.axvline(results.time(found), color=colour, lw=1, ls=":", label=label)
    axes.set_yscale("log")
    plain_ticks(axes.yaxis, (1, 2, 5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.10g}%"))
    axes.set_xlim(left=0)
    axes.margins(y=0.12)
    axes.invert_yaxis()
    axes.set_ylabel("share of the k best keys that is lost (better is up)")
    axes.set_xlabel(f"{results.unit} a call (better is left)")
    at = f"{results.base['batch']} x 32K keys"
    add_title(figure, results, f"Recall against time, by recall target; {at}, bf16, k = 2,048")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def rows_of_heat_map(results):
    """(label, {precision: point}) of the library's combinations, then of dense attention."""
    precisions = ["fp32", "fp16", "bf16", "fp8"]
    found = {(p["axes"]["selection"], p["axes"]["scope"], p["axes"]["kv"]) for p in results.points if "kv" in p["axes"]}
    shown = [s for s in sorted(found) if s[0].endswith("0.99") or not s[0].rpartition("_")[2][:1].isdigit()]
    rows = []
    for selection, scope, kv in sorted(shown, key=lambda s: (s[0].startswith("lightning"), s[0] != "exact_radix", s[2], s[1] != "query_head", s)):
        cells = {p: results.find(selection=selection, scope=scope, kv=kv, precision=p) for p in precisions}
        if selection != "stored_scores" and any(cells.values()):  # which selects alone
            rows.append((f"{selection}\n{scope}" + (f", {kv}" if kv != "contiguous" else ""), cells))
    for name, label, _ in PEERS:
        cells = {p: results.peer(name, results.base["batch"], results.base["kv_len"], p) for p in precisions}
        if "dense" in label and any(cells.values()):
            rows.append((label, cells))
    return precisions, rows


def heat_map(results):
    """Selection, scope and kv source against precision; the colour is the share of the floor."""
    precisions, rows = rows_of_heat_map(results)
    cells = [[row[p] for p in precisions] for _, row in rows]
    shares = [[results.floor(p) / results.time(p) if p else float("nan") for p in row] for row in cells]
    figure, axes = plt.subplots(figsize=(7.4, 1.2 + 0.5 * len(rows)), layout="constrained")
    colours = matplotlib.colormaps["Blues"].with_extremes(bad="#f7f7f7")
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(cells):
        for x, point in enumerate(row):
            text = f"{results.time(point):.3g} {results.unit}\n{shares[y][x]:.0%}" if point else "–"
            dark = point and shares[y][x] > 0.6
            light = "#aaaaaa" if not point else "black"
            axes.text(x, y, text, ha="center", va="center", fontsize=8, color="white" if dark else light)
    axes.set_xticks(range(len(precisions)), precisions)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks([x - 0.5 for x in range(1, len(precisions))], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, len(rows))], minor=True)
    axes.grid(False)
    axes.grid(True, which="minor", color="white", lw=2)
    axes.tick_params(which="minor", length=0)
    bar = figure.colorbar(image, label="floor / time", format=lambda share, _: f"{share:.0%}")
    bar.outline.set_visible(False)
    at = f"{results.base['batch']} x 32K keys"
    add_title(figure, results, f"Time of a call, and its share of the floor; {at}, k = 2,048 (– not measured)")
    return figure


PICTURES = {"time": time_against_length, "speed_up": speed_up, "recall": recall_against_time, "matrix": heat_map}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=pathlib.Path, nargs="*")
    parser.add_argument("--output", type=pathlib.Path, help="default: beside the results")
    options = parser.parse_args()
    plt.rcParams.update(STYLE)
    for path in options.results or sorted((ROOT / "bench/results").glob("matrix_*.json")):
        results = Results(path)
        for name, draw in PICTURES.items():
            figure = draw(results)
            if figure is None:
                print(f"{path.name}: nothing to draw for '{name}'", file=sys.stderr)
                continue
            made = (options.output or path.parent) / f"{path.stem}_{name}.svg"
            figure.savefig(made, metadata={"Date": None})
            plt.close(figure)
            print(made)


if __name__ == "__main__":
    main()
