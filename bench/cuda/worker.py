# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""The part of decode.py that runs on the device: inputs, contenders, checks, times.

It lives in a process of its own, which tells decode.py each step before it takes it; a kernel that
hangs or breaks the context costs this process and one contender, not the run.
"""

import gc
import math
import os
import re
import statistics
import subprocess
import time
import traceback

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from library import Failure, Library, Planned, Tensors

Q_HEADS, KV_HEADS, HEAD_DIM = 32, 8, 128
GROUP = Q_HEADS // KV_HEADS
SCALE = HEAD_DIM**-0.5
BOUND_1M = 1 << 20
RECALL_TARGET = 0.95
# Of bench_abi.h: how elements are numbered, and what tells values from scores.
ELEMENTS = (torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn)
SEED_VALUES, SEED_SCORES = 1, 2

# A selected key may score this much below the k-th largest of fp64, an unselected one above it;
# q.k of these inputs has a standard deviation of 11.3.
SCORE_TOLERANCE = 1e-3
# |o - reference| / |reference| against fp64 over the same keys: bf16 output; bf16 weights as well.
TKA_TOLERANCE = 5e-3
TORCH_TOLERANCE = 2e-2
COMPOSED_RECALL = 0.97  # its scores are rounded to bf16, so near ties fall otherwise
BUCKETED_SLACK = 0.02


# ---- the device ----------------------------------------------------------------------------------


class Cuda:
    """Graphs, events and streams of the real thing."""

    name = "cuda"

    def __init__(self):
        self.stream = torch.cuda.Stream()
        torch.cuda.set_stream(self.stream)

    def handle(self):
        return torch.cuda.current_stream().cuda_stream

    def synchronize(self):
        torch.cuda.synchronize()

    def free_bytes(self):
        return torch.cuda.mem_get_info()[0]

    def release(self):
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()

    def graph(self, enqueue):
        """A function that replays what `enqueue` enqueues."""
        graph = torch.cuda.CUDAGraph()
        self.synchronize()
        try:
            with torch.cuda.graph(graph):
                enqueue()
        finally:
            torch.cuda.set_stream(self.stream)
        return graph.replay

    def elapsed_us(self, replay, times):
        """Time of `times` replays one after the other. The device is kept busy while they are enqueued."""
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda._sleep(200_000)
        begin.record()
        for _ in range(times):
            replay()
        end.record()
        end.synchronize()
        return 1e3 * begin.elapsed_time(end)

    def describe(self):
        p = torch.cuda.get_device_properties(0)
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            driver = subprocess.run(query, check=True, text=True, capture_output=True, timeout=20).stdout.split("\n")[0]
        except (OSError, subprocess.SubprocessError):
            driver = "unknown"
        return {
            "device": p.name,
            "compute_capability": f"{p.major}.{p.minor}",
            "multiprocessors": p.multi_processor_count,
            "memory_bytes": p.total_memory,
            "driver": driver.strip(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }


class DryRun:
    """The CPU in its place: shows that the code runs, its times mean nothing."""

    name = "cpu"

    def handle(self):
        return None

    def synchronize(self):
        pass

    def free_bytes(self):
        return 8 << 30

    def release(self):
        gc.collect()

    def graph(self, enqueue):
        return enqueue

    def elapsed_us(self, replay, times):
        begin = time.perf_counter()
        for _ in range(times):
            replay()
        return 1e6 * (time.perf_counter() - begin)

    def describe(self):
        return {"device": "dry run on a CPU", "driver": None, "torch": torch.__version__}


# ---- one point's inputs and reference ------------------------------------------------------------


class Inputs:
    """`sets` copies of k and v, all different and never zero, more bytes than any cache holds, and one q.

    The library makes them, the same as for bench_matrix_cuda.
    """

    def __init__(self, device, library, batch, kv_len, k, sets):
        self.device, self.library, self.batch, self.kv_len, self.sets = device, library, batch, kv_len, sets
        self.k_kept = min(k, kv_len)
        cache = (batch, KV_HEADS, kv_len, HEAD_DIM)
        q = torch.empty(batch, Q_HEADS, 1, HEAD_DIM, dtype=torch.bfloat16)
        library.make_queries(q.data_ptr(), ELEMENTS.index(q.dtype), b"normal", batch * Q_HEADS)
        self.q = [q.to(device.name)] * sets
        self.k = [self.filled(cache, torch.bfloat16, i) for i in range(sets)]
        self.v = [self.filled(cache, torch.bfloat16, i, SEED_VALUES) for i in range(sets)]
        self.lengths = torch.full((batch,), kv_len, dtype=torch.int32, device=device.name)
        self.k_bytes = self.k[0].numel() * 2

    def filled(self, extents, dtype, i, seed=None):
        """The i-th tensor of these extents, of keys or, with a seed, of normal numbers."""
        if self.device.name != "cuda":
            return torch.randn(extents).to(dtype)
        made = torch.empty(extents, dtype=dtype, device=self.device.name)
        at, element, n, stream = made.data_ptr(), ELEMENTS.index(dtype), made.numel(), self.device.handle()
        if seed is None:
            rows = n // HEAD_DIM
            error = self.library.fill_keys(at, element, i * rows, rows, stream)
        else:
            error = self.library.fill_normal(at, element, i * n, n, seed, stream)
        self.library.check_cuda(error, "inputs")
        return made

    def top_positions(self, i, scope):
        """[batch, heads, k] int32 ascending: about the largest of set i, for attending alone."""
        scores = self.q[i].view(self.batch, KV_HEADS, GROUP, HEAD_DIM) @ self.k[i].transpose(-1, -2)
        scores = scores.amax(2) if scope == "kv_group" else scores.view(self.batch, Q_HEADS, self.kv_len)
        return scores.topk(self.k_kept).indices.sort().values.to(torch.int32).contiguous()


class Reference:
    """fp64 over set 0."""

    def __init__(self, inputs):
        self.inputs = inputs
        per_sequence = []
        for b in range(inputs.batch):
            q = inputs.q[0][b].double().view(KV_HEADS, GROUP, HEAD_DIM)
            per_sequence.append((q @ inputs.k[0][b].double().transpose(-1, -2)).view(Q_HEADS, -1))
        self.scores = torch.stack(per_sequence)  # [batch, q_heads, kv_len], before the scale
        self.cached = {}

    def of(self, scope):
        """Scores and the k-th largest of each row of a scope."""
        if scope not in self.cached:
            scores = self.scores
            if scope == "kv_group":
                scores = scores.view(self.inputs.batch, KV_HEADS, GROUP, -1).amax(2)
            kth = scores.topk(self.inputs.k_kept, sorted=True).values[..., -1:]
            self.cached[scope] = (scores, kth)
        return self.cached[scope]

    def distinct_value_bytes(self, scope):
        """Bytes of the rows of v that at least one head of a group selects."""
        scores, kth = self.of(scope)
        kept = scores >= kth
        if scope == "query_head":
            kept = kept.view(self.inputs.batch, KV_HEADS, GROUP, -1).any(2)
        return int(kept.sum().item()) * HEAD_DIM * 2

    def attend(self, positions=None):
        """o [batch, q_heads, head_dim] over [batch, q_heads, k] positions, or over all keys."""
        rows = []
        for b in range(self.inputs.batch):
            v = self.inputs.v[0][b]
            if positions is None:
                p = torch.softmax(SCALE * self.scores[b], -1).view(KV_HEADS, GROUP, -1)
                rows.append((p @ v.double()).view(Q_HEADS, HEAD_DIM))
            else:
                at = positions[b].long()
                p = torch.softmax(SCALE * self.scores[b].gather(1, at), -1)
                flat = at.view(KV_HEADS, -1, 1).expand(-1, -1, HEAD_DIM)
                kept = v.gather(1, flat).double().view(Q_HEADS, -1, HEAD_DIM)
                rows.append((p.unsqueeze(1) @ kept).squeeze(1))
        return torch.stack(rows)

    def error(self, o, positions=None):
        expected = self.attend(positions)
        found = o.double().view_as(expected)
        return ((found - expected).norm() / expected.norm()).item()

    def recall(self, positions, scope):
        scores, kth = self.of(scope)
        return (scores.gather(2, positions.long()) >= kth).double().mean().item()

    def judge_selection(self, positions, count, scope, exact):
        """What is wrong with a selected set, or None, and figures."""
        kept = self.inputs.k_kept
        scores, kth = self.of(scope)
        figures = {}
        if not bool((count == kept).all()):
            return f"count is {count.flatten()[:4].tolist()}..., not {kept}", figures
        at = positions[..., :kept].long()
        if not bool(((at >= 0) & (at < self.inputs.kv_len)).all()):
            return "positions out of range", figures
        if not bool((at.diff(dim=-1) > 0).all()):
            return "positions not ascending", figures
        figures["recall"] = self.recall(at, scope)
        if not exact:
            low = figures["recall"] < RECALL_TARGET - BUCKETED_SLACK
            return ("recall below its target" if low else None), figures
        lowest = scores.gather(2, at).amin(-1, keepdim=True)
        highest = scores.scatter(2, at, -math.inf).amax(-1, keepdim=True)
        figures["below_kth"] = max(0.0, (kth - lowest).max().item())
        figures["above_kth"] = max(0.0, (highest - kth).max().item())
        if not max(figures["below_kth"], figures["above_kth"]) <= SCORE_TOLERANCE:
            return "not the k largest", figures
        return None, figures


def judged(problem, figures, error, tolerance):
    """A check's result; NaN never passes."""
    if problem is None and error is not None and not error <= tolerance:
        problem = f"output off by {error:.2e}"
    if error is not None:
        figures = {**figures, "output_error": error, "output_tolerance": tolerance}
    return {"ok": problem is None, "problem": problem, **figures}


