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
#include <cstring>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cpu {

/// Keys that are widened two registers at a time; their queries lie in the same order.
template <class K>
inline constexpr bool keys_are_dealt = std::is_same_v<K, bfloat16_t>;

/// What one widening covers. Where it does not divide head_dim, lane_count keys are left over: they
/// are widened as they lie.
template <class K>
inline constexpr int widened_at_once = keys_are_dealt<K> ? 2 * lane_count : lane_count;

/// The query of dot_products against keys of type K: fp32, in the order in which they are widened.
template <class K, class Q>
inline void prepare_query(Q const* q, int dim, float* out) noexcept {
  int d = 0;
  if constexpr (keys_are_dealt<K>) {
    for (; d + widened_at_once<K> <= dim; d += widened_at_once<K>) {
      for (int i = 0; i < lane_count; ++i) {
        out[d + i] = static_cast<float>(q[d + 2 * i]);
        out[d + lane_count + i] = static_cast<float>(q[d + 2 * i + 1]);
      }
    }
  }
  for (; d < dim; d += lane_count) store(out + d, widen(q + d));
}

/// Products of one block: a register each, and at least eight, so that their chains overlap.
inline constexpr int block_products = lane_count < 8 ? 8 : lane_count;

/// `Rows` x `Keys` products, block_products of them, held in registers, to `product`. Each is a
/// chain of its own (lanes over head_dim, ascending, then a tree over the lanes), so neither its
/// neighbours nor the shape of the block changes a bit. `Dim`: head_dim where it is known, so that
/// loops unroll; or 0.
template <int Rows, int Dim, class K>
[[gnu::always_inline]] inline void dot_block(float const* q, K const* const* keys, int dim,
                                             float* product) noexcept {
  constexpr int key_count = block_products / Rows;
  constexpr int step = widened_at_once<K>;
  int const stride = Dim > 0 ? Dim : dim;
  lanes acc[block_products];
#pragma GCC unroll 16
  for (int i = 0; i < block_products; ++i) acc[i] = splat(0.0f);
  // Keys j .. j + Keys, widened, against all rows at d.
  auto const multiply_keys = [&]<int Keys>(int d, int j, lanes const(&k)[Keys]) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      lanes const x = held(load(q + r * stride + d));
#pragma GCC unroll 16
      for (int i = 0; i < Keys; ++i) {
        lanes& sum = acc[r * key_count + j + i];
        sum = multiply_add(x, k[i], sum);
      }
    }
  };
  auto const add_products = [&]<int Keys>(int d, int j, std::integral_constant<int, Keys>) {
    lanes k[Keys];
    if constexpr (keys_are_dealt<K>) {
      lanes odd[Keys];
#pragma GCC unroll 16
      for (int i = 0; i < Keys; ++i) widen_dealt(keys[j + i] + d, k[i], odd[i]);
      multiply_keys(d, j, k);
      multiply_keys(d + lane_count, j, odd);
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < Keys; ++i) k[i] = widen(keys[j + i] + d);
      multiply_keys(d, j, k);
    }
  };
  if constexpr (Rows == 1 && Dim > 0) {
    // Key after key, as they lie in memory, and the query in registers.
#pragma GCC unroll 16
    for (int j = 0; j < key_count; ++j) {
#pragma GCC unroll 32
      for (int d = 0; d < Dim; d += step) add_products(d, j, std::integral_constant<int, 1>{});
    }
  } else if constexpr (Dim > 0) {
#pragma GCC unroll 32
    for (int d = 0; d < Dim; d += step) {
      add_products(d, 0, std::integral_constant<int, key_count>{});
    }
  } else {
    int d = 0;
    for (; d + step <= dim; d += step) {
      add_products(d, 0, std::integral_constant<int, key_count>{});
    }
    if (d < dim) {
      lanes k[key_count];
#pragma GCC unroll 16
      for (int j = 0; j < key_count; ++j) k[j] = widen(keys[j] + d);
      multiply_keys(d, 0, k);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < block_products; i += lane_count) {
    lane_square some;
#pragma GCC unroll 16
    for (int lane = 0; lane < lane_count; ++lane) some.packet[lane] = acc[i + lane];
    store(product + i, sum_each(some));
  }
}

/// Asks for keys far ahead, into the second cache: the hardware's own streams end with each page,
/// and the first cache has too few requests under way to wait for memory.
template <class K>
inline void fetch_rows(K const* const* keys, int wanted, int left, int dim) noexcept {
  constexpr int line = 64 / sizeof(K);
  for (int i = keys_ahead; i < keys_ahead + wanted && i < left; ++i) {
    for (int d = 0; d < dim; d += line) __builtin_prefetch(keys[i] + d, 0, 2);
  }
}

template <int Rows, int Dim, class K>
inline void dot_rows(float const* q, K const* const* keys, int count, int reach, int dim,
                     float* out, std::int64_t out_stride) noexcept {
  constexpr int key_count = block_products / Rows;
  alignas(64) float product[block_products];
  int j = 0;
  for (; j + key_count <= count; j += key_count) {
    fetch_rows(keys + j, key_count, reach - j, dim);
    dot_block<Rows, Dim>(q, keys + j, dim, product);
    for (int r = 0; r < Rows; ++r) {
      std::memcpy(out + r * out_stride + j, product + r * key_count, key_count * sizeof(float));
    }
  }
  if (j == count) return;
  // The last keys share a block with repetitions of the very last one.
  K const* rest[key_count];
  for (int i = 0; i < key_count; ++i) rest[i] = keys[std::min(j + i, count - 1)];
  dot_block<Rows, Dim>(q, rest, dim, product);
  for (int r = 0; r < Rows; ++r) {
    std::copy_n(product + r * key_count, count - j, out + r * out_stride + j);
  }
}

template <int Dim, class K>
inline void dot_tile(float const* q, int rows, K const* const* keys, int count, int reach, int dim,
                     float* out, std::int64_t out_stride) noexcept {
  constexpr int near = 32;  // keys that stay in the first-level cache while all rows pass
  for (int first = 0; first < count; first += near) {
    int const n = std::min(near, count - first);
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      dot_rows<4, Dim>(q + r * dim, keys + first, n, r == 0 ? reach - first : n, dim,
                       out + r * out_stride + first, out_stride);
    }
    for (; r < rows; ++r) {
      dot_rows<1, Dim>(q + r * dim, keys + first, n, r == 0 ? reach - first : n, dim,
                       out + r * out_stride + first, out_stride);
    }
  }
}

/// out[r][j] = q[r] . *keys[j] in fp32; q [rows][dim] by `prepare_query<K>`. `dim` is a multiple of
/// 16.
/// `reach` >= count: addresses that follow, of keys that will be wanted next.
/// Not inlined: every caller runs the same instructions.
template <class K>
[[gnu::noinline]] void dot_products(float const* q, int rows, K const* const* keys, int count,
                                    int reach, int dim, float* out,
                                    std::int64_t out_stride) noexcept {
  auto* tile = dot_tile<0, K>;
  if constexpr (lane_count >=
                8) {  // else the unrolled loops are long, and g++ runs out of registers
    if (dim == 64) tile = dot_tile<64, K>;
    if (dim == 128) tile = dot_tile<128, K>;
  }
  tile(q, rows, keys, count, reach, dim, out, out_stride);
}

}  // namespace tka::inline TKA_ABI::detail::cpu
