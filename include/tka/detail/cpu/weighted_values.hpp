// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Sums of values weighted by probabilities: the second product of attention.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/lanes.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

/// Rows of values: those to be added, and those that will be wanted next.
template <class V>
struct value_list {
  V const* const* row;
  int count;
  V const* const* next;
  int next_count;
};

/// `Rows` x `Width` lanes of outputs in registers. Each output is a chain over the keys in order.
template <int Rows, int Width, class V>
inline void weighted_block(float const* p, std::int64_t p_stride, value_list<V> const& values,
                           int d, float* out, std::int64_t out_stride) noexcept {
  constexpr int line = 64 / sizeof(V);
  lanes acc[Rows][Width];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int w = 0; w < Width; ++w) acc[r][w] = load(out + r * out_stride + d + w * lane_count);
  }
  for (int j = 0; j < values.count; ++j) {
    if (j < values.next_count) {
      // Selected rows lie anywhere, so no hardware foresees them; asked for one by one, they do not
      // crowd out each other.
#pragma GCC unroll 8
      for (int i = 0; i < Width * lane_count; i += line) {
        __builtin_prefetch(values.next[j] + d + i, 0, 2);
      }
    }
    lanes v[Width];
#pragma GCC unroll 8
    for (int w = 0; w < Width; ++w) v[w] = widen(values.row[j] + d + w * lane_count);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      lanes const weight = splat(p[r * p_stride + j]);
#pragma GCC unroll 8
      for (int w = 0; w < Width; ++w) acc[r][w] = multiply_add(weight, v[w], acc[r][w]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int w = 0; w < Width; ++w) store(out + r * out_stride + d + w * lane_count, acc[r][w]);
  }
}

template <int Rows, class V>
inline void weighted_rows(float const* p, std::int64_t p_stride, value_list<V> const& values,
                          int dim, float* out, std::int64_t out_stride) noexcept {
  constexpr int width = Rows == 1 ? 4 : 2;
  int d = 0;
  for (; d + width * lane_count <= dim; d += width * lane_count) {
    weighted_block<Rows, width>(p, p_stride, values, d, out, out_stride);
  }
  for (; d < dim; d += lane_count) {
    weighted_block<Rows, 1>(p, p_stride, values, d, out, out_stride);
  }
}

/// out[r] += sum over j of p[r][j] * *values.row[j], j ascending. `dim` is a multiple of 16.
template <class V>
[[gnu::noinline]] void add_weighted_values(float const* p, std::int64_t p_stride, int rows,
                                           value_list<V> values, int dim, float* out,
                                           std::int64_t out_stride) noexcept {
  int r = 0;
  for (; r + 4 <= rows; r += 4) {
    weighted_rows<4>(p + r * p_stride, p_stride, values, dim, out + r * out_stride, out_stride);
    values.next_count = 0;
  }
  for (; r < rows; ++r) {
    weighted_rows<1>(p + r * p_stride, p_stride, values, dim, out + r * out_stride, out_stride);
    values.next_count = 0;
  }
}

}  // namespace tka::inline TKA_ABI::detail::cpu
