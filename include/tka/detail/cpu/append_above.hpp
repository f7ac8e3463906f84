// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Moves the keys above a gate behind a list, in order: the hot loop of selection.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/ordered_key.hpp>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <array>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

#if defined(__AVX512F__)

/// Keys, or indices, of one register.
using key_lanes = __m512i;
/// A set of its lanes, a bit a lane.
using lane_set = __mmask16;
inline constexpr std::int32_t key_lane_count = 16;

[[nodiscard]] inline key_lanes load_keys(std::int32_t const* p) noexcept {
  return _mm512_loadu_si512(p);
}
[[nodiscard]] inline key_lanes splat_key(std::int32_t x) noexcept { return _mm512_set1_epi32(x); }
[[nodiscard]] inline key_lanes add_keys(key_lanes a, key_lanes b) noexcept {
  return _mm512_add_epi32(a, b);
}
/// The lanes where a > b.
[[nodiscard]] inline lane_set lanes_above(key_lanes a, key_lanes b) noexcept {
  return _mm512_cmpgt_epi32_mask(a, b);
}
[[nodiscard]] inline std::int32_t lanes_in(lane_set set) noexcept {
  // g++ 12 spills a mask that is widened as 16 bits, and reads 32 of the place where it stands.
  unsigned bits;
  asm("kmovw %1, %0" : "=r"(bits) : "k"(set));
  return __builtin_popcount(bits);
}
/// Stores the lanes of `set` one behind the other, and something behind them: a whole register.
inline void store_set(std::int32_t* out, key_lanes x, lane_set set) noexcept {
  // Not the form that writes to memory: that one is slow on Zen 4.
  _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(set, x));
}

#elif defined(__AVX2__)

/// Keys, or indices, of one register.
using key_lanes = __m256i;
/// A set of its lanes, a bit a lane.
using lane_set = unsigned;
inline constexpr std::int32_t key_lane_count = 8;

[[nodiscard]] inline key_lanes load_keys(std::int32_t const* p) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<__m256i const*>(p));
}
[[nodiscard]] inline key_lanes splat_key(std::int32_t x) noexcept { return _mm256_set1_epi32(x); }
[[nodiscard]] inline key_lanes add_keys(key_lanes a, key_lanes b) noexcept {
  return _mm256_add_epi32(a, b);
}
/// The lanes where a > b.
[[nodiscard]] inline lane_set lanes_above(key_lanes a, key_lanes b) noexcept {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b))));
}
[[nodiscard]] inline std::int32_t lanes_in(lane_set set) noexcept {
  return __builtin_popcount(set);
}

/// For each set of lanes the lanes in it, in order, a byte each.
[[nodiscard]] consteval std::array<std::uint64_t, 256> make_lane_orders() {
  std::array<std::uint64_t, 256> orders{};
  for (unsigned set = 0; set < 256; ++set) {
    unsigned place = 0;
    for (unsigned lane = 0; lane < 8; ++lane) {
      if ((set >> lane) & 1u) orders[set] |= std::uint64_t{lane} << (8 * place++);
    }
  }
  return orders;
}
inline constexpr std::array<std::uint64_t, 256> lane_orders = make_lane_orders();

/// Stores the lanes of `set` one behind the other, and something behind them: a whole register.
inline void store_set(std::int32_t* out, key_lanes x, lane_set set) noexcept {
  __m256i const order =
      _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(lane_orders[set])));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permutevar8x32_epi32(x, order));
}

#endif

#if defined(__AVX2__)

/// Appends those of key[0 .. count) above `gate` with indices first, first + 1, ...; returns the
/// new size. May write up to `count` entries behind `size`, whatever it keeps.
[[nodiscard, gnu::noinline]] inline std::int32_t append_above(
    ordered_key const* key, std::int32_t count, std::int32_t first, ordered_key gate,
    ordered_key* out_key, std::int32_t* out_index, std::int32_t size) noexcept {
  alignas(64) static constexpr std::int32_t counting[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                            8, 9, 10, 11, 12, 13, 14, 15};
  key_lanes const limit = splat_key(gate);
  key_lanes index = add_keys(splat_key(first), load_keys(counting));
  std::int32_t i = 0;
  for (; i + key_lane_count <= count; i += key_lane_count) {
    key_lanes const k = load_keys(key + i);
    lane_set const above = lanes_above(k, limit);
    if (above != 0) {
      store_set(out_key + size, k, above);
      store_set(out_index + size, index, above);
      size += lanes_in(above);
    }
    index = add_keys(index, splat_key(key_lane_count));
  }
  for (; i < count; ++i) {
    out_key[size] = key[i];
    out_index[size] = first + i;
    size += key[i] > gate ? 1 : 0;
  }
  return size;
}

