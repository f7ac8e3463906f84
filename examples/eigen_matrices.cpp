// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Attention on Eigen's matrices, which stay where they are: two heads over the 32 best of 1,000
/// keys each, beside the same in plain Eigen.

#include <tka/backend/cpu.hpp>
#include <tka/interop/eigen.hpp>
#include <tka/sparse_attention.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <vector>

namespace {

constexpr int heads = 2, keys = 1000, dim = 64, kept = 32;
constexpr float scale = 0.125f;

/// A token is a column: [dim, heads * tokens].
using columns = Eigen::MatrixXf;

/// o of one head, by hand: [dim].
Eigen::VectorXf by_hand(Eigen::VectorXf const& q, columns const& k, columns const& v) {
  Eigen::VectorXf const scores = k.transpose() * q;
  std::vector<float> sorted(scores.begin(), scores.end());
  std::nth_element(sorted.begin(), sorted.begin() + kept - 1, sorted.end(), std::greater<>{});
  float const threshold = sorted[kept - 1];
  Eigen::VectorXf const weights =
      (scores.array() >= threshold)
          .select((scale * (scores.array() - scores.maxCoeff())).exp(), 0.0f);
  return v * weights / weights.sum();
}

}  // namespace

int main() {
  columns const q = columns::Random(dim, heads);
  columns const k = columns::Random(dim, heads * keys);
  columns const v = columns::Random(dim, heads * keys);
  columns o(dim, heads);

  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;
  tka::plan const plan = attend.plan(
      {.q_heads = heads, .kv_heads = heads, .kv_len = keys, .qk_dim = dim, .v_dim = dim},
      {.budget = tka::top_k(kept), .scale = scale}, {.threads = 1});
  struct alignas(tka::workspace_alignment) line {
    std::byte bytes[tka::workspace_alignment];
  };
  std::vector<line> scratch(plan.scratch_bytes / sizeof(line) + 1);
  tka::status const status = attend(plan,
                                    {.q = tka::hnd(q, heads),
                                     .k = tka::hnd(k, heads),
                                     .v = tka::hnd(v, heads),
                                     .o = tka::hnd(o, heads)},
                                    {scratch.data(), scratch.size() * sizeof(line)});

  float error = 0.0f;
  for (int h = 0; h < heads; ++h) {
    Eigen::VectorXf const expected =
        by_hand(q.col(h), k.middleCols(h * keys, keys), v.middleCols(h * keys, keys));
    error = std::max(error, (o.col(h) - expected).cwiseAbs().maxCoeff());
  }
  std::printf("%s; off by %.1e\n", to_string(status), error);
  return status == tka::status::ok && error < 1e-5f ? 0 : 1;
}
