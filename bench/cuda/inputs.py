# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""The device, and the inputs of the points: memory that all of them share, made by the benchmark library."""

import gc
import math
import pathlib
import subprocess
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import points  # noqa: E402
from library import Failure  # noqa: E402

PAST_CACHE = 768 << 20  # bytes that a device has read between two uses of the same inputs
MOST_SETS = 48
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}
SEED_VALUES, SEED_KEYS, SEED_QUERIES, SEED_INDEX = 1, 3, 4, 5


class Broken(Exception):
    """A capture that failed: PyTorch's allocator does not survive it, another process must go on."""


class Cuda:
    """Graphs, events and streams."""

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

    def graph(self, enqueue, library):
        """A function that replays what `enqueue` enqueues, and how many kernels that is (or None)."""
        try:
            graph = torch.cuda.CUDAGraph(keep_graph=True)
        except TypeError:  # an older PyTorch
            graph = torch.cuda.CUDAGraph()
        self.synchronize()
        try:
            with torch.cuda.graph(graph):
                enqueue()
        except (Failure, RuntimeError) as problem:
            raise Broken(f"capture: {problem}") from problem
        finally:
            torch.cuda.set_stream(self.stream)
        kernels = library.count_kernels(graph.raw_cuda_graph()) if hasattr(graph, "raw_cuda_graph") else None
        if kernels is not None:
            graph.instantiate()
        return graph.replay, kernels

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


def sets_for(point, bytes_read):
    """How many sets of inputs leave every cache; one where they may stay."""
    most = 2 if point["q_len"] >= 1024 else MOST_SETS  # a prompt is bound by its products, and takes long
    return 1 if point["cache"] == "warm" else max(1, min(most, math.ceil(PAST_CACHE / bytes_read)))


def is_plain(point):
    """Other shapes than those whose keys hide all distributions: all is normal."""
    return point["heads"] != points.HEADS or point["q_len"] > 1


def elements_of(point):
    """Elements of K, of V."""
    _, kv_heads, qk_dim, v_dim = points.heads_of(point)
    tokens = point["batch"] * point["kv_len"] * kv_heads
    return tokens * qk_dim, tokens * v_dim


