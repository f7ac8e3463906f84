# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""The JSON of a matrix, the same for all machines: what Google Benchmark wrote becomes points.

A result has the machine, commit and command, `ceilings` that were measured in the run, and `points`.
A point has `name` and `axes`, what is constant (bytes, products, recall ...), `samples` with one
number a repetition, and of these `median_ms`, `spread` (largest - smallest, over the median),
`floor_ms` and `read_share`; or `refused`, which says why it was not measured.
"""

import json
import pathlib
import random
import secrets
import statistics
import subprocess

import guard

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAMPLED = ("real_time", "median_ms", "least_ms", "read_before", "read_after", "enqueue_us")
CONSTANT = (
    "k_bytes", "v_bytes", "multiply_adds", "launches", "recall", "expected_recall", "retained_mass",
    "exact_retained_mass", "largest_difference",
)
CALM = 0.15  # how far from the usual read bandwidth a repetition may be that counts for the median


def command(*words, **options):
    done = subprocess.run(words, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE, **options)
    return done.stdout


def axes_of(name):
    """{axis: value} of a name, numbers as such."""
    pairs = [part.split(":", 1) for part in name.split("/") if ":" in part]
    return {axis: int(value) if value.isdigit() else value for axis, value in pairs}


def rounded(x):
    return int(x) if float(x).is_integer() else float(f"{x:.5g}")


def points_of(runs):
    """One entry for each point: its name, what is constant, the samples of all processes."""
    points = {}
    for number, entry in ((n, e) for n, run in enumerate(runs) for e in run["benchmarks"] if e["run_type"] == "iteration"):
        name = entry["run_name"].removesuffix("/manual_time").removesuffix("/iterations:1")
        point = points.setdefault(name, {"name": name, "axes": axes_of(name)})
        if entry.get("error_occurred"):
            point["refused"] = entry["error_message"]
            continue
        point.update({key: rounded(entry[key]) for key in CONSTANT if key in entry})
        samples = point.setdefault("samples", {})
        for key in SAMPLED:
            if key in entry:
                samples.setdefault(key, []).append(rounded(entry[key]))
        samples.setdefault("process", []).append(number)
    return list(points.values())


def floor_ms(point, ceilings):
    """The time that its bytes take at the bandwidths that were measured, and one launch."""
    read = ceilings["read_bytes_per_second"]
    in_order = point["name"].startswith("peer/") and "k" not in point["axes"]  # dense: all of V
    gather = read if in_order else ceilings.get("gather_bytes_per_second", read)
    seconds = point["k_bytes"] / read + point["v_bytes"] / gather + ceilings.get("launch_us", 0.0) * 1e-6
    return seconds * 1e3


def finish(points, ceilings):
    """Adds the medians and what follows from them."""
    known = guard.of_matrix({"points": points}, "median_ms")
    usual = guard.usual_rate(known)
    for point in points:
        if "samples" not in point or "refused" in point:
            continue
        every = known[point["name"]]
        calm = every.calm(usual, CALM).samples
        kept = calm if len(calm) >= guard.FEWEST else every.samples
        middle = statistics.median(kept)
        if "enqueue_us" in point["samples"]:  # the same for all repetitions of a process
            point["enqueue_us"] = rounded(statistics.median(point["samples"].pop("enqueue_us")))
        point["median_ms"] = rounded(middle)
        point["spread"] = rounded((max(kept) - min(kept)) / middle)
        if "k_bytes" in point:
            point["floor_ms"] = rounded(floor_ms(point, ceilings))
            share = (point["k_bytes"] + point["v_bytes"]) / (middle * 1e-3) / ceilings["read_bytes_per_second"]
            point["read_share"] = rounded(share)
    return points


def text_of(result):
    """JSON with a line for each point."""
    head = json.dumps({k: v for k, v in result.items() if k != "points"}, indent=1)
    lines = ",\n".join("  " + json.dumps(point) for point in result["points"])
    return head[:-2] + ',\n "points": [\n' + lines + "\n ]\n}\n"


def write(path, result):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(result), "utf-8")
    print(path)


def words_for(pattern, repetitions):
    """Google Benchmark's options: repetitions of all points are shuffled."""
    return [
        f"--benchmark_filter={pattern}",
        f"--benchmark_repetitions={repetitions}",
        "--benchmark_enable_random_interleaving=true",
    ]


def run_in_turn(programs, processes, run_once):
    """{output: [run]} of several programs {output: command}, a process each in every round; and where they are
    several the seed of the coin that said whose turn came first in each, which marks their files."""
    runs = {output: [] for output in programs}
    seed = secrets.randbits(32)
    coin = random.Random(seed)
    for _ in range(processes):
        for output, program in coin.sample(list(programs.items()), len(programs)):
            runs[output].append(run_once(program))
    return runs, {"turns": seed} if len(programs) > 1 else {}
