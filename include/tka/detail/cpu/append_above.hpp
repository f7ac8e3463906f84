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

#if defined(__AVX2__)

/// For each set of lanes (a bit a lane) the lanes in it, in order, a byte each.
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

/// Appends those of key[0 .. count) above `gate` with indices first, first + 1, ...; returns the
/// new size. May write up to `count` entries behind `size`, whatever it keeps.
[[nodiscard, gnu::noinline]] inline std::int32_t append_above(
    ordered_key const* key, std::int32_t count, std::int32_t first, ordered_key gate,
    ordered_key* out_key, std::int32_t* out_index, std::int32_t size) noexcept {
  __m256i const limit = _mm256_set1_epi32(gate);
  __m256i index =
      _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  std::int32_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m256i const k = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(key + i));
    auto const above = static_cast<unsigned>(
        _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(k, limit))));
    if (above != 0) {
      __m256i const order =
          _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(lane_orders[above])));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out_key + size),
                          _mm256_permutevar8x32_epi32(k, order));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out_index + size),
                          _mm256_permutevar8x32_epi32(index, order));
      size += __builtin_popcount(above);
    }
    index = _mm256_add_epi32(index, _mm256_set1_epi32(8));
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
  __m256i const bound = _mm256_set1_epi32(limit);
  std::int32_t size = 0;
  std::int32_t i = 0;
  // What is written never lies behind what has been read.
  for (; i + 8 <= count; i += 8) {
    __m256i const k = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(key + i));
    __m256i const x = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(index + i));
    auto const above = static_cast<unsigned>(
        _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(k, bound))));
    __m256i const order =
        _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(lane_orders[above])));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(key + size),
                        _mm256_permutevar8x32_epi32(k, order));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(index + size),
                        _mm256_permutevar8x32_epi32(x, order));
    size += __builtin_popcount(above);
  }
  for (; i < count; ++i) {
    key[size] = key[i];
    index[size] = index[i];
    size += key[size] > limit ? 1 : 0;
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
