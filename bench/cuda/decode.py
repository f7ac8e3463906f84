#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""One query token on a GPU: this library beside PyTorch's dense and composed attention.

    bench/cuda/decode.py [--library build/bench-cuda/bench/cuda/libtka_bench.so] [--quick]
                         [--points 1x8K,64x8K] [--only 'query_head|composed.*'] [--output FILE]

Every contender runs over the same rotating inputs, is compared with fp64 before it is timed, and is
timed as a replayed graph in turn with the others. Prints a table and writes JSON. Needs PyTorch and
a GPU, no compiler. `--library NAME=FILE`, given again, adds another build and `--schedule
NAME=workers:132,stages:2` another schedule of the first (contenders `...@NAME`).
"""

import argparse
import json
import os
import pathlib
import re
import selectors
import shlex
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
POINTS = "1x8K,1x32K,1x128K,8x8K,8x32K,8x128K,64x8K"
QUICK_POINTS = "1x128K,8x32K,64x8K"

# us, as one H200 (driver 580, PyTorch 2.11) gave them before: a run that is far off measures
# something else. Composed: matmul + topk(2048) + gather.
SEEN_ON_H200 = {
    "ceilings": {"read_gbs": 4500.0, "gather_256b_gbs": 4000.0},  # 10 % less and the run is rejected
    "composed": {
        "1x8K": 93.6, "1x32K": 123.6, "1x128K": 202.2, "8x8K": 357.3, "8x32K": 523.9, "8x128K": 1096.0, "64x8K": 2343.0,
    },
    "cudnn": {
        "1x8K": 16.1, "1x32K": 39.8, "1x128K": 134.6, "8x8K": 69.1, "8x32K": 250.1, "8x128K": 953.6, "64x8K": 483.8,
    },
}


# ---- words ---------------------------------------------------------------------------------------


def length_text(n):
    for unit, name in ((1 << 20, "M"), (1 << 10, "K")):
        if n % unit == 0:
            return f"{n // unit}{name}"
    return str(n)


def length_of(text):
    unit = {"K": 1 << 10, "M": 1 << 20}.get(text[-1].upper())
    return int(text[:-1]) * unit if unit else int(text)


def point_text(batch, kv_len):
    return f"{batch}x{length_text(kv_len)}"


def points_of(text):
    points = []
    for part in text.split(","):
        batch, found, kv_len = part.strip().partition("x")
        if not found:
            raise SystemExit(f"--points: '{part}' is not BATCHxKV_LEN, as in 8x32K")
        points.append([int(batch), length_of(kv_len)])
    return points


def schedules_of(texts):
    """{label: {part: number}} of LABEL=part:number,..."""
    found = {}
    for text in texts:
        label, _, parts = text.partition("=")
        pairs = [part.partition(":")[::2] for part in parts.split(",")]
        if not label or any(name not in ("workers", "query_tile", "stages") or not n.isdigit() for name, n in pairs):
            raise SystemExit(f"--schedule: '{text}' is not NAME=workers:N,query_tile:N,stages:N (any of them)")
        found[label] = {name: int(n) for name, n in pairs}
    return found


# ---- what is computed from the times -------------------------------------------------------------


def us_of(point, name):
    """The time of a call that was right."""
    c = point["contenders"].get(name, {})
    return c["us"] if "us" in c and c["check"]["ok"] else None


def bytes_of(point, name):
    """The fewest bytes of keys and values that a contender must read."""
    k, v = point["k_bytes"], point["v_bytes_kv_group" if "kv_group" in name else "v_bytes_query_head"]
    if name.startswith("attend_selected"):
        return 2 * v  # the same rows of both
    if name.startswith("select"):
        return k
    if name == "torch_topk":
        return k * 4 * 4 // (2 * 128)  # four fp32 scores a key, a key of 128 bf16
    return 2 * k if name in ("cudnn", "flash") else k + v


def ratio(a, b):
    return a / b if a and b else None


def finish(result, composed):
    """Ratios, shares of the bandwidth and the rows of the README's table."""
    read = result["ceilings"].get("read_gbs")
    result["composed"] = composed
    result["rows"] = []
    for point in result["points"]:
        others = {"over_composed": us_of(point, composed), "over_cudnn": us_of(point, "cudnn")}
        for name, c in point["contenders"].items():
            if us_of(point, name) is None:
                continue
            c["bytes"] = bytes_of(point, name)
            c["bytes_share"] = ratio(c["bytes"] / c["us"] / 1e3, read)
            if not name.startswith(("attend_selected", "torch_topk")):
                c["k_gbs"] = point["k_bytes"] / c["us"] / 1e3
                c["read_share"] = ratio(c["k_gbs"], read)
            for key, us in others.items():
                c[key] = ratio(us, c["us"])
        ours = point["contenders"].get("query_head", {}) if us_of(point, "query_head") else {}
        result["rows"].append(
            {
                "batch": point["batch"],
                "kv_len": point["kv_len"],
                "query_head_us": us_of(point, "query_head"),
                "kv_group_us": us_of(point, "kv_group"),
                "composed_us": us_of(point, composed),
                "cudnn_us": us_of(point, "cudnn"),
                "flash_us": us_of(point, "flash"),
                "over_composed": ours.get("over_composed"),
                "over_cudnn": ours.get("over_cudnn"),
                "read_share": ours.get("read_share"),
            }
        )
    return result