# ---- contenders ----------------------------------------------------------------------------------


class Tka:
    """A call of the library over the inputs."""

    def __init__(
        self, name, library, task="attend", selection="exact_radix", scope="query_head", bound=None, schedule=None
    ):
        self.name, self.library, self.task, self.schedule = name, library, task, schedule or {}
        self.selection, self.scope, self.bound = selection, scope, bound
        self.planned = None

    def prepare(self, inputs):
        self.inputs = inputs
        self.planned = Planned(
            self.library,
            f"{self.task}/{self.selection}/{self.scope}/bf16/contiguous",
            batch=inputs.batch,
            q_heads=Q_HEADS,
            kv_heads=KV_HEADS,
            q_len=1,
            kv_len=self.bound or inputs.kv_len,
            head_dim=HEAD_DIM,
            k=inputs.k_kept,
            scale=SCALE,
            recall=RECALL_TARGET if self.selection == "bucketed" else 0.0,
            **self.schedule,
        )
        plan = self.planned.plan

        def tensor(extents, dtype, value):
            return torch.full(extents, value, dtype=dtype, device=inputs.device.name)

        heads = plan.scope_heads
        self.scratch = tensor((max(64, plan.scratch_bytes),), torch.uint8, 0xA5)
        self.state = tensor((max(64, plan.state_bytes),), torch.uint8, 0xA5)
        self.error = tensor((1,), torch.int32, 0)
        self.o = [tensor((inputs.batch, Q_HEADS, HEAD_DIM), torch.bfloat16, math.nan) for _ in range(inputs.sets)]
        if self.task == "attend_selected":
            self.positions = [inputs.top_positions(i, self.scope) for i in range(inputs.sets)]
            self.count = tensor((inputs.batch, heads), torch.int32, inputs.k_kept)
        else:
            self.positions = [tensor((inputs.batch, heads, plan.capacity), torch.int32, -7)]
            self.count = tensor((inputs.batch, heads), torch.int32, -7)
        self.timed = [self.tensors(i, self.task != "attend") for i in range(inputs.sets)]
        self.planned.initialize(self.timed[0], inputs.device.handle())

    def tensors(self, i, with_positions):
        inputs = self.inputs
        t = Tensors(
            q=inputs.q[i].data_ptr(),
            k=inputs.k[i].data_ptr(),
            v=inputs.v[i].data_ptr(),
            o=self.o[i].data_ptr(),
            lengths=inputs.lengths.data_ptr(),
            batch_stride=KV_HEADS * inputs.kv_len * HEAD_DIM,
            head_stride=inputs.kv_len * HEAD_DIM,
            error=self.error.data_ptr(),
            scratch=self.scratch.data_ptr(),
            state=self.state.data_ptr(),
        )
        if with_positions:
            t.positions = self.positions[i % len(self.positions)].data_ptr()
            t.count = self.count.data_ptr()
        return t

    def call(self, i):
        self.planned.run(self.timed[i], self.inputs.device.handle())

    def check(self, reference):
        device, attends = self.inputs.device, self.task != "select"
        self.planned.run(self.tensors(0, True), device.handle())
        device.synchronize()
        problem, figures = None, {}
        at = self.positions[0]
        if self.task != "attend_selected":
            exact = self.selection == "exact_radix"
            problem, figures = reference.judge_selection(at, self.count, self.scope, exact)
        if int(self.error.item()) != 0:
            problem = problem or f"error word is {int(self.error.item())}"
        error = None
        if attends and problem is None:
            every = at.repeat_interleave(GROUP, 1) if self.scope == "kv_group" else at
            error = reference.error(self.o[0], every)
        result = judged(problem, figures, error, TKA_TOLERANCE)
        self.checked = self.o[0].clone()
        return result

    def check_replayed(self):
        """After timing: graphs and calls without the optional outputs gave the same bits."""
        if self.task == "select":
            return True
        return torch.equal(self.o[0].view(torch.int16), self.checked.view(torch.int16))

    def spoil(self):
        self.o[0].fill_(math.nan)

    def figures(self):
        return {"plan": self.planned.numbers()} if self.planned else {}

    def close(self):
        if self.planned:
            self.planned.close()


