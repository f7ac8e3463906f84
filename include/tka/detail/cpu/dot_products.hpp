// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The score of one (q, k) pair, written once: scan, re-scoring and every later pass call this.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/lanes.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

/// `Rows` x `Keys` products held in registers. Each pair is a chain of its own (lanes over
/// head_dim, ascending, then `sum`), so neither its neighbours nor the block size changes a bit.
template <int Rows, int Keys, class K>
inline void dot_block(float const* q, std::int64_t q_stride, K const* const* keys, int dim,
                      float* out, std::int64_t out_stride) noexcept {
  lanes acc[Rows][Keys];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int j = 0; j < Keys; ++j) acc[r][j] = splat(0.0f);
  }
  for (int d = 0; d < dim; d += lane_count) {
    lanes k[Keys];
#pragma GCC unroll 8
    for (int j = 0; j < Keys; ++j) k[j] = widen(keys[j] + d);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      lanes const x = load(q + r * q_stride + d);
#pragma GCC unroll 8
      for (int j = 0; j < Keys; ++j) acc[r][j] = multiply_add(x, k[j], acc[r][j]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int j = 0; j < Keys; ++j) out[r * out_stride + j] = sum(acc[r][j]);
  }
}

template <int Rows, class K>
inline void dot_rows(float const* q, std::int64_t q_stride, K const* const* keys, int count,
                     int dim, float* out, std::int64_t out_stride) noexcept {
  int j = 0;
  for (; j + 2 <= count; j += 2) {
    dot_block<Rows, 2>(q, q_stride, keys + j, dim, out + j, out_stride);
  }
  if (j < count) dot_block<Rows, 1>(q, q_stride, keys + j, dim, out + j, out_stride);
}

/// out[r][j] = q[r] . *keys[j] in fp32. `dim` is a multiple of 16.
/// Not inlined: every caller runs the same instructions.
template <class K>
[[gnu::noinline]] void dot_products(float const* q, std::int64_t q_stride, int rows,
                                    K const* const* keys, int count, int dim, float* out,
                                    std::int64_t out_stride) noexcept {
  constexpr int near = 32;  // keys that stay in the first-level cache while all rows pass
  for (int first = 0; first < count; first += near) {
    int const n = std::min(near, count - first);
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      dot_rows<4>(q + r * q_stride, q_stride, keys + first, n, dim, out + r * out_stride + first,
                  out_stride);
    }
    for (; r < rows; ++r) {
      dot_rows<1>(q + r * q_stride, q_stride, keys + first, n, dim, out + r * out_stride + first,
                  out_stride);
    }
  }
}

}  // namespace tka::inline TKA_ABI::detail::cpu
