// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The score of one (q, k) pair, written once: scan, re-scoring and every later pass call this.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/lanes.hpp>
#include <tka/detail/cpu/tile.hpp>

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cpu {

/// Keys that are widened two registers at a time; their queries lie in the same order.
template <class K>
inline constexpr bool keys_are_dealt = std::is_same_v<K, bfloat16_t> && lane_count <= 8;

/// The query of dot_products against keys of type K: fp32, in the order in which they are widened.
template <class K, class Q>
inline void prepare_query(Q const* q, int dim, float* out) noexcept {
  if constexpr (keys_are_dealt<K>) {
    for (int d = 0; d < dim; d += 2 * lane_count) {
      for (int i = 0; i < lane_count; ++i) {
        out[d + i] = static_cast<float>(q[d + 2 * i]);
        out[d + lane_count + i] = static_cast<float>(q[d + 2 * i + 1]);
      }
    }
  } else {
    for (int d = 0; d < dim; d += lane_count) store(out + d, widen(q + d));
  }
}

/// `Rows` x `Keys` products, lane_count of them, held in registers. Each is a chain of its own
/// (lanes over head_dim, ascending, then a tree over the lanes), so neither its neighbours nor the
/// shape of the block changes a bit. Row r's products begin at out[r * out_stride].
template <int Rows, class K>
inline void dot_block(float const* q, std::int64_t q_stride, K const* const* keys, int dim,
                      float* out, std::int64_t out_stride, int wanted) noexcept {
  constexpr int key_count = lane_count / Rows;
  lane_square acc;
#pragma GCC unroll 16
  for (int i = 0; i < lane_count; ++i) acc.packet[i] = splat(0.0f);
  auto const add_products = [&](int d, lanes const* k) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      lanes const x = load(q + r * q_stride + d);
#pragma GCC unroll 16
      for (int j = 0; j < key_count; ++j) {
        acc.packet[r * key_count + j] = multiply_add(x, k[j], acc.packet[r * key_count + j]);
      }
    }
  };
  if constexpr (keys_are_dealt<K>) {
#pragma GCC unroll 4
    for (int d = 0; d < dim; d += 2 * lane_count) {
      lanes even[key_count];
      lanes odd[key_count];
#pragma GCC unroll 16
      for (int j = 0; j < key_count; ++j) widen_dealt(keys[j] + d, even[j], odd[j]);
      add_products(d, even);
      add_products(d + lane_count, odd);
    }
  } else {
#pragma GCC unroll 4
    for (int d = 0; d < dim; d += lane_count) {
      lanes k[key_count];
#pragma GCC unroll 16
      for (int j = 0; j < key_count; ++j) k[j] = widen(keys[j] + d);
      add_products(d, k);
    }
  }
  alignas(64) float product[lane_count];
  store(product, sum_each(acc));
  for (int r = 0; r < Rows; ++r) {
    for (int j = 0; j < wanted; ++j) out[r * out_stride + j] = product[r * key_count + j];
  }
}

/// Asks for keys a page ahead, where the hardware's own streams end.
template <class K>
inline void fetch_rows(K const* const* keys, int wanted, int left, int dim) noexcept {
  constexpr int line = 64 / sizeof(K);
  for (int i = keys_ahead; i < keys_ahead + wanted && i < left; ++i) {
    for (int d = 0; d < dim; d += line) __builtin_prefetch(keys[i] + d);
  }
}

template <int Rows, class K>
inline void dot_rows(float const* q, std::int64_t q_stride, K const* const* keys, int count,
                     int reach, int dim, float* out, std::int64_t out_stride) noexcept {
  constexpr int key_count = lane_count / Rows;
  int j = 0;
  for (; j + key_count <= count; j += key_count) {
    fetch_rows(keys + j, key_count, reach - j, dim);
    dot_block<Rows>(q, q_stride, keys + j, dim, out + j, out_stride, key_count);
  }
  if (j == count) return;
  // The last keys share a block with repetitions of the very last one.
  K const* rest[key_count];
  for (int i = 0; i < key_count; ++i) rest[i] = keys[std::min(j + i, count - 1)];
  dot_block<Rows>(q, q_stride, rest, dim, out + j, out_stride, count - j);
}

/// out[r][j] = q[r] . *keys[j] in fp32; q by `prepare_query<K>`. `dim` is a multiple of 16.
/// `reach` >= count: addresses that follow, of keys that will be wanted next.
/// Not inlined: every caller runs the same instructions.
template <class K>
[[gnu::noinline]] void dot_products(float const* q, std::int64_t q_stride, int rows,
                                    K const* const* keys, int count, int reach, int dim, float* out,
                                    std::int64_t out_stride) noexcept {
  constexpr int near = 32;  // keys that stay in the first-level cache while all rows pass
  for (int first = 0; first < count; first += near) {
    int const n = std::min(near, count - first);
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      dot_rows<4>(q + r * q_stride, q_stride, keys + first, n, r == 0 ? reach - first : n, dim,
                  out + r * out_stride + first, out_stride);
    }
    for (; r < rows; ++r) {
      dot_rows<1>(q + r * q_stride, q_stride, keys + first, n, r == 0 ? reach - first : n, dim,
                  out + r * out_stride + first, out_stride);
    }
  }
}

}  // namespace tka::inline TKA_ABI::detail::cpu