class Torch:
    """Something of PyTorch over the inputs."""

    library = None

    def __init__(self, name):
        self.name = name

    def prepare(self, inputs):
        self.inputs = inputs

    def call(self, i):
        inputs = self.inputs
        return self.compute(inputs.q[i], inputs.k[i], inputs.v[i])

    def check_replayed(self):
        return True

    def spoil(self):
        pass

    def figures(self):
        return {}

    def close(self):
        pass


class Dense(Torch):
    """scaled_dot_product_attention, its backend named."""

    def __init__(self, name, backend):
        super().__init__(name)
        self.backend = backend

    def compute(self, q, k, v):
        with sdpa_kernel(self.backend):
            return scaled_dot_product_attention(q, k, v, scale=SCALE, enable_gqa=True)

    def check(self, reference):
        o = self.call(0)
        self.inputs.device.synchronize()
        return judged(None, {}, reference.error(o), TORCH_TOLERANCE)


class Composed(Torch):
    """What users write: scores of grouped heads, topk, softmax over the kept, their values."""

    def __init__(self, name, gather="gather", scores="bf16"):
        super().__init__(name)
        self.gather, self.scores = gather, scores

    def prepare(self, inputs):
        super().prepare(inputs)
        b, n, device = inputs.batch, inputs.kv_len, inputs.device.name
        self.sequence = torch.arange(b, device=device).view(b, 1, 1, 1)
        self.head = torch.arange(KV_HEADS, device=device).view(1, KV_HEADS, 1, 1)
        self.first_row = (self.sequence * KV_HEADS + self.head) * n

    def select(self, q, k):
        b, k_kept = self.inputs.batch, self.inputs.k_kept
        scores = q.view(b, KV_HEADS, GROUP, HEAD_DIM) @ k.transpose(-1, -2)
        if self.scores == "fp32":
            scores = scores.float()
        return scores.topk(k_kept, dim=-1)

    def values_at(self, v, at):
        b, n = self.inputs.batch, self.inputs.kv_len
        if self.gather == "index":
            return v[self.sequence, self.head, at]
        if self.gather == "index_select":
            rows = (self.first_row + at).flatten()
            return v.view(-1, HEAD_DIM).index_select(0, rows).view(*at.shape, HEAD_DIM)
        every = v.unsqueeze(2).expand(b, KV_HEADS, GROUP, n, HEAD_DIM)
        return every.gather(3, at.unsqueeze(-1).expand(*at.shape, HEAD_DIM))

    def compute(self, q, k, v):
        top, at = self.select(q, k)
        p = torch.softmax(top * SCALE, dim=-1, dtype=torch.float32).to(v.dtype)
        return (p.unsqueeze(-2) @ self.values_at(v, at)).view(q.shape)

    def check(self, reference):
        inputs = self.inputs
        _, at = self.select(inputs.q[0], inputs.k[0])
        o = self.call(0)
        inputs.device.synchronize()
        at = at.view(inputs.batch, Q_HEADS, -1)
        figures = {"recall": reference.recall(at, "query_head")}
        problem = "another selection" if figures["recall"] < COMPOSED_RECALL else None
        return judged(problem, figures, reference.error(o, at), TORCH_TOLERANCE)


