# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""What is timed at a point: a call of the library, or what a user would take instead."""

import ctypes
import math

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention

import points
from inputs import DTYPES
from library import ROUTES, Failure, Planned, Tensors
from reference import PEER_TOLERANCE, Reference, check_stored

COMPOSED_RECALL = 0.97  # its scores are rounded to 16 bits, so near ties fall otherwise
MOST_POSITIONS = 3 << 30  # bytes of positions that are asked for, to be checked


class Subject:
    """One call over the i-th set of inputs is `call(i)`; `calls` of them are one replay."""

    def __init__(self, point, pools, inputs):
        self.point, self.inputs, self.device, self.library = point, inputs, pools.device, pools.library
        self.calls = 16 if point["cache"] == "warm" else inputs.sets

    def prepare(self):
        """Memory and plan."""

    def call(self, i):
        raise NotImplementedError

    def check(self):
        """Figures of a right result; raises Failure where it is wrong."""
        raise NotImplementedError

    def spoil(self):
        """After the check: no output may be left over from it."""

    def same_bits(self):
        """After the timing: the replays gave the bits that were checked."""
        return True

    def close(self):
        pass

    def tensor(self, extents, dtype, value):
        return torch.full(extents, value, dtype=dtype, device=self.device.name)


class Tka(Subject):
    """A call of the library."""

    def __init__(self, point, pools, inputs, library=None, delay=0.0):
        super().__init__(point, pools, inputs)
        self.library = library or self.library
        self.task = points.combination_of(point).partition("/")[0]
        self.exact = point["selection"] not in points.EXACT
        self.delay_ns, self.delay = 0, delay
        self.planned = None

    def prepare(self):
        point, inputs = self.point, self.inputs
        numbers = {
            "batch": inputs.batch, "q_heads": inputs.q_heads, "kv_heads": inputs.kv_heads, "q_len": inputs.q_len,
            "kv_len": 1 << 20 if point["bound"] == "1M" else inputs.kv_len, "qk_dim": inputs.qk_dim,
            "v_dim": inputs.v_dim, "k": inputs.k_kept, "page_size": points.PAGE_SIZE if inputs.paged else 0,
            "visible": int(point["metrics"] == "visible"), "route": ROUTES.index(point["route"]), "scale": inputs.scale,
            "recall": point["recall"], "scratch_limit": points.SCRATCH[point["scratch"]],
        }
        if inputs.indexed:
            numbers |= {"index_heads": points.INDEX_HEADS, "index_dim": inputs.qk_dim}
        self.planned = Planned(self.library, points.combination_of(point), **numbers)
        plan = self.planned.plan
        self.scratch = self.tensor((max(64, plan.scratch_bytes),), torch.uint8, 0xA5)
        self.state = self.tensor((max(64, plan.state_bytes),), torch.uint8, 0xA5)
        self.error = self.tensor((1,), torch.int32, 0)
        rows = (inputs.batch, plan.scope_heads, inputs.q_len)
        attends = self.task != "select"
        # With fp8 keys and values q and o are bf16.
        self.o = self.tensor((*rows[:1], inputs.q_heads, inputs.q_len, inputs.v_dim), self.output(), math.nan) if attends else None
        self.lse = self.tensor((inputs.batch, inputs.q_heads, inputs.q_len), torch.float32, math.nan)
        self.count = self.tensor(rows, torch.int32, -7)
        if self.task == "attend_selected":
            self.count.fill_(inputs.k_kept)
            self.positions = [inputs.positions(i, plan.scope_heads) for i in range(self.calls)]
        else:
            asked = math.prod(rows) * plan.capacity * 4 <= MOST_POSITIONS
            self.positions = [self.tensor((*rows, plan.capacity), torch.int32, -7)] if asked else [None]
        listed = self.task != "attend"
        self.timed = [self.tensors(i, listed) for i in range(self.calls)]
        self.planned.initialize(self.timed[0], self.device.handle())

    def output(self):
        return DTYPES["bf16"] if self.point["precision"] == "fp8" else self.inputs.dtype

    def tensors(self, i, listed):
        inputs = self.inputs
        t = Tensors(
            lengths=inputs.lengths.data_ptr(), error=self.error.data_ptr(),
            scratch=self.scratch.data_ptr(), state=self.state.data_ptr(),
        )
        if inputs.stored:
            t.scores = inputs.scores[i % inputs.sets].data_ptr()
        else:
            t.q = inputs.q.data_ptr()
            k, v = inputs.k[i % inputs.sets], inputs.v[i % inputs.sets]
            t.k, t.v = k.data_ptr(), v.data_ptr()
            t.k_batch, t.k_head, t.k_token = k.stride()[:3]
            t.v_batch, t.v_head, t.v_token = v.stride()[:3]
        if inputs.paged:
            t.block_table, t.table_stride = inputs.table.data_ptr(), inputs.table.shape[1]
            t.pages = inputs.table.numel()
        if inputs.indexed:
            t.index_q, t.index_k = inputs.index_q.data_ptr(), inputs.index_k[i % inputs.sets].data_ptr()
            t.index_weights, t.index_stride = inputs.index_weights.data_ptr(), inputs.kv_len * inputs.qk_dim
        if self.o is not None:
            t.o = self.o.data_ptr()
        if self.point["metrics"] == "visible":
            t.lse_visible = self.lse.data_ptr()
        if listed and self.positions[0] is not None:
            t.positions, t.count = self.positions[i % len(self.positions)].data_ptr(), self.count.data_ptr()
        return t

    def call(self, i):
        self.planned.run(self.timed[i % self.calls], self.device.handle())
        if self.delay_ns:
            self.library.check_cuda(self.library.spin(self.delay_ns, self.device.handle()), "spin kernel")

    def check(self):
        self.planned.run(self.tensors(0, True), self.device.handle())
        self.device.synchronize()
        if int(self.error.item()) != 0:
            raise Failure(f"error word is {int(self.error.item())}")
        at, expected = self.positions[0], self.planned.plan.expected_recall
        if self.inputs.stored:
            if not bool((self.count == self.inputs.k_kept).all()):
                raise Failure("another number of keys")
            figures = check_stored(self.inputs, at.view(-1, at.shape[-1]), self.exact, expected)
        else:
            selects = None if self.task == "attend_selected" else self.exact
            figures = Reference(self.inputs).check(self.o, at, self.count, selects, expected)
        # What replays must give again: o, or without one the positions.
        self.checked = (self.o if self.o is not None else at).clone()
        return figures

    def spoil(self):
        self.scratch.fill_(0xA5)
        self.planned.initialize(self.timed[0], self.device.handle())
        if self.o is not None:
            self.o.fill_(math.nan)
        else:
            self.positions[0].fill_(-7)

    def same_bits(self):
        output = self.o if self.o is not None else self.positions[0]
        replayed = output.clone()  # by the last call of the graph
        self.call(self.calls - 1)
        self.device.synchronize()
        again = torch.equal(output.view(torch.uint8), replayed.view(torch.uint8))
        self.call(0)
        self.device.synchronize()
        return again and torch.equal(output.view(torch.uint8), self.checked.view(torch.uint8))

    def close(self):
        if self.planned:
            self.planned.close()