def rejections(result):
    """Why something else was measured than the device; empty: it was the device."""
    lines = []
    for name, before in SEEN_ON_H200["ceilings"].items() if "H200" in result["device"] else ():
        rate = result["ceilings"].get(name) or 0
        if rate < 0.9 * before:
            lines.append(f"{name} is {rate:.0f}, 10 % or more under {before:.0f}")
    return lines


def complaints(result):
    """One line for whatever did not run, was wrong, or looks unlike before."""
    lines = [f"REJECT: {why}" for why in rejections(result)]
    for label, build in result.get("libraries", {}).items():
        if build["stale"]:
            lines.append(f"library {label or '(first)'}: build.json is missing or of another build")
    for name, text in result["ceilings"].get("failed", {}).items():
        lines.append(f"ceiling {name}: {text}")
    for point in result["points"]:
        at = point_text(point["batch"], point["kv_len"])
        if "infeasible" in point:
            lines.append(f"{at}: not run, {point['infeasible']}")
        for name, c in point["contenders"].items():
            if "error" in c:
                lines.append(f"{at} {name}: {c['error']}")
            elif not c["check"]["ok"]:
                lines.append(f"{at} {name}: WRONG, {c['check']['problem']}")
            if not c.get("same_bits_in_graph", True):
                lines.append(f"{at} {name}: other bits from the graph than from the first call")
            if c.get("spread", 0.0) > 0.10:
                lines.append(f"{at} {name}: spread {c['spread']:.0%}")
    return lines


def table(result):
    """The short table: us of a call (! where the check failed), ratios, share of the bandwidth."""
    composed = result["composed"]
    names = [
        ("query", "query_head"), ("1M", "bound_1m"), ("group", "kv_group"), ("bucket", "bucketed"),
        ("select", "select"), ("attend", "attend_selected"), ("sel.grp", "select_kv_group"),
        ("att.grp", "attend_selected_kv_group"), ("compos.", composed), ("cuDNN", "cudnn"), ("flash", "flash"),
    ]
    head = ["point", *(title for title, _ in names), "xcomp", "xcuDNN", "of bw", "1M/query"]
    lines = [head]
    for point in result["points"]:
        ours = point["contenders"].get("query_head", {})
        line = [point_text(point["batch"], point["kv_len"])]
        for _, name in names:
            us = point["contenders"].get(name, {}).get("us")
            line.append("-" if us is None else f"{us:.1f}" + ("" if us_of(point, name) else "!"))
        for key, form in (("over_composed", ".2f"), ("over_cudnn", ".2f"), ("read_share", ".0%")):
            line.append("-" if ours.get(key) is None else format(ours[key], form))
        bound = ratio(us_of(point, "bound_1m"), us_of(point, "query_head"))
        line.append("-" if bound is None else f"{bound:.3f}")
        lines.append(line)
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths)) for line in lines)


