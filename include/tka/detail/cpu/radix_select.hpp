// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Keeps the largest of a list of candidates, exactly, in place and in order.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/ordered_key.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

/// Bins of the widest digit: what a caller lends as `histogram`.
inline constexpr int radix_bins = 2048;

/// Where the k-th largest lies: everything above `key` is kept, and the first `ties` equal to it.
struct radix_threshold {
  std::uint32_t bits;
  std::int32_t ties;
};

/// Radix select from the top digit down; 0 < keep < size. Stops as soon as a bin is kept whole.
template <int DigitBits>
[[nodiscard]] inline radix_threshold find_threshold(ordered_key const* key, std::int32_t size,
                                                    std::int32_t keep,
                                                    std::uint32_t* histogram) noexcept {
  std::uint32_t prefix = 0;
  std::uint32_t mask = 0;  // bits of the prefix that are settled
  std::uint32_t wanted = static_cast<std::uint32_t>(keep);
  for (int low = 32; low > 0;) {
    int const width = std::min(DigitBits, low);
    low -= width;
    std::uint32_t const digit_mask = (1u << width) - 1u;
    std::fill_n(histogram, std::size_t{1} << width, 0u);
    for (std::int32_t i = 0; i < size; ++i) {
      std::uint32_t const u = radix_bits(key[i]);
      if ((u & mask) == prefix) ++histogram[(u >> low) & digit_mask];
    }
    std::uint32_t bin = digit_mask;
    while (histogram[bin] < wanted) wanted -= histogram[bin--];
    prefix |= bin << low;
    mask |= digit_mask << low;
    if (histogram[bin] == wanted) break;  // all of this bin stay: lower digits do not matter
  }
  return {prefix, static_cast<std::int32_t>(wanted)};
}

/// Moves the `keep` largest of `size` candidates to the front, in their old order; of equal keys
/// the earlier stay. Returns the gate: a later candidate must be above it to count. The index
/// list must be ascending for the tie rule of the library (smaller position first).
[[nodiscard]] inline ordered_key keep_largest(ordered_key* key, std::int32_t* index,
                                              std::int32_t size, std::int32_t keep,
                                              std::uint32_t* histogram) noexcept {
  if (keep <= 0) return key_of_nan;
  radix_threshold const t = size >= 4096 ? find_threshold<11>(key, size, keep, histogram)
                                         : find_threshold<8>(key, size, keep, histogram);
  auto const gate = static_cast<ordered_key>(t.bits ^ 0x80000000u);
  // Keys at the gate stay while there is room: those above need `keep` less the room for ties. A
  // bin that was kept whole holds keys above its lower end too, so the ties are counted anew.
  std::int32_t above = 0;
  for (std::int32_t i = 0; i < size; ++i) above += key[i] > gate ? 1 : 0;
  std::int32_t ties = keep - above;
  std::int32_t i = 0;
  std::int32_t out = 0;
  for (; i < size && ties > 0; ++i) {
    ordered_key const k = key[i];
    key[out] = k;
    index[out] = index[i];
    out += k >= gate ? 1 : 0;
    ties -= k == gate ? 1 : 0;
  }
  for (; i < size; ++i) {
    ordered_key const k = key[i];
    key[out] = k;
    index[out] = index[i];
    out += k > gate ? 1 : 0;
  }
  return gate;
}

}  // namespace tka::inline TKA_ABI::detail::cpu