class Dense(Subject):
    """scaled_dot_product_attention over all keys, its backend named; causal where there are several tokens."""

    def __init__(self, point, pools, inputs):
        super().__init__(point, pools, inputs)
        inputs.k_kept = inputs.kv_len
        cudnn = point["peer"].startswith("sdpa_cudnn")
        self.backend = SDPBackend.CUDNN_ATTENTION if cudnn else SDPBackend.FLASH_ATTENTION
        self.mask = {}
        if inputs.q_len == inputs.kv_len:
            self.mask = {"is_causal": True}
        elif inputs.q_len > 1 and not cudnn:  # cuDNN has no such mask: it sees all keys
            self.mask = {"attn_mask": causal_lower_right(inputs.q_len, inputs.kv_len)}

    def call(self, i):
        inputs = self.inputs
        with sdpa_kernel(self.backend):
            return scaled_dot_product_attention(
                inputs.q, inputs.k[i % inputs.sets], inputs.v[i % inputs.sets], scale=inputs.scale, enable_gqa=True, **self.mask
            )

    def check(self):
        o = self.call(0)
        self.device.synchronize()
        if self.inputs.q_len > 1 and not self.mask:
            return {"sees": "all keys"}
        return Reference(self.inputs).check(o, None, None, None)


class Training(Dense):
    """Its forward and backward pass in one replay."""

    def prepare(self):
        inputs = self.inputs
        self.leaves = [[x.detach().requires_grad_() for x in (inputs.q, inputs.k[i], inputs.v[i])] for i in range(inputs.sets)]
        self.gradient = torch.ones(*inputs.q.shape[:3], inputs.v_dim, dtype=inputs.dtype, device=self.device.name)

    def call(self, i):
        leaves = self.leaves[i % self.inputs.sets]
        with torch.enable_grad(), sdpa_kernel(self.backend):
            o = scaled_dot_product_attention(*leaves, scale=self.inputs.scale, enable_gqa=True, **self.mask)
            return torch.autograd.grad(o, leaves, self.gradient)

    def check(self):
        gradients = self.call(0)
        self.device.synchronize()
        # With o's gradient all ones each value's gradient is the sum of its weights: one for each query in all.
        found = gradients[2].double().sum((0, 2)).sum(0) / (self.inputs.batch * self.inputs.q_heads * self.inputs.q_len)
        off = (found - 1).abs().max().item()
        if not off < 2e-2:
            raise Failure(f"gradients of v are off by {off:.1e}")
        return {"output_error": off}