def other_tables(result):
    """Ways to compose, other builds, and how far PyTorch's times are from those seen before."""
    lines = []
    for point in result["points"]:
        at = point_text(point["batch"], point["kv_len"])
        found = {n: c["us"] for n, c in point["contenders"].items() if "us" in c}
        ways = [f"{n.removeprefix('composed') or '_bf16'} {us:.1f}" for n, us in found.items() if n.startswith("composed")]
        builds = [f"{n} {us:.1f}" for n, us in found.items() if "@" in n]
        seen = []
        for name in ("composed", "cudnn"):
            before = SEEN_ON_H200[name].get(at)
            us = found.get(result["composed"] if name == "composed" else name)
            if before and us and "H200" in result["device"]:
                seen.append(f"{name} {us / before - 1:+.0%}")
        line = [f"{at:>7}"]
        line += ["composed: " + ", ".join(ways)] if ways else []
        line += ["against one earlier H200: " + ", ".join(seen)] if seen else []
        line += ["builds: " + ", ".join(builds)] if builds else []
        lines.append(" | ".join(line))
    return "\n".join(lines)


# ---- the process that measures ---------------------------------------------------------------------


def supervise(command, state, patience, first_patience, log=print, restarts=6):
    """Runs `command` until it says that it is done, and again where it hangs or breaks.

    `command(state, fd)` gives the argument list of a process that writes JSON lines to `fd`. `state`
    collects: head, points (finished), done, skip ({contender: why}; "*" is all of the library's).
    """
    while True:
        current, finished, broken, reason = {"contender": None, "step": "start"}, False, None, None
        reading, writing = os.pipe()
        child = subprocess.Popen(command(state, writing), pass_fds=[writing])
        os.close(writing)
        pending = b""
        begun = False
        with selectors.DefaultSelector() as selector:
            selector.register(reading, selectors.EVENT_READ)
            while True:
                slow = not begun or current["contender"] is None
                limit = first_patience if slow else patience
                if not selector.select(limit):
                    reason = f"hung for {limit:.0f} s"
                    break
                data = os.read(reading, 1 << 16)
                if not data:
                    break
                begun = True
                *whole, pending = (pending + data).split(b"\n")
                for message in map(json.loads, whole):
                    event = message.pop("event")
                    if event == "step":
                        current = message
                    elif event == "head":
                        state["head"] = message["data"]
                        log(f"{state['head']['device']}, ceilings measured")
                    elif event == "point":
                        point = message["data"]
                        state["points"].append(point)
                        state["done"].append([point["batch"], point["kv_len"]])
                        log(f"{point_text(point['batch'], point['kv_len'])} done")
                    elif event == "broken":
                        broken = message
                    elif event == "done":
                        finished = True
        os.close(reading)
        if reason:
            child.kill()
        try:
            code = child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            code = "none, it did not end"
        if finished:
            return state
        if broken:
            current, reason = broken, broken["error"]
        reason = reason or f"process ended with {code}"
        name = current["contender"]
        where = f"{reason} ({current['step']}, {current.get('point')})"
        log(f"{name or 'no contender'}: {where}")
        restarts -= 1
        if name is None or name in state["skip"] or restarts < 0:
            state["stopped"] = f"{name}: {where}"
            return state
        state["skip"][name] = "broke: " + where
        if len(state["skip"]) == 3:
            state["skip"]["*"] = "not run: three others broke"


def worker_main(text):
    """In the process that measures."""
    sys.path.insert(0, str(HERE))
    given = json.loads(text)
    import worker

    with os.fdopen(given["fd"], "w", buffering=1) as pipe:
        worker.work(given["options"], given["state"], lambda message: pipe.write(json.dumps(message) + "\n"))


