// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The smallest call: one query over the 64 best of 4,096 keys. The query looks for key 1234, so
/// what comes out must be value 1234.

#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <random>
#include <vector>

int main() {
  constexpr int keys = 4096, dim = 64, wanted = 1234 * dim;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> q(dim), k(keys * dim), v(keys * dim), o(dim);
  for (float& x : k) x = normal(random);
  for (float& x : v) x = normal(random);
  for (int i = 0; i < dim; ++i) q[i] = 4.0f * k[wanted + i];

  // How to attend is a type, how much of what a plan, where the numbers lie the call itself.
  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;
  tka::plan const plan =
      attend.plan({.q_heads = 1, .kv_heads = 1, .kv_len = keys, .qk_dim = dim, .v_dim = dim},
                  {.budget = tka::top_k(64), .scale = 1 / std::sqrt(float{dim})}, {.threads = 1});
  struct alignas(tka::workspace_alignment) line {
    std::byte bytes[tka::workspace_alignment];
  };
  std::vector<line> scratch(plan.scratch_bytes / sizeof(line) + 1);
  tka::status const status = attend(plan,
                                    {.q = tka::hnd(q.data(), 1, 1, dim),
                                     .k = tka::hnd(k.data(), 1, keys, dim),
                                     .v = tka::hnd(v.data(), 1, keys, dim),
                                     .o = tka::hnd(o.data(), 1, 1, dim)},
                                    {scratch.data(), scratch.size() * sizeof(line)});

  float error = 0.0f;
  for (int i = 0; i < dim; ++i) error = std::fmax(error, std::fabs(o[i] - v[wanted + i]));
  std::printf("%s; o = %.3f %.3f %.3f ..., off by %.1e\n", to_string(status), o[0], o[1], o[2],
              error);
  return status == tka::status::ok && error < 1e-3f ? 0 : 1;
}
