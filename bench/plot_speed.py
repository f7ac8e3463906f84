#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Draws the picture of README.md: decoding on a GPU against dense attention, where it wins and where it loses.

    bench/plot_speed.py [bench/results/cuda.json] [--output bench/results/speed.svg]

Needs matplotlib. A bar is the time of cuDNN's dense attention over that of a contender, so what ends left
of 1 is slower than dense. A batch and length at which one of the contenders has no time is not drawn."""

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
DENSE = "peer/sdpa_cudnn/precision:bf16/batch:{batch}/kv_len:{kv_len}"
OURS = "full/selection:exact_radix/precision:bf16/scope:{scope}/kv:contiguous/batch:{{batch}}/kv_len:{{kv_len}}/k:2048" \
       "/bound:exact/scores:normal/cache:cold"
CONTENDERS = [  # label, colour, name of the point
    ("tka, a selection a key head", "#6aa4d9", OURS.format(scope="kv_group")),
    ("tka, a selection a query head", "#1f5fa8", OURS.format(scope="query_head")),
    ("PyTorch: matmul, topk, gather", "#8e5ea2", "peer/torch_composed/precision:bf16/batch:{batch}/kv_len:{kv_len}/k:2048"),
]


def length_text(n):
    return f"{n >> 20}M" if n % (1 << 20) == 0 else f"{n >> 10}K"


def places(times):
    """The (batch, kv_len) of the dense points at which every contender has a time too."""
    found = set()
    for name in times:
        kind, *axes = name.split("/")
        if kind == "peer" and axes[0] == "sdpa_cudnn":
            found.add(tuple(int(a.split(":")[1]) for a in axes[2:4]))
    return [(b, n) for b, n in sorted(found)
            if all(c.format(batch=b, kv_len=n) in times for _, _, c in CONTENDERS)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=pathlib.Path, default=ROOT / "bench/results/cuda.json")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "bench/results/speed.svg")
    arguments = parser.parse_args()
    data = json.loads(arguments.file.read_text("utf-8"))
    times = {p["name"]: p["median_ms"] for p in data["points"] if "median_ms" in p}
    at = places(times)
    if not at:
        raise SystemExit(f"{arguments.file}: has no point of cuDNN beside the library's")

    plt.rcParams.update({
        "svg.hashsalt": "tka", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "figure.facecolor": "white"})
    figure, axes = plt.subplots(figsize=(7.4, 0.55 * len(at) + 1.5), layout="constrained")
    height = 0.8 / len(CONTENDERS)
    for i, (label, colour, name) in enumerate(CONTENDERS):
        ratios = [times[DENSE.format(batch=b, kv_len=n)] / times[name.format(batch=b, kv_len=n)] for b, n in at]
        rows = [row + (i - (len(CONTENDERS) - 1) / 2) * height for row in range(len(at))]
        bars = axes.barh(rows, ratios, height, color=colour, label=label)
        axes.bar_label(bars, [f"{r:.2f}" for r in ratios], padding=2, fontsize=7, color="#444444")
    axes.axvline(1.0, color="#444444", lw=1)
    axes.text(1.0, -0.62, " dense, cuDNN", fontsize=8, color="#444444", va="bottom")
    axes.set_yticks(range(len(at)), [f"{b} x {length_text(n)}" for b, n in at])
    axes.set_ylim(len(at) - 0.5, -0.9)
    axes.set_ylabel("batch x keys")
    axes.set_xlabel("speed, cuDNN's dense attention = 1 (right of the line is faster)")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    axes.set_title(f"One decode step of 32 heads over 8 key heads, 2,048 keys kept, {data['device']}",
                   loc="left", fontsize=9)
    figure.savefig(arguments.output, metadata={"Date": None, "Creator": None})


main()
