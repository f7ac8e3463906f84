// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One attention over 64 of 512 keys against a hand-written loop: the whole of a user's program.

#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <vector>

namespace {

constexpr int q_heads = 8;
constexpr int kv_heads = 2;
constexpr int kv_len = 512;
constexpr int head_dim = 64;
constexpr int kept = 64;
constexpr float scale = 0.125f;

/// What a workspace is made of.
struct alignas(tka::workspace_alignment) line {
  std::byte bytes[tka::workspace_alignment];
};

/// Multiples of 1/4 in [-2, 2): their products and sums are exact, so both sides select alike.
std::vector<float> numbers(std::size_t size, std::uint32_t state) {
  std::vector<float> out(size);
  for (float& x : out) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(static_cast<int>(state >> 28) - 8) * 0.25f;
  }
  return out;
}

/// o of one head: the `kept` largest q.k, the smaller position first among equals.
std::vector<double> by_hand(float const* q, float const* k, float const* v) {
  std::vector<double> score(kv_len);
  for (int i = 0; i < kv_len; ++i)
    score[i] = std::inner_product(q, q + head_dim, k + i * head_dim, 0.0);
  std::vector<int> order(kv_len);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return score[a] > score[b]; });

  std::vector<double> o(head_dim);
  double sum = 0.0;
  for (int r = 0; r < kept; ++r) {
    double const weight = std::exp(scale * (score[order[r]] - score[order[0]]));
    sum += weight;
    for (int d = 0; d < head_dim; ++d) o[d] += weight * v[order[r] * head_dim + d];
  }
  for (double& x : o) x /= sum;
  return o;
}

}  // namespace

int main() {
  auto const q = numbers(q_heads * head_dim, 1);
  auto const k = numbers(kv_heads * kv_len * head_dim, 2);
  auto const v = numbers(kv_heads * kv_len * head_dim, 3);
  std::vector<float> o(q_heads * head_dim);

  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;
  tka::shape const shape{.batch = 1,
                         .q_heads = q_heads,
                         .kv_heads = kv_heads,
                         .q_len = 1,
                         .kv_len = kv_len,
                         .qk_dim = head_dim,
                         .v_dim = head_dim};
  tka::plan const plan =
      attend.plan(shape, {.budget = tka::top_k(kept), .scale = scale}, tka::cpu::query());
  if (plan.status != tka::status::ok) {
    std::printf("plan: %s\n", tka::to_string(plan.status));
    return 1;
  }

  std::vector<line> scratch(plan.scratch_bytes / sizeof(line) + 1);
  tka::status const status =
      attend(plan,
             {.q = {q.data(), q_heads * head_dim, head_dim, head_dim},
              .k = {k.data(), kv_heads * kv_len * head_dim, kv_len * head_dim, head_dim},
              .v = {v.data(), kv_heads * kv_len * head_dim, kv_len * head_dim, head_dim},
              .o = {o.data(), q_heads * head_dim, head_dim, head_dim}},
             {.scratch = scratch.data(), .scratch_bytes = plan.scratch_bytes});
  if (status != tka::status::ok) {
    std::printf("run: %s\n", tka::to_string(status));
    return 1;
  }

  double worst = 0.0;
  for (int h = 0; h < q_heads; ++h) {
    int const kv_head = h / (q_heads / kv_heads);
    auto const expected =
        by_hand(&q[h * head_dim], &k[kv_head * kv_len * head_dim], &v[kv_head * kv_len * head_dim]);
    for (int d = 0; d < head_dim; ++d) {
      worst = std::max(worst, std::abs(o[h * head_dim + d] - expected[d]));
    }
  }
  std::printf("largest difference %g\n", worst);
  return worst < 1e-5 ? 0 : 1;
}