class TopK(Torch):
    """torch.topk over stored fp32 scores, a row a query head."""

    def prepare(self, inputs):
        super().prepare(inputs)
        extents = (inputs.batch, Q_HEADS, inputs.kv_len)
        self.stored = [inputs.filled(extents, torch.float32, i, SEED_SCORES) for i in range(inputs.sets)]

    def call(self, i):
        return self.stored[i].topk(self.inputs.k_kept)

    def check(self, reference):
        found, at = self.call(0)
        expected = self.stored[0].sort(dim=-1, descending=True).values[..., : self.inputs.k_kept]
        same = torch.equal(found.sort(dim=-1, descending=True).values, expected)
        same = same and torch.equal(self.stored[0].gather(-1, at), found)
        return judged(None if same else "not the k largest", {}, None, None)


OURS = {
    "query_head": {},
    "bound_1m": {"bound": BOUND_1M},
    "kv_group": {"scope": "kv_group"},
    "bucketed": {"selection": "bucketed"},
    "select": {"task": "select"},
    "attend_selected": {"task": "attend_selected"},
    "select_kv_group": {"task": "select", "scope": "kv_group"},
    "attend_selected_kv_group": {"task": "attend_selected", "scope": "kv_group"},
}


def contenders(libraries, options):
    """In the order in which they are checked: PyTorch's own first."""
    made = [
        Composed("composed"),
        Composed("composed_fp32", scores="fp32"),
        Composed("composed_index", gather="index"),
        Composed("composed_index_select", gather="index_select"),
        Dense("cudnn", SDPBackend.CUDNN_ATTENTION),
        Dense("flash", SDPBackend.FLASH_ATTENTION),
        TopK("torch_topk"),
    ]
    if options["quick"]:
        made = [c for c in made if c.name in (options["composed"], "cudnn")]
    builds = [(label, library, {}) for label, library in libraries.items()]
    builds += [(label, builds[0][1], schedule) for label, schedule in options["schedules"].items()]
    for label, library, schedule in builds:
        for name, parts in OURS.items():
            made.append(Tka(f"{name}@{label}" if label else name, library, schedule=schedule, **parts))
    return [c for c in made if re.fullmatch(options["only"], c.name)]


