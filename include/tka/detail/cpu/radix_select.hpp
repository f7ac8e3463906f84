// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Keeps the largest of a list of candidates, exactly, in place and in order.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/append_above.hpp>
#include <tka/detail/shared/ordered_key.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

/// Memory that radix selects of one worker share.
struct radix_scratch {
  static constexpr std::int32_t bins = 2048;
  static constexpr std::int32_t spare_room = 4096;
  std::uint32_t* histogram = nullptr;  // [bins]
  ordered_key* spare = nullptr;        // [spare_room] the keys of one bin
};

/// The keep-th largest key, or a smaller value that no other key lies between; and whether more
/// keys reach it than are kept.
struct found_gate {
  ordered_key key;
  bool has_ties;
};

[[nodiscard]] constexpr int bits_of(std::uint32_t x) noexcept { return 32 - std::countl_zero(x); }

/// Radix select from the top digit down; 0 < keep <= size. Digits count from the smallest key that
/// may still be the one, over the range that such keys span: scores lie close together, and digits
/// of their bits would put most of them into a few bins. Ends as soon as a bin is kept whole.
[[nodiscard]] inline found_gate find_gate(ordered_key const* key, std::int32_t size,
                                          std::int32_t keep,
                                          radix_scratch const& scratch) noexcept {
  ordered_key smallest = key[0];
  ordered_key largest = key[0];
  for (std::int32_t i = 0; i < size; ++i) {
    smallest = key[i] < smallest ? key[i] : smallest;
    largest = key[i] > largest ? key[i] : largest;
  }
  std::uint32_t low = radix_bits(smallest);
  std::uint32_t span = radix_bits(largest) - low;
  auto wanted = static_cast<std::uint32_t>(keep);
  for (;;) {
    // Some keys a bin: more bins would take longer to clear and to pass than they sort out.
    int const digit = std::clamp(bits_of(static_cast<std::uint32_t>(size)) - 3, 4, 11);
    int const shift = std::max(bits_of(span) - digit, 0);
    std::uint32_t bin = span >> shift;
    std::fill_n(scratch.histogram, bin + 1, 0u);
    for (std::int32_t i = 0; i < size; ++i) {
      std::uint32_t const above = radix_bits(key[i]) - low;
      if (above <= span) ++scratch.histogram[above >> shift];
    }
    while (scratch.histogram[bin] < wanted) wanted -= scratch.histogram[bin--];
    std::uint32_t const in_bin = scratch.histogram[bin];
    span = std::min(span - (bin << shift), (1u << shift) - 1u);
    low += bin << shift;
    auto const first = static_cast<ordered_key>(low ^ 0x80000000u);
    if (in_bin == wanted) return {first, false};  // lower digits do not matter
    if (span == 0) return {first, true};
    if (in_bin + 16u <= static_cast<std::uint32_t>(scratch.spare_room)) {
      // Only the keys of this bin are looked at again.
      size = copy_between(key, size, first, static_cast<ordered_key>((low + span) ^ 0x80000000u),
                          scratch.spare);
      key = scratch.spare;
    }
  }
}

/// Moves the `keep` largest of `size` candidates to the front, in their old order; of equal keys
/// the earlier stay. Returns the gate: a later candidate must be above it to count. The index
/// list must be ascending for the tie rule of the library (smaller position first).
[[nodiscard, gnu::noinline]] inline ordered_key keep_largest(
    ordered_key* key, std::int32_t* index, std::int32_t size, std::int32_t keep,
    radix_scratch const& scratch) noexcept {
  if (keep <= 0) return key_of_nan;
  auto const [gate, has_ties] = find_gate(key, size, keep, scratch);
  if (!has_ties) {
    (void)compact_above(key, index, size, gate - 1);
    return gate;
  }
  // More are equal to the gate than there is room for: the first of them stay.
  std::int32_t ties = keep;
  for (std::int32_t i = 0; i < size; ++i) ties -= key[i] > gate ? 1 : 0;
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
