// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Keeps the largest of a list of candidates, exactly, in place and in order.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/append_above.hpp>
#include <tka/detail/shared/ordered_key.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

/// Memory that radix selects of one worker share.
struct radix_scratch {
  static constexpr std::int32_t bins = 2048;
  static constexpr std::int32_t spare_room = 4096;
  std::uint32_t* histogram = nullptr;  // [bins]
  ordered_key* spare = nullptr;        // [spare_room] the keys of one bin
};

/// A value that at least `keep` keys reach: the keep-th largest itself, or a smaller one that no
/// other key lies between. Radix select from the top digit down; 0 < keep <= size. Ends as soon as
/// a bin is kept whole.
template <int DigitBits>
[[nodiscard]] inline ordered_key find_gate(ordered_key const* key, std::int32_t size,
                                           std::int32_t keep,
                                           radix_scratch const& scratch) noexcept {
  std::uint32_t prefix = 0;
  std::uint32_t settled = 0;  // bits of the prefix that are known
  auto wanted = static_cast<std::uint32_t>(keep);
  for (int low = 32; low > 0;) {
    int const width = std::min(DigitBits, low);
    low -= width;
    std::uint32_t const digit_mask = (1u << width) - 1u;
    std::fill_n(scratch.histogram, std::size_t{1} << width, 0u);
    for (std::int32_t i = 0; i < size; ++i) {
      std::uint32_t const u = radix_bits(key[i]);
      if ((u & settled) == prefix) ++scratch.histogram[(u >> low) & digit_mask];
    }
    std::uint32_t bin = digit_mask;
    while (scratch.histogram[bin] < wanted) wanted -= scratch.histogram[bin--];
    prefix |= bin << low;
    settled |= digit_mask << low;
    std::uint32_t const in_bin = scratch.histogram[bin];
    if (in_bin == wanted) break;  // all of this bin stay: lower digits do not matter
    if (key != scratch.spare && in_bin <= static_cast<std::uint32_t>(scratch.spare_room) - 8u) {
      // Only the keys of this bin are looked at again.
      std::int32_t found = 0;
      for (std::int32_t i = 0; i < size; ++i) {
        scratch.spare[found] = key[i];
        found += (radix_bits(key[i]) & settled) == prefix ? 1 : 0;
      }
      key = scratch.spare;
      size = found;
    }
  }
  return static_cast<ordered_key>(prefix ^ 0x80000000u);
}

/// Moves the `keep` largest of `size` candidates to the front, in their old order; of equal keys
/// the earlier stay. Returns the gate: a later candidate must be above it to count. The index
/// list must be ascending for the tie rule of the library (smaller position first).
[[nodiscard, gnu::noinline]] inline ordered_key keep_largest(
    ordered_key* key, std::int32_t* index, std::int32_t size, std::int32_t keep,
    radix_scratch const& scratch) noexcept {
  if (keep <= 0) return key_of_nan;
  ordered_key const gate = size >= 4096 ? find_gate<11>(key, size, keep, scratch)
                                        : find_gate<8>(key, size, keep, scratch);
  std::int32_t above = 0;
  std::int32_t equal = 0;
  for (std::int32_t i = 0; i < size; ++i) {
    above += key[i] > gate ? 1 : 0;
    equal += key[i] == gate ? 1 : 0;
  }
  if (above + equal == keep) {
    (void)compact_above(key, index, size, gate - 1);
    return gate;
  }
  // More are equal to the gate than there is room for: the first of them stay.
  std::int32_t ties = keep - above;
  std::int32_t out = 0;
  for (std::int32_t i = 0; i < size; ++i) {
    bool const tie = key[i] == gate && ties > 0;
    bool const taken = key[i] > gate || tie;
    ties -= tie ? 1 : 0;
    key[out] = key[i];
    index[out] = index[i];
    out += taken ? 1 : 0;
  }
  return gate;
}

}  // namespace tka::inline TKA_ABI::detail::cpu
