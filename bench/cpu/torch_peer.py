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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from matrix import CPU_DENSE  # noqa: E402

SAMPLES, LEAST_SECONDS = 3, 0.1


def attend(q, k, v, scale):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=scale, enable_gqa=True)


def difference(q, k, v, scale):
    """The largest one from fp64 of the first sequence."""
    grouped = q[0].double().view(k.shape[1], -1, k.shape[-1])
    expected = torch.softmax(scale * grouped @ k[0].double().transpose(-1, -2), -1) @ v[0].double()
    return (attend(q, k, v, scale)[0].double().view_as(expected) - expected).abs().max().item()


def name_of(precision, batch, kv_len):
    return f"peer/sdpa_torch/precision:{precision}/batch:{batch}/kv_len:{kv_len}"


@functools.cache
def inputs(folder, precision):
    """K, V and Q of bench_matrix, each flat, in memory of this process; and what it says of them."""
    is_told = json.loads((folder / "inputs.json").read_text())
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    pool = is_told["pool_bytes"] // kind.itemsize
    sizes = [pool, pool, is_told["most_batch"] * is_told["q_heads"] * is_told["head_dim"]]
    file = str(folder / f"{precision}.bin")
    return *(part.clone() for part in torch.from_file(file, size=sum(sizes), dtype=kind).split(sizes)), is_told


def measured(folder, precision, batch, kv_len):
    k, v, q, is_told = inputs(folder, precision)
    q_heads, kv_heads, head_dim, scale = (is_told[name] for name in ("q_heads", "kv_heads", "head_dim", "scale"))
    elements = batch * kv_heads * kv_len * head_dim
    sets = len(k) // elements
    bytes_each = elements * k.itemsize
    k, v = (all_of[: sets * elements].view(sets, batch, kv_heads, kv_len, head_dim) for all_of in (k, v))
    q = q[: batch * q_heads * head_dim].view(batch, q_heads, 1, head_dim)
    axes = {"precision": precision, "batch": batch, "kv_len": kv_len}
    point = {"name": name_of(**axes), "axes": axes, "k_bytes": bytes_each, "v_bytes": bytes_each}
    point |= {"multiply_adds": 2 * batch * q_heads * kv_len * head_dim, "torch": torch.__version__}
    off = difference(q, k[0], v[0], scale)
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
            attend(q, k[call % sets], v[call % sets], scale)
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
    for precision in ("fp32", "bf16"):
        for batch, kv_len in CPU_DENSE:
            if pattern.search(name_of(precision, batch, kv_len)):
                made.append(measured(folder, precision, batch, kv_len))
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