class Pool:
    """Keys, values or scores of all points of a type; set i of n elements begins at i * n."""

    def __init__(self, device, library, dtype, elements, seed=None):
        self.data = torch.empty(elements, dtype=dtype, device=device.name)
        at, element, stream = self.data.data_ptr(), list(DTYPES.values()).index(dtype), device.handle()
        if seed is None:
            error = library.fill_keys(at, element, 0, elements // 128, stream)
        else:
            error = library.fill_normal(at, element, 0, elements, seed, stream)
        library.check_cuda(error, "inputs")

    def sets(self, elements):
        return self.data.numel() // elements

    def slice(self, i, *extents):
        n = math.prod(extents)
        return self.data[i % self.sets(n) * n :][:n].view(extents)


class Pools:
    """Each made when it is first asked for, as large as the largest of the points wants it."""

    def __init__(self, device, library, listed):
        self.device, self.library, self.made, self.largest = device, library, {}, {}
        limit = int(0.26 * device.free_bytes())
        for point in (p for p in listed if not p["selection"].startswith("stored")):
            k, v = elements_of(point)
            size = DTYPES[point["precision"]].itemsize
            least = max(k, v) * size
            if least <= limit:  # what fits nothing must not cost memory
                wanted = min(least * sets_for(point, 2 * least), max(least, limit // 4))
                for kind in self.kinds(point):
                    key = (kind, point["precision"])
                    self.largest[key] = max(self.largest.get(key, 0), wanted // size)

    @staticmethod
    def kinds(point):
        return ("plain", "values") if is_plain(point) else ("keys", "values")

    def get(self, kind, precision, elements):
        if elements > self.largest.get((kind, precision), 0):
            raise Failure(f"infeasible: {elements * DTYPES[precision].itemsize >> 30} GB are more than is set aside")
        seed = {"keys": None, "values": SEED_VALUES, "plain": SEED_KEYS}[kind]
        return self.own(kind, precision, self.largest[kind, precision], seed)

    def own(self, kind, precision, elements, seed):
        """At least so many elements of its own kind."""
        found = self.made.get((kind, precision))
        if found is None or found.data.numel() < elements:
            self.made.pop((kind, precision), None)
            found = self.made[kind, precision] = Pool(self.device, self.library, DTYPES[precision], elements, seed)
        return found


def stored_scores(kind, rows, length, i, device):
    """[rows, length] fp32 scores that are distributed as `kind` says, others for another i."""
    random = torch.Generator(device=device).manual_seed(40 + i)
    made = {"dtype": torch.float32, "device": device}
    if kind in ("uniform", "narrow"):
        found = torch.rand(rows, length, generator=random, **made)
        return found if kind == "uniform" else 100 + 0.1 * found
    if kind in ("ascending", "descending"):
        ramp = torch.arange(length, **made)
        return (ramp if kind == "ascending" else -ramp).expand(rows, length).contiguous()
    if kind == "all_equal":
        return torch.ones(rows, length, **made)
    found = torch.randn(rows, length, generator=random, **made)
    if kind == "zeros_94":
        return torch.where(torch.rand(rows, length, generator=random, **made) < 0.94, 0.0, found)
    if kind != "normal":
        raise Failure(f"no stored scores are {kind}")
    return found


class Inputs:
    """What a point reads: q, and in `sets` copies, all different, K and V, index keys or scores."""

    def __init__(self, pools, point):
        self.point, self.device, self.library = point, pools.device, pools.library
        self.q_heads, self.kv_heads, self.qk_dim, self.v_dim = points.heads_of(point)
        self.batch, self.q_len, self.kv_len = point["batch"], point["q_len"], point["kv_len"]
        self.k_kept = min(point["k"], self.kv_len)
        self.scale = self.qk_dim**-0.5
        self.dtype = DTYPES[point["precision"]]
        self.q_dtype = torch.bfloat16 if point["precision"] == "fp8" else self.dtype
        self.indexed = point["selection"].startswith("lightning")
        self.stored = point["selection"].startswith("stored")
        self.paged = point["kv"] == "paged"
        self.lengths = torch.full((self.batch,), self.kv_len, dtype=torch.int32, device=self.device.name)
        if self.stored:
            self.make_scores()
            return
        self.make_cache(pools)
        self.make_queries()
        if self.indexed:
            self.make_index(pools)

    def make_scores(self):
        rows = self.batch * self.q_heads
        self.sets = sets_for(self.point, 4 * rows * self.kv_len)
        if 4 * rows * self.kv_len * self.sets > self.device.free_bytes() // 3:
            raise Failure("infeasible: its scores do not fit")
        self.scores = [
            stored_scores(self.point["scores"], rows, self.kv_len, i, self.device.name) for i in range(self.sets)
        ]

    def make_cache(self, pools):
        k, v = elements_of(self.point)
        kinds = pools.kinds(self.point)
        extents = (self.batch, self.kv_heads, self.kv_len)
        if self.paged:
            extents = (self.batch * self.kv_len // points.PAGE_SIZE, self.kv_heads, points.PAGE_SIZE)
            order = torch.randperm(extents[0], generator=torch.Generator().manual_seed(7), dtype=torch.int32)
            self.table = order.view(self.batch, -1).to(self.device.name)
        size = self.dtype.itemsize
        read = (k + v) * size
        if self.point["task"] == "attend_selected":
            read = min(read, self.batch * self.kv_heads * self.k_kept * (self.qk_dim + self.v_dim) * size)
        if self.indexed:
            read = self.batch * self.kv_len * self.qk_dim
        self.sets = sets_for(self.point, read)
        keys = pools.get(kinds[0], self.point["precision"], k)
        self.k = [keys.slice(i, *extents, self.qk_dim) for i in range(self.sets)]
        if self.v_dim < self.qk_dim:  # v lies in k: MLA's latent
            self.v = [one[..., : self.v_dim] for one in self.k]
        else:
            values = pools.get(kinds[1], self.point["precision"], v)
            self.v = [values.slice(i, *extents, self.v_dim) for i in range(self.sets)]

    def make_queries(self):
        q = torch.empty(self.batch, self.q_heads, self.q_len, self.qk_dim, dtype=self.q_dtype)
        if not is_plain(self.point):
            element = list(DTYPES.values()).index(self.q_dtype)
            self.library.make_queries(q.data_ptr(), element, self.point["scores"].encode(), self.batch * self.q_heads)
            self.q = q.to(self.device.name)
        else:
            self.q = Pool(self.device, self.library, self.q_dtype, q.numel(), SEED_QUERIES).data.view(q.shape)

    def make_index(self, pools):
        heads, dim = points.INDEX_HEADS, self.qk_dim
        tokens = self.batch * self.kv_len * dim
        keys = pools.own("index", "fp8", tokens * self.sets, SEED_INDEX)
        self.index_k = [keys.slice(i, self.batch, self.kv_len, dim) for i in range(self.sets)]
        q = Pool(self.device, self.library, torch.float8_e4m3fn, self.batch * heads * dim, SEED_QUERIES)
        self.index_q = q.data.view(self.batch, heads, 1, dim)
        self.index_weights = torch.full((self.batch, heads, 1), 0.125, device=self.device.name)

    def positions(self, i, heads):
        """[batch, heads, q_len, k] int32, random and ascending, others for another i."""
        random = torch.Generator(device=self.device.name).manual_seed(60 + i)
        rows = []
        for _ in range(self.batch):
            drawn = torch.rand(heads, self.q_len, self.kv_len, generator=random, device=self.device.name)
            rows.append(drawn.topk(self.k_kept).indices.sort().values.to(torch.int32))
        return torch.stack(rows)
