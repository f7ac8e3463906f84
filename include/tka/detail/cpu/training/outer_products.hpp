// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Weighted rows of heads added to the sums of keys that lie anywhere: the product that gradients
/// of keys and values are made of.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/lanes.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// sum[(index[j] - first) * stride + d] += over h of weight[h][j] * row[h][d], h ascending, fused
/// where the target fuses; j in order, so that an index may come twice. `weight` [rows][step_keys],
/// `row` [rows][dim].
[[gnu::noinline]] inline void add_outer_products(float const* weight, float const* row, int rows,
                                                 int dim, std::int32_t const* index, int count,
                                                 std::int32_t first, float* sum,
                                                 std::int64_t stride) noexcept {
  constexpr int line = 64 / sizeof(float);
  constexpr int ahead = 4;
  for (int j = 0; j < count; ++j) {
    if (j + ahead < count) {
      float const* const next = sum + (index[j + ahead] - first) * stride;
      for (int d = 0; d < dim; d += line) __builtin_prefetch(next + d, 1, 2);
    }
    float* const out = sum + (index[j] - first) * stride;
    for (int d = 0; d < dim; d += lane_count) {
      lanes x = load(out + d);
      for (int h = 0; h < rows; ++h) {
        x = multiply_add(splat(weight[h * step_keys + j]), load(row + std::int64_t{h} * dim + d),
                         x);
      }
      store(out + d, x);
    }
  }
}

/// `count` stored values as floats, as they lie.
template <class T>
inline void widen_plain(T const* from, int count, float* to) noexcept {
  for (int d = 0; d < count; d += lane_count) store(to + d, widen(from + d));
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