class Composed(Subject):
    """What users write: scores of grouped heads, topk, softmax over the kept, their values."""

    def compute(self, i):
        inputs = self.inputs
        k, v = inputs.k[i % inputs.sets], inputs.v[i % inputs.sets]
        grouped = (inputs.batch, inputs.kv_heads, inputs.q_heads // inputs.kv_heads, -1)
        top, at = (inputs.q.view(grouped) @ k.transpose(-1, -2)).topk(inputs.k_kept, dim=-1)
        p = torch.softmax(top * inputs.scale, dim=-1, dtype=torch.float32).to(v.dtype)
        every = v.unsqueeze(2).expand(*grouped[:3], *v.shape[2:])
        values = every.gather(3, at.unsqueeze(-1).expand(*at.shape, v.shape[-1]))
        return (p.unsqueeze(-2) @ values).view(inputs.q.shape), at

    def call(self, i):
        return self.compute(i)[0]

    def check(self):
        inputs = self.inputs
        o, at = self.compute(0)
        self.device.synchronize()
        at = at.view(inputs.batch, inputs.q_heads, 1, -1).sort().values.to(torch.int32)
        count = self.tensor(at.shape[:-1], torch.int32, inputs.k_kept)
        reference = Reference(inputs)
        recalls, errors = [], []
        for b in reference.sequences:
            scores = reference.attention_scores(b)
            best = scores.topk(inputs.k_kept).values[..., -1:]
            recalls.append((scores.gather(-1, at[b].long()) >= best).double().mean().item())
            expected = reference.attend(b, scores, at[b], count)
            errors.append(((o[b].double() - expected).norm() / expected.norm()).item())
        if min(recalls) < COMPOSED_RECALL or not all(error <= PEER_TOLERANCE for error in errors):
            raise Failure(f"recall {min(recalls):.3f}, output off by {max(errors):.1e}")
        return {"recall": min(recalls), "output_error": max(errors)}


class TopK(Subject):
    """torch.topk over the scores that the library's stored_scores is given."""

    def call(self, i):
        return self.inputs.scores[i % self.inputs.sets].topk(self.inputs.k_kept)

    def kept(self):
        """[rows, k] positions over the first scores, in any order."""
        return self.call(0).indices

    def check(self):
        scores, at = self.inputs.scores[0], self.kept().long()
        self.device.synchronize()
        best = scores.sort(descending=True).values
        found = scores.gather(-1, at).sort(descending=True).values
        distinct = bool((at.sort().values.diff(dim=-1) > 0).all())
        if not distinct or not torch.equal(found, best[..., : self.inputs.k_kept]):
            raise Failure("not the k largest")
        return {}


class Cub(TopK):
    """CUB over the same scores: each row sorted whole, or cub::DeviceBatchedTopK."""

    def prepare(self):
        rows, length = self.inputs.scores[0].shape
        if rows * length >= 1 << 31:
            raise Failure("infeasible: too many scores for CUB's offsets")
        self.sorts = self.point["peer"] == "cub_segmented_radix_sort"
        width = length if self.sorts else self.inputs.k_kept
        self.values = self.tensor((rows, width), torch.float32, math.nan)
        self.positions = self.tensor((rows, width), torch.int32, -7)
        if self.sorts:
            self.iota = torch.arange(length, dtype=torch.int32, device=self.device.name).repeat(rows)
            self.offsets = torch.arange(0, rows * length + 1, length, dtype=torch.int32, device=self.device.name)
        self.bytes = ctypes.c_int64(0)
        self.memory = None
        self.call(0)
        self.memory = self.tensor((max(1, self.bytes.value),), torch.uint8, 0xA5)

    def call(self, i):
        scores = self.inputs.scores[i % self.inputs.sets]
        memory = self.memory.data_ptr() if self.memory is not None else None
        head = (memory, ctypes.byref(self.bytes), scores.data_ptr(), *scores.shape)
        tail = (self.values.data_ptr(), self.positions.data_ptr(), self.device.handle())
        if self.sorts:
            error = self.library.cub_sort(*head, self.iota.data_ptr(), self.offsets.data_ptr(), *tail)
        else:
            error = self.library.cub_topk(*head, self.inputs.k_kept, *tail)
        if error == 801:  # cudaErrorNotSupported
            raise Failure(f"CUB {self.library.cub_version()} has no cub::DeviceBatchedTopK for such rows")
        self.library.check_cuda(error, self.point["peer"])

    def kept(self):
        self.call(0)
        return self.positions[:, : self.inputs.k_kept]


PEERS = {
    "sdpa_cudnn": Dense, "sdpa_flash": Dense, "sdpa_cudnn_training": Training, "torch_composed": Composed,
    "torch_topk": TopK, "cub_segmented_radix_sort": Cub, "cub_batched_topk": Cub,
}
