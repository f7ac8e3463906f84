#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark of the GPU: points of the library beside PyTorch and CUB, in turn and in one process.

    bench/cuda/run.py [--suite decode]... [--filter REGEX] [--output FILE]
    bench/cuda/run.py --paired BEFORE.so AFTER.so [--suite paired] [--output FILE]

bench/points.py says what there is. Each subject is compared with fp64 (stored scores: with a stable
sort) before it is timed as a replayed graph; what is wrong or infeasible is said and not timed.
`--paired` times two builds of the library in turn, says where their bits differ and lets
bench/guard.py judge; it writes FILE.before.json and FILE.after.json. Needs PyTorch and a GPU, no
compiler. Exit status 3: the device is slower than one of its name was, so the run is rejected; 1 with
`--paired`: something moved.
"""

import argparse
import json
import os
import pathlib
import re
import secrets
import selectors
import shlex
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import guard  # noqa: E402
import points  # noqa: E402
import results  # noqa: E402
from results import ROOT  # noqa: E402

# What a device has reached; 10 % worse and something else is measured than the device.
SEEN = {"H200": {"read_bytes_per_second": 4.5e12, "gather_bytes_per_second": 4.0e12, "launch_us": 0.7}}
DEFAULT = ROOT / "build/bench-cuda/bench/cuda"


def supervise(command, state, patience, first_patience, log=print, restarts=6):
    """Runs `command` until it says that it is done, and again where it hangs or breaks.

    `command(state, fd)` gives the argument list of a process that writes JSON lines to `fd`. `state`
    collects: head, points, done (places), skip ({subject: why}; "*" is all of the library's).
    """
    while True:
        current, finished, broken, reason = {"subject": None, "step": "start"}, False, None, None
        reading, writing = os.pipe()
        child = subprocess.Popen(command(state, writing), pass_fds=[writing])
        os.close(writing)
        pending, begun = b"", False
        with selectors.DefaultSelector() as selector:
            selector.register(reading, selectors.EVENT_READ)
            while True:
                limit = first_patience if not begun or current["subject"] is None else patience
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
                    elif event == "place":
                        state["points"] += message["points"]
                        state["done"].append(message["number"])
                        log(f"place {message['number']}: {len(message['points'])} points, {message['points'][0]['name']}")
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
        name = current["subject"]
        where = f"{reason} ({current['step']})"
        log(f"{name or 'no subject'}: {where}")
        restarts -= 1
        if name is None or name in state["skip"] or restarts < 0:
            state["stopped"] = f"{name}: {where}"
            return state
        state["skip"][name] = "broke: " + where
        if len(state["skip"]) == 3:
            state["skip"]["*"] = "not run: three others broke"


def worker_main(text):
    """In the process that measures."""
    given = json.loads(text)
    import worker

    with os.fdopen(given["fd"], "w", buffering=1) as pipe:
        worker.work(given["options"], given["state"], lambda message: pipe.write(json.dumps(message) + "\n"))


def complaints(result):
    """Why the run is rejected; empty: it is not."""
    lines = []
    for device, seen in SEEN.items():
        for name, before in seen.items() if device in result["device"] else ():
            now = result["ceilings"][name]
            if (before / now if name.endswith("_us") else now / before) < 0.9:
                lines.append(f"{name} is {now:.3g}, 10 % or more worse than {before:.3g}")
    lacking = {p["refused"] for p in result["points"] if "this build has no " in p.get("refused", "")}
    return lines + sorted(lacking)


def result_of(state, label, about):
    """The JSON of one build; `about` is what the command line says."""
    build = state["head"]["libraries"][label]
    found = []
    for point in state["points"]:
        if point["label"] == label:
            rounded = {k: results.rounded(v) if isinstance(v, float) else v for k, v in point.items() if k != "label"}
            found.append({"name": point["name"], "axes": results.axes_of(point["name"]), **rounded})
    head = {key: value for key, value in state["head"].items() if key != "libraries"}
    result = head | {key: build.get(key) for key in ("commit", "dirty", "compiler", "architecture")} | about
    if build["stale"]:
        result["stale"] = "build.json is missing or of another build"
    if "stopped" in state:
        result["stopped"] = state["stopped"]
    result["points"] = results.finish(found, head["ceilings"])
    if rejected := complaints(result):
        result["rejected"] = rejected
    return result


def remarks(result):
    """One line for whatever did not run, was wrong, or scattered; those of one reason together."""
    refused = {}
    for point in result["points"]:
        if "refused" in point:
            refused.setdefault(point["refused"], []).append(point["name"])
        elif point["spread"] > 0.1:
            yield f"{point['name']}: spread {point['spread']:.0%}"
        if point.get("same_bits_as_before") is False:
            yield f"{point['name']}: other bits than before"
    for why, names in refused.items():
        yield names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "") + f": {why}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=pathlib.Path, default=DEFAULT / "libtka_bench.so")
    parser.add_argument("--paired", nargs=2, metavar=("BEFORE", "AFTER"), help="two builds, timed in turn")
    parser.add_argument("--delayed", type=float, metavar="PERCENT", help="paired: the library and itself, made slower")
    parser.add_argument("--suite", action="append", choices=points.CUDA_SUITES, help="default: all but paired")
    parser.add_argument("--filter", default=".", metavar="REGEX", help="only points whose name it is found in")
    parser.add_argument("--rounds", type=int, help="default 9, with --paired 12")
    parser.add_argument("--seconds", type=float, default=3600, help="begin nothing new after so long")
    parser.add_argument("--patience", type=float, default=40.0, help="seconds a step may take before it counts as hung")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build/bench-cuda/cuda.json")
    options = parser.parse_args()

    libraries = {"": options.library}
    if options.paired:
        libraries = dict(zip(("before", "after"), options.paired))
    if options.delayed:
        libraries = {"before": options.library, "after": options.library}
    for path in libraries.values():
        if not pathlib.Path(path).is_file():
            raise SystemExit(f"{path} is not there; bench/README.md says how to build it")
    re.compile(options.filter)
    paired = len(libraries) > 1
    suites = options.suite or (["paired"] if paired else [s for s in points.CUDA_SUITES if s != "paired"])
    turns = secrets.randbits(32)
    work = {
        "libraries": {label: str(path) for label, path in libraries.items()},
        "delays": {"after": options.delayed} if options.delayed else {},
        "suites": suites,
        "filter": options.filter,
        "rounds": options.rounds or (12 if paired else 9),
        "turns": turns,
        "deadline": time.time() + options.seconds,
    }

    def command(state, fd):
        given = {"fd": fd, "options": work, "state": {k: state[k] for k in ("done", "skip")} | {"head": bool(state["head"])}}
        return [sys.executable, "-u", str(HERE / "run.py"), "--worker", json.dumps(given)]

    begun = time.monotonic()
    state = {"head": None, "points": [], "done": [], "skip": {}}

    def save():
        """Writes what there is by now; {file: result}."""
        about = {
            "date": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
            "command": shlex.join(["bench/cuda/run.py", *sys.argv[1:]]),
            "seconds": round(time.monotonic() - begun, 1),
            "rounds": work["rounds"],
            **({"turns": turns} if paired else {}),
        }
        written = {}
        for label in libraries:
            path = options.output.with_suffix(f".{label}.json") if label else options.output
            written[path] = result_of(state, label, about)
            results.write(path, written[path])
        return written

    def log(text):
        print(f"{time.monotonic() - begun:5.0f} s  {text}", file=sys.stderr, flush=True)
        if state["head"]:
            save()

    supervise(command, state, options.patience, max(180.0, options.patience), log)
    if not state["head"]:
        print("nothing was measured: " + state.get("stopped", "no reason given"), file=sys.stderr)
        return 1
    written = save()
    last = list(written.values())[-1]
    for line in remarks(last):
        print(line)
    status = 0
    if paired:
        status = guard.main([*map(str, written), "--all"])
    else:
        print(results.short_tables(last))
    ceilings = ", ".join(f"{name} {value:.4g}" for name, value in last["ceilings"].items())
    print(f"{last['device']}, driver {last['driver']}, torch {last['torch']}, {last['seconds']} s; {ceilings}")
    for line in [*last.get("rejected", []), *([last["stopped"]] if "stopped" in last else [])]:
        print("REJECT:", line)
    return 3 if "rejected" in last else status


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker_main(sys.argv[2])
        sys.exit(0)
    sys.exit(main())