def git(*words):
    try:
        return subprocess.run(["git", *words], cwd=ROOT, check=True, text=True, capture_output=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = ROOT / "build/bench-cuda/bench/cuda/libtka_bench.so"
    parser.add_argument("--library", action="append", default=[], metavar="[NAME=]FILE", help=f"default {default}")
    parser.add_argument("--schedule", action="append", default=[], metavar="NAME=PART:N,...", help="another schedule")
    parser.add_argument("--points", help=f"default {POINTS}, --quick {QUICK_POINTS}")
    parser.add_argument("--only", default=".*", help="a regular expression that names of contenders match in full")
    parser.add_argument("--quick", action="store_true", help="fewer points, contenders and rounds")
    parser.add_argument("--k", type=int, default=2048, help="keys that are kept (default 2048)")
    parser.add_argument("--rounds", type=int, help="default 9, --quick 5")
    parser.add_argument("--composed", default="composed", help="which way to compose ratios are against")
    parser.add_argument("--time-wrong", action="store_true", help="time also what the check refuses")
    parser.add_argument("--patience", type=float, default=25.0, help="seconds a step may take before it counts as hung")
    parser.add_argument("--commit", help="instead of what build.json says")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build/bench-cuda/decode.json")
    parser.add_argument("--dry-run", action="store_true", help="on a CPU, to see that it runs; no time means anything")
    options = parser.parse_args()

    libraries = {}
    for given in options.library or [str(default)]:
        label, named, path = given.rpartition("=")
        libraries[label if named else ""] = path
    for path in libraries.values():
        if not pathlib.Path(path).is_file():
            raise SystemExit(f"{path} is not there; bench/README.md says how to build it")
    re.compile(options.only)
    work = {
        "libraries": libraries,
        "schedules": schedules_of(options.schedule),
        "points": points_of(options.points or (QUICK_POINTS if options.quick else POINTS)),
        "only": options.only,
        "quick": options.quick,
        "composed": options.composed,
        "k": options.k,
        "rounds": options.rounds or (5 if options.quick else 9),
        "least_us": 3000.0 if options.quick else 5000.0,
        "time_wrong": options.time_wrong,
        "dry_run": options.dry_run,
    }

    def command(state, fd):
        given = {"fd": fd, "options": work, "state": {k: state[k] for k in ("done", "skip")} | {"head": bool(state["head"])}}
        return [sys.executable, "-u", str(HERE / "decode.py"), "--worker", json.dumps(given)]

    begun = time.monotonic()
    state = {"head": None, "points": [], "done": [], "skip": {}}
    options.output.parent.mkdir(parents=True, exist_ok=True)

    def save():
        """Writes what there is by now."""
        build = next(iter(state["head"]["libraries"].values()))
        result = state["head"] | {
            "commit": options.commit or build.get("commit") or git("rev-parse", "HEAD"),
            "dirty": build.get("dirty"),
            "command": shlex.join(["bench/cuda/decode.py", *sys.argv[1:]]),
            "seconds": round(time.monotonic() - begun, 1),
            "shape": {"q_heads": 32, "kv_heads": 8, "head_dim": 128, "q_len": 1, "precision": "bf16", "k": options.k},
            "rounds": work["rounds"],
            "points": state["points"],
        }
        if "stopped" in state:
            result["stopped"] = state["stopped"]
        if rejected := rejections(result):
            result["rejected"] = rejected
        finish(result, options.composed)
        options.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        return result

    def log(text):
        print(f"{time.monotonic() - begun:5.0f} s  {text}", file=sys.stderr, flush=True)
        if state["head"]:
            save()

    supervise(command, state, options.patience, max(180.0, options.patience), log)
    if not state["head"]:
        print("nothing was measured: " + state.get("stopped", "no reason given"), file=sys.stderr)
        return 1
    result = save()
    ceilings = result["ceilings"]
    print(other_tables(result))
    for line in complaints(result) + ([f"STOPPED: {state['stopped']}"] if "stopped" in state else []):
        print(line)
    reads = ", ".join(f"{k} {v:.1f}" for k, v in ceilings.items() if k.endswith(("_gbs", "_us")))
    print(f"{result['device']}, driver {result['driver']}, torch {result['torch']}, {result['seconds']} s; {reads}")
    print(f"commit {result['commit']}, dirty {result['dirty']}; us a call; {options.output}")
    print(table(result))
    return 3 if "rejected" in result else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker_main(sys.argv[2])
        sys.exit(0)
    sys.exit(main())