/// Moves the entries whose key is above `limit` to the front, in order; returns how many.
[[nodiscard]] inline std::int32_t compact_above(ordered_key* key, std::int32_t* index,
                                                std::int32_t count, ordered_key limit) noexcept {
  key_lanes const bound = splat_key(limit);
  std::int32_t size = 0;
  std::int32_t i = 0;
  // What is written never lies behind what has been read.
  for (; i + key_lane_count <= count; i += key_lane_count) {
    key_lanes const k = load_keys(key + i);
    key_lanes const x = load_keys(index + i);
    lane_set const above = lanes_above(k, bound);
    store_set(key + size, k, above);
    store_set(index + size, x, above);
    size += lanes_in(above);
  }
  for (; i < count; ++i) {
    key[size] = key[i];
    index[size] = index[i];
    size += key[size] > limit ? 1 : 0;
  }
  return size;
}

/// Copies the keys in first..last to `out`, which may be `key` itself; returns how many. `out` has
/// room for 16 more.
[[nodiscard]] inline std::int32_t copy_between(ordered_key const* key, std::int32_t count,
                                               ordered_key first, ordered_key last,
                                               ordered_key* out) noexcept {
  key_lanes const low = splat_key(first);
  key_lanes const high = splat_key(last);
  std::int32_t size = 0;
  std::int32_t i = 0;
  for (; i + key_lane_count <= count; i += key_lane_count) {
    key_lanes const k = load_keys(key + i);
    auto const outside = static_cast<unsigned>(lanes_above(low, k) | lanes_above(k, high));
    auto const inside = static_cast<lane_set>(~outside & ((1u << key_lane_count) - 1u));
    if (inside == 0) continue;
    store_set(out + size, k, inside);
    size += lanes_in(inside);
  }
  for (; i < count; ++i) {
    out[size] = key[i];
    size += out[size] >= first && out[size] <= last ? 1 : 0;
  }
  return size;
}

#else

/// As above, without vector instructions.
[[nodiscard]] inline std::int32_t compact_above(ordered_key* key, std::int32_t* index,
                                                std::int32_t count, ordered_key limit) noexcept {
  std::int32_t size = 0;
  for (std::int32_t i = 0; i < count; ++i) {
    key[size] = key[i];
    index[size] = index[i];
    size += key[size] > limit ? 1 : 0;
  }
  return size;
}

/// As above, without vector instructions.
[[nodiscard]] inline std::int32_t copy_between(ordered_key const* key, std::int32_t count,
                                               ordered_key first, ordered_key last,
                                               ordered_key* out) noexcept {
  std::int32_t size = 0;
  for (std::int32_t i = 0; i < count; ++i) {
    out[size] = key[i];
    size += out[size] >= first && out[size] <= last ? 1 : 0;
  }
  return size;
}

/// As above: blocks without a key above the gate are passed over by their maximum.
[[nodiscard, gnu::noinline]] inline std::int32_t append_above(
    ordered_key const* key, std::int32_t count, std::int32_t first, ordered_key gate,
    ordered_key* out_key, std::int32_t* out_index, std::int32_t size) noexcept {
  constexpr std::int32_t block = 16;
  for (std::int32_t i = 0; i < count; i += block) {
    std::int32_t const end = i + block < count ? i + block : count;
    ordered_key largest = key_of_nothing;
    for (std::int32_t j = i; j < end; ++j) largest = key[j] > largest ? key[j] : largest;
    if (largest <= gate) continue;
    for (std::int32_t j = i; j < end; ++j) {
      out_key[size] = key[j];
      out_index[size] = first + j;
      size += key[j] > gate ? 1 : 0;
    }
  }
  return size;
}

#endif

}  // namespace tka::inline TKA_ABI::detail::cpu
