#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""PyTorch's dense attention on the CPU as points of the matrix, on standard output.

    bench/cpu/torch_peer.py INPUTS [REGEX]

run_matrix.py calls it where PyTorch is installed, with the folder into which bench_matrix has written
its inputs. Two threads; keys and values rotate over all that there are, as in bench_matrix; its output
is compared with fp64 before it is timed.
"""

import functools
import json
import pathlib
import re
import sys
import time

import torch

Q_HEADS, KV_HEADS, HEAD_DIM = 32, 8, 128
SCALE = HEAD_DIM**-0.5
POOL = 160 << 20  # elements of K, and of V: pool_elements of inputs.hpp
LARGEST_BATCH = 4
SAMPLES, LEAST_SECONDS = 3, 0.1
POINTS = [
    (precision, batch, kv_len)
    for precision in ("fp32", "bf16")
    for batch, kv_len in ((1, 8192), (1, 32768), (1, 131072), (4, 32768))
]


def attend(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=SCALE, enable_gqa=True)


def difference(q, k, v):
    """The largest one from fp64 of the first sequence."""
    group = Q_HEADS // KV_HEADS
    scores = SCALE * q[0].double().view(KV_HEADS, group, HEAD_DIM) @ k[0].double().transpose(-1, -2)
    expected = torch.softmax(scores, -1) @ v[0].double()
    return (attend(q, k, v)[0].double().view_as(expected) - expected).abs().max().item()


@functools.cache
def inputs(folder, precision):
    """K, V and Q of bench_matrix, each flat, in memory of this process."""
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    sizes = [POOL, POOL, LARGEST_BATCH * Q_HEADS * HEAD_DIM]
    file = str(folder / f"{precision}.bin")
    return [part.clone() for part in torch.from_file(file, size=sum(sizes), dtype=kind).split(sizes)]


def measured(folder, precision, batch, kv_len):
    k, v, q = inputs(folder, precision)
    elements = batch * KV_HEADS * kv_len * HEAD_DIM
    sets = POOL // elements
    bytes_each = elements * k.itemsize
    k, v = (all_of[: sets * elements].view(sets, batch, KV_HEADS, kv_len, HEAD_DIM) for all_of in (k, v))
    q = q[: batch * Q_HEADS * HEAD_DIM].view(batch, Q_HEADS, 1, HEAD_DIM)
    name = f"peer/sdpa_torch/precision:{precision}/batch:{batch}/kv_len:{kv_len}"
    axes = {"precision": precision, "batch": batch, "kv_len": kv_len}
    point = {"name": name, "axes": axes, "k_bytes": bytes_each, "v_bytes": bytes_each}
    point |= {"multiply_adds": 2 * batch * Q_HEADS * kv_len * HEAD_DIM, "torch": torch.__version__}
    off = difference(q, k[0], v[0])
    if not off < 1e-3:
        return point | {"refused": f"its output is off by {off:.2e}"}
    point["largest_difference"] = float(f"{off:.3g}")
    samples = {"real_time": [], "median_ms": [], "least_ms": []}
    call = 0
    for _ in range(SAMPLES):
        times = []
        while sum(times) < LEAST_SECONDS or len(times) < 3:
            call += 1
            begin = time.perf_counter()
            attend(q, k[call % sets], v[call % sets])
            times.append(time.perf_counter() - begin)
        times.sort()
        for key, seconds in zip(samples, (sum(times) / len(times), times[len(times) // 2], times[0])):
            samples[key].append(float(f"{1e3 * seconds:.5g}"))
    return point | {"samples": samples}


def main():
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    torch.manual_seed(5)
    folder = pathlib.Path(sys.argv[1])
    pattern = re.compile(sys.argv[2] if len(sys.argv) > 2 else ".")
    made = []
    for precision, batch, kv_len in POINTS:
        if pattern.search(f"peer/sdpa_torch/precision:{precision}/batch:{batch}/kv_len:{kv_len}"):
            made.append(measured(folder, precision, batch, kv_len))
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
