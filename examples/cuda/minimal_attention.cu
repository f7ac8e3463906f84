// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The smallest CUDA call: one query over the 64 best of 4,096 keys, and the same on the host in
/// fp64. Queries and keys are small integers: scores are then exact, many are equal, and both sides
/// must keep the same 64 keys (larger first, equal ones by smaller position).

#include "device.cuh"

#include <tka/backend/cuda.cuh>
#include <tka/sparse_attention.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <numeric>
#include <random>
#include <vector>

namespace {

constexpr int keys = 4096, dim = 64, kept = 64;
constexpr float scale = 0.125f;

/// What must come out, [dim]: from inputs [dim], [keys, dim] and [keys, dim].
std::vector<double> on_the_host(std::vector<tka::bfloat16_t> const& q,
                                std::vector<tka::bfloat16_t> const& k,
                                std::vector<tka::bfloat16_t> const& v) {
  auto const at = [](std::vector<tka::bfloat16_t> const& x, int i) {
    return double{static_cast<float>(x[static_cast<std::size_t>(i)])};
  };
  std::vector<double> score(keys, 0.0), o(dim, 0.0);
  for (int j = 0; j < keys; ++j) {
    for (int d = 0; d < dim; ++d) score[j] += at(q, d) * at(k, j * dim + d);
  }
  std::vector<int> order(keys);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return score[a] > score[b]; });
  double sum = 0.0;
  for (int n = 0; n < kept; ++n) {
    int const j = order[n];
    double const weight = std::exp(scale * (score[j] - score[order[0]]));
    sum += weight;
    for (int d = 0; d < dim; ++d) o[d] += weight * at(v, j * dim + d);
  }
  for (double& x : o) x /= sum;
  return o;
}

}  // namespace

int main() {
  need_gpu();
  std::mt19937 random(1);
  std::uniform_int_distribution<int> integer(-2, 2);
  std::normal_distribution<float> normal;
  std::vector<tka::bfloat16_t> q(dim), k(keys * dim), v(keys * dim);
  for (auto& x : q) x = tka::bfloat16_t{static_cast<float>(integer(random))};
  for (auto& x : k) x = tka::bfloat16_t{static_cast<float>(integer(random))};
  for (auto& x : v) x = tka::bfloat16_t{normal(random)};

  stream const on;
  device_array<tka::bfloat16_t> const q_there(q, on), k_there(k, on), v_there(v, on), o_there(dim);

  // How to attend is a type, how much of what a plan, where the numbers lie the call itself.
  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>;
  tka::plan const plan =
      attend.plan({.q_heads = 1, .kv_heads = 1, .kv_len = keys, .qk_dim = dim, .v_dim = dim},
                  {.budget = tka::top_k(kept), .scale = scale}, tka::cuda::query());
  device_array<std::byte> const scratch(plan.scratch_bytes);
  tka::status const status = attend(plan,
                                    {.q = tka::hnd(q_there.data(), 1, 1, dim),
                                     .k = tka::hnd(k_there.data(), 1, keys, dim),
                                     .v = tka::hnd(v_there.data(), 1, keys, dim),
                                     .o = tka::hnd(o_there.data(), 1, 1, dim)},
                                    {scratch.data(), scratch.bytes()}, on);
  if (status != tka::status::ok) {
    std::printf("%s\n", to_string(status));
    return 1;
  }

  // The call was only enqueued: the copy behind it on the same stream waits for it.
  std::vector<tka::bfloat16_t> const o = o_there.download(on);
  std::vector<double> const expected = on_the_host(q, k, v);
  double error = 0.0;
  bool right = true;
  for (int d = 0; d < dim; ++d) {
    double const difference = std::fabs(double{static_cast<float>(o[d])} - expected[d]);
    right = right && difference <= 0.01 * (1 + std::fabs(expected[d]));  // bf16 has 8 bits
    error = std::fmax(error, difference);
  }
  std::printf("o = %.3f %.3f %.3f ..., off by %.1e\n", static_cast<float>(o[0]),
              static_cast<float>(o[1]), static_cast<float>(o[2]), error);
  return right ? 0 : 1;
}
