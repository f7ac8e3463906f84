# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""The part of run.py that runs on the device: each subject is checked, captured and timed in turn with the others.

It lives in a process of its own, which tells run.py each step before it takes it; a kernel that hangs
or breaks the context costs this process and one subject, not the run.
"""

import math
import os
import random
import re
import statistics
import time
import traceback

import torch

import inputs
import points
from library import ROUTES, Failure, Library
from subjects import PEERS, Tka

LEAST_US = 2000.0  # of one sample: so many replays that it takes as long
LONG_US, LONG_ROUNDS = 50_000.0, 3  # a replay that takes longer is sampled so often
SHARED = ("batch", "kv_len", "q_len", "heads", "cache")  # points with these in common take turns


def places(listed):
    """Lists of points that are timed in turn, small inputs first."""
    found = {}
    for point in listed:
        stored = point["selection"].startswith("stored")
        found.setdefault((stored, *(point[a] for a in SHARED)), []).append(point)
    return list(found.values())


def time_in_turn(device, graphs, rounds, coin, step):
    """{key: [us of a call, one a round]}; graphs: {key: (replay, calls in it)}; key[0] is the point."""
    times, limits, samples = {}, {}, {key: [] for key in graphs}
    for key, (replay, _) in graphs.items():
        step(key, "first replay")
        device.elapsed_us(replay, 1)
        once = max(device.elapsed_us(replay, 1), 1.0)
        times[key] = max(1, min(500, math.ceil(LEAST_US / once)))
        limits[key] = LONG_ROUNDS if once > LONG_US else rounds
    names = list(dict.fromkeys(key[0] for key in graphs))
    for r in range(rounds):
        order = names[r % len(names) :] + names[: r % len(names)] if names else []
        for name in order:
            labels = [key for key in graphs if key[0] == name and r < limits[key]]
            for key in coin.sample(labels, len(labels)):
                replay, calls = graphs[key]
                step(key, "timing")
                replay()
                samples[key].append(device.elapsed_us(replay, times[key]) / (times[key] * calls))
    return samples


def measure_ceilings(device, library, step):
    """What the device can do: reads in order, gathered rows of 256 bytes, an empty kernel in a graph."""
    size = 4 << 30
    buffer = torch.empty(size // 4, dtype=torch.int32, device=device.name).random_()
    sink = torch.zeros(1, dtype=torch.int32, device=device.name)
    rows = torch.randint(0, size // 256, (1 << 22,), dtype=torch.int32, device=device.name)

    def read():
        library.check_cuda(library.read(buffer.data_ptr(), size, sink.data_ptr(), device.handle()), "read kernel")

    def gather():
        error = library.gather(buffer.data_ptr(), rows.data_ptr(), rows.numel(), sink.data_ptr(), device.handle())
        library.check_cuda(error, "gather kernel")

    def empty():
        for _ in range(200):
            library.check_cuda(library.empty(device.handle()), "empty kernel")

    us = {}
    for name, enqueue, calls in (("read", read, 1), ("gather", gather, 1), ("empty", empty, 200)):
        step(("ceilings", ""), name)
        enqueue()
        device.synchronize()
        graphs = {("ceilings", name): (device.graph(enqueue, library)[0], calls)}
        us[name] = statistics.median(time_in_turn(device, graphs, 9, random.Random(0), step)["ceilings", name])
    return {
        "read_bytes_per_second": size / us["read"] * 1e6,
        "gather_bytes_per_second": 256 * rows.numel() / us["gather"] * 1e6,
        "launch_us": us["empty"],
    }


def work_of(point, given, v_rows):
    """The fewest bytes that a call must read, and its products."""
    size = given.dtype.itemsize
    if given.stored:
        return {"k_bytes": 4 * given.batch * given.q_heads * given.kv_len, "v_bytes": 0, "multiply_adds": 0}
    k, v = (n * size for n in inputs.elements_of(point))
    queries = given.batch * given.q_heads * given.q_len
    if point.get("peer", "").startswith("sdpa"):
        return {"k_bytes": k, "v_bytes": v, "multiply_adds": queries * given.kv_len * (given.qk_dim + given.v_dim)}
    rows = v_rows if v_rows and given.q_len == 1 else given.batch * given.kv_heads * given.kv_len
    rows_of_v = int(rows * given.v_dim * size)
    attended = queries * given.k_kept * given.v_dim
    if point["task"] == "attend_selected":
        latent = given.v_dim < given.qk_dim  # v lies in k
        products = queries * given.k_kept * (given.qk_dim + given.v_dim)
        return {"k_bytes": int(rows * given.qk_dim * size), "v_bytes": 0 if latent else rows_of_v, "multiply_adds": products}
    v_bytes = 0 if point["task"] == "select" else rows_of_v
    if given.indexed:  # index keys, and the keys selected
        keys = given.batch * given.kv_len * given.qk_dim
        products = keys * points.INDEX_HEADS + 2 * attended
        return {"k_bytes": keys + rows_of_v, "v_bytes": v_bytes, "multiply_adds": products}
    products = queries * given.kv_len * given.qk_dim + (attended if v_bytes else 0)
    return {"k_bytes": k, "v_bytes": v_bytes, "multiply_adds": products}


class Place:
    """The subjects of points that share their shape: all are checked, then timed in turn."""

    def __init__(self, device, pools, libraries, options, skip, step):
        self.device, self.pools, self.libraries, self.options = device, pools, libraries, options
        self.skip, self.step = skip, step

    def subjects(self, point):
        if "peer" in point:
            return {"": PEERS[point["peer"]]} if len(self.libraries) == 1 else {}
        delays = self.options["delays"]
        return {
            label: lambda *given, library=library, label=label: Tka(*given, library=library, delay=delays.get(label, 0.0))
            for label, library in self.libraries.items()
        }

    def measure(self, listed):
        """One entry for each point and label."""
        found, living, graphs = {}, {}, {}
        for point in listed:
            name = points.name_of(point)
            for label, make in self.subjects(point).items():
                key = (name, label)
                found[key] = {"name": name, "label": label}
                why = self.skip.get("|".join(key)) or (self.skip.get("*") if "peer" not in point else None)
                if why:
                    found[key]["refused"] = why
                    continue
                subject = None
                try:
                    self.step(key, "inputs")
                    given = inputs.Inputs(self.pools, point)
                    subject = make(point, self.pools, given)
                    graphs[key] = self.ready(key, subject, found[key])
                    living[key] = subject
                except (Failure, RuntimeError) as problem:
                    found[key]["refused"] = f"{type(problem).__name__}: {problem}".removeprefix("Failure: ").split("\n")[0]
                    if subject:
                        subject.close()
                    subject = None
                    self.device.synchronize()  # raises where the context is broken; run.py starts anew
        for key, samples in time_in_turn(self.device, graphs, self.options["rounds"], self.options["coin"], self.step).items():
            times = [float(f"{us / 1e3:.5g}") for us in samples]
            found[key]["samples"] = {"median_ms": times, "process": list(range(len(times)))}
        self.compare(found, living)
        for subject in living.values():
            subject.close()
        return list(found.values())

    def ready(self, key, subject, result):
        """Checks a subject and captures its calls."""
        self.step(key, "check")
        subject.prepare()
        figures = subject.check()
        result |= work_of(subject.point, subject.inputs, figures.pop("v_rows", None)) | figures
        if getattr(subject, "planned", None):
            plan = subject.planned.plan
            result |= {"scratch_bytes": plan.scratch_bytes, "route": ROUTES[plan.route]}
        subject.spoil()
        self.step(key, "warm-up")
        for i in range(min(3, subject.calls)):
            subject.call(i)
        self.device.synchronize()
        count = 20 if subject.inputs.q_len == 1 else 2  # prompts take long
        begin = time.perf_counter()
        for i in range(count):
            subject.call(i)
        result["enqueue_us"] = 1e6 * (time.perf_counter() - begin) / count
        self.device.synchronize()

        def enqueue():
            for i in range(subject.calls):
                subject.call(i)

        self.step(key, "capture")
        replay, kernels = self.device.graph(enqueue, self.pools.library)
        if getattr(subject, "delay", 0.0):  # longer by so many percent: what guard.py must find
            us = [self.device.elapsed_us(replay, 20) for _ in range(2)][1] / (20 * subject.calls)
            subject.delay_ns = max(1, round(10 * us * subject.delay))
            replay, kernels = self.device.graph(enqueue, self.pools.library)
        if kernels is not None and kernels >= 0:
            result["launches"] = kernels / subject.calls
        return replay, subject.calls

    def compare(self, found, living):
        """Replays gave what was checked; two builds give the same bits."""
        for (name, label), subject in living.items():
            self.step((name, label), "compare")
            if not subject.same_bits():
                found[name, label]["refused"] = "replays gave other bits than the call that was checked"
            first = living.get((name, next(iter(self.libraries))))
            if len(self.libraries) > 1 and first and first is not subject:
                found[name, label]["same_bits_as_before"] = bool(torch.equal(first.checked, subject.checked))


def work(options, state, send):
    """Measures what `state` does not hold yet; `send` takes dictionaries."""
    current = {"subject": None, "step": "start"}

    def step(key, what):
        current.update(subject="|".join(key) if key and key[0] != "ceilings" else None, step=what)
        send({"event": "step", **current})

    step(None, "start")
    torch.set_grad_enabled(False)
    device = inputs.Cuda()
    libraries = {label: Library(path) for label, path in options["libraries"].items()}
    first = next(iter(libraries.values()))
    options["coin"] = random.Random(options["turns"])
    try:
        if not state["head"]:
            head = device.describe() | {"cub": first.cub_version()}
            head["libraries"] = {label: library.build() for label, library in libraries.items()}
            head["ceilings"] = measure_ceilings(device, first, step)
            send({"event": "head", "data": head})
            device.release()
        listed = [p for p in points.points("cuda", options["suites"]) if re.search(options["filter"], points.name_of(p))]
        pools = inputs.Pools(device, first, listed)
        for number, taken in enumerate(places(listed)):
            if number in state["done"]:
                continue
            if time.time() > options["deadline"]:
                late = [{"name": points.name_of(p), "label": label, "refused": "not reached in time"} for p in taken for label in libraries]
                send({"event": "place", "number": number, "points": late})
                continue
            place = Place(device, pools, libraries, options, state["skip"], step)
            send({"event": "place", "number": number, "points": place.measure(taken)})
            del place
            device.release()
        send({"event": "done"})
    except Exception as error:  # the context is gone: whoever started this process starts another
        send({"event": "broken", **current, "error": f"{type(error).__name__}: {error}"})
        traceback.print_exc()
        os._exit(3)
