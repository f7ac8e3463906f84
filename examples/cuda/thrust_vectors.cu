// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Attention on `thrust::device_vector`s. One key of each head is what its query looks for, so its
/// value must come out.

#include "device.cuh"

#include <tka/backend/cuda.cuh>
#include <tka/interop/thrust.cuh>
#include <tka/sparse_attention.hpp>

#include <thrust/device_vector.h>
#include <thrust/host_vector.h>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <random>

int main() {
  need_gpu();
  constexpr int heads = 2, keys = 4096, dim = 64, wanted = 1234;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  thrust::host_vector<tka::bfloat16_t> q(heads * dim), k(heads * keys * dim), v(heads * keys * dim);
  for (auto& x : k) x = tka::bfloat16_t{normal(random)};
  for (auto& x : v) x = tka::bfloat16_t{normal(random)};
  auto const at = [](int head, int d) {
    return static_cast<std::size_t>((head * keys + wanted) * dim + d);
  };
  for (int h = 0; h < heads; ++h) {
    for (int d = 0; d < dim; ++d) {
      q[static_cast<std::size_t>(h * dim + d)] =
          tka::bfloat16_t{4.0f * static_cast<float>(k[at(h, d)])};
    }
  }
  thrust::device_vector<tka::bfloat16_t> const q_there = q, k_there = k, v_there = v;
  thrust::device_vector<tka::bfloat16_t> o_there(heads * dim);

  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>;
  tka::plan const plan = attend.plan(
      {.q_heads = heads, .kv_heads = heads, .kv_len = keys, .qk_dim = dim, .v_dim = dim},
      {.budget = tka::top_k(64), .scale = 0.125f}, tka::cuda::query());
  thrust::device_vector<std::byte> scratch(plan.scratch_bytes);
  stream const on;
  check(cudaDeviceSynchronize());  // Thrust filled the vectors on the default stream
  tka::status const status = attend(plan,
                                    {.q = tka::hnd(q_there, heads, 1, dim),
                                     .k = tka::hnd(k_there, heads, keys, dim),
                                     .v = tka::hnd(v_there, heads, keys, dim),
                                     .o = tka::hnd(o_there, heads, 1, dim)},
                                    tka::scratch_of(scratch), on);
  on.wait();

  thrust::host_vector<tka::bfloat16_t> const o = o_there;
  float error = 0.0f;
  for (int h = 0; h < heads; ++h) {
    for (int d = 0; d < dim; ++d) {
      float const expected = static_cast<float>(v[at(h, d)]);
      float const got = static_cast<float>(o[static_cast<std::size_t>(h * dim + d)]);
      error = std::fmax(error, std::fabs(got - expected) / (1 + std::fabs(expected)));
    }
  }
  std::printf("%s; off by %.1e\n", to_string(status), error);
  return status == tka::status::ok && error < 0.01f ? 0 : 1;  // bf16 has 8 bits
}