# ---- times ---------------------------------------------------------------------------------------


def spread_of(samples):
    """(largest - smallest) / median."""
    return (max(samples) - min(samples)) / statistics.median(samples)


def time_graphs(device, graphs, rounds, least_us, step):
    """{name: [us of a call, one a round]}; graphs: {name: (replay, calls in it)}; all in turn."""
    times = {}
    samples = {name: [] for name in graphs}
    if not graphs:
        return samples
    for name, (replay, _) in graphs.items():
        step(name, "first replay")
        device.elapsed_us(replay, 1)
        once = device.elapsed_us(replay, 1)
        times[name] = max(1, min(200, math.ceil(least_us / max(once, 1.0))))
    names = list(graphs)
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            replay, calls = graphs[name]
            step(name, "timing")
            replay()
            samples[name].append(device.elapsed_us(replay, times[name]) / (times[name] * calls))
    return samples


def measure_ceilings(device, library, rounds, step):
    """Bandwidths in GB/s and an empty kernel in a graph, through kernels of the library."""
    found = {}
    giga = min(4, max(1, int(device.free_bytes() * 0.2) >> 30)) if device.name == "cuda" else 0
    size = giga << 30 if giga else 1 << 26
    buffer = torch.empty(size // 4, dtype=torch.int32, device=device.name).random_()
    sink = torch.zeros(1, dtype=torch.int32, device=device.name)
    rows_in = size // 256
    rows = torch.randint(0, rows_in, (min(rows_in, 1 << 22),), dtype=torch.int32, device=device.name)
    base, out = buffer.data_ptr(), sink.data_ptr()

    def reads(bytes_each, count):
        def enqueue():
            for i in range(count):
                error = library.read(base + i * bytes_each, bytes_each, out, device.handle())
                library.check_cuda(error, "read kernel")

        return enqueue

    def gathers():
        error = library.gather(base, rows.data_ptr(), rows.numel(), out, device.handle())
        library.check_cuda(error, "gather kernel")

    def empties():
        for _ in range(200):
            library.check_cuda(library.empty(device.handle()), "empty kernel")

    work = {
        "read_gbs": (reads(size, 1), 1, size),
        "read_256mb_gbs": (reads(size // 16, 16), 16, size // 16),
        "read_64mb_gbs": (reads(size // 64, 64), 64, size // 64),
        "gather_256b_gbs": (gathers, 1, rows.numel() * 256),
        "empty_node_us": (empties, 200, None),
    }
    graphs, failed = {}, {}
    for name, (enqueue, calls, _) in work.items():
        step("ceilings", name)
        try:
            enqueue()
            device.synchronize()
            graphs[name] = (device.graph(enqueue), calls)
        except (Failure, RuntimeError) as error:
            failed[name] = str(error)
    for name, samples in time_graphs(device, graphs, rounds, 3000.0, lambda *a: step("ceilings", a[0])).items():
        us, moved = statistics.median(samples), work[name][2]
        found[name] = us if moved is None else moved / us / 1e3
        found[name + "_spread"] = spread_of(samples)
    found["read_bytes"] = size
    if failed:
        found["failed"] = failed
    return found


def sets_for(k_bytes, free):
    """Copies of the inputs: past the L2 by far, and within a third of the free memory."""
    wanted = max(2, min(48, math.ceil((768 << 20) / k_bytes)))
    return min(wanted, int(free / 3 / (2 * k_bytes)))


def measure_point(device, libraries, options, batch, kv_len, skip, step):
    k_bytes = batch * KV_HEADS * kv_len * HEAD_DIM * 2
    point = {"batch": batch, "kv_len": kv_len, "k_bytes": k_bytes, "contenders": {}}
    sets = sets_for(k_bytes, device.free_bytes()) if device.name == "cuda" else 2
    if sets < 2:
        point["infeasible"] = f"two sets of inputs take {4 * k_bytes >> 30} GB, {device.free_bytes() >> 30} are free"
        return point
    step(None, "inputs")
    inputs = Inputs(device, next(iter(libraries.values())), batch, kv_len, options["k"], sets)
    reference = Reference(inputs)
    point |= {
        "sets": sets,
        "v_bytes_query_head": reference.distinct_value_bytes("query_head"),
        "v_bytes_kv_group": reference.distinct_value_bytes("kv_group"),
    }
    device.synchronize()

    living, graphs = {}, {}
    for contender in contenders(libraries, options):
        name = contender.name
        result = point["contenders"][name] = {}
        why = skip.get(name) or (skip.get("*") if contender.library else None)
        if why:
            result["error"] = why
            continue
        try:
            step(name, "check")
            contender.prepare(inputs)
            result["check"] = contender.check(reference)
            result |= contender.figures()
            if not result["check"]["ok"] and not options["time_wrong"]:
                contender.close()
                continue
            step(name, "warm-up")
            for i in list(range(sets))[:3]:
                contender.call(i)
            device.synchronize()
            begin = time.perf_counter()
            for i in range(20):
                contender.call(i % sets)
            result["enqueue_us"] = 1e6 * (time.perf_counter() - begin) / 20
            device.synchronize()
            contender.spoil()
        except Exception as error:
            result["error"] = f"{type(error).__name__}: {error}"
            result["trace"] = traceback.format_exc(limit=4)
            contender.close()
            device.synchronize()  # raises where the context is broken; the caller starts anew
            continue

        def enqueue(contender=contender):
            for i in range(sets):
                contender.call(i)

        step(name, "capture")  # not caught: PyTorch's allocator does not survive a capture that fails
        graphs[name] = (device.graph(enqueue), sets)
        living[name] = contender
    reference = None

    for name, samples in time_graphs(device, graphs, options["rounds"], options["least_us"], step).items():
        result = point["contenders"][name]
        result["us"] = statistics.median(samples)
        result["spread"] = spread_of(samples)
        result["samples_us"] = samples
        result["same_bits_in_graph"] = living[name].check_replayed()
    for contender in living.values():
        contender.close()
    return point


def work(options, state, send):
    """Measures what `state` does not hold yet; `send` takes dictionaries."""
    current = {"contender": None, "step": "start", "point": None}

    def step(contender, what):
        current.update(contender=contender, step=what)
        send({"event": "step", **current})

    step(None, "start")
    torch.set_grad_enabled(False)
    device = DryRun() if options["dry_run"] else Cuda()
    libraries = {label: Library(path) for label, path in options["libraries"].items()}
    first = next(iter(libraries.values()))
    try:
        if not state.get("head"):
            head = device.describe()
            head["libraries"] = {label: library.build() for label, library in libraries.items()}
            head["ceilings"] = measure_ceilings(device, first, options["rounds"], step)
            send({"event": "head", "data": head})
            device.release()
        for batch, kv_len in options["points"]:
            if [batch, kv_len] in state["done"]:
                continue
            current["point"] = [batch, kv_len]
            point = measure_point(device, libraries, options, batch, kv_len, state["skip"], step)
            send({"event": "point", "data": point})
            device.release()
        send({"event": "done"})
    except Exception as error:  # the context is gone: whoever started this process starts another
        send({"event": "broken", **current, "error": f"{type(error).__name__}: {error}"})
        traceback.print_exc()
        os._exit(3)
