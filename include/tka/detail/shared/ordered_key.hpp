// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The total order of scores as integers: what "larger first" means on every backend.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/bits.hpp>

#include <cstdint>
#include <limits>

namespace tka::inline TKA_ABI::detail {

/// A score as a signed integer that orders the same way. -0 equals +0; every NaN is the largest.
using ordered_key = std::int32_t;

inline constexpr ordered_key key_of_nan = std::numeric_limits<std::int32_t>::max();
/// Keys at or below this are never selected.
inline constexpr ordered_key key_of_minus_infinity = static_cast<std::int32_t>(0x807fffffu);
/// Below every score: an invisible or excluded key.
inline constexpr ordered_key key_of_nothing = std::numeric_limits<std::int32_t>::min();

[[nodiscard]] TKA_HOST_DEVICE constexpr ordered_key to_ordered(float score) noexcept {
  // + 0.0f turns -0 into +0 and leaves the rest; negative numbers count downwards, so their
  // magnitude bits are flipped.
  auto const bits = bits_as<std::int32_t>(score + 0.0f);
  ordered_key const key = bits ^ ((bits >> 31) & 0x7fffffff);
  return (bits & 0x7fffffff) > 0x7f800000 ? key_of_nan : key;
}

/// The score of a key: canonical zero and NaN, else the bits that went in.
[[nodiscard]] TKA_HOST_DEVICE constexpr float from_ordered(ordered_key key) noexcept {
  if (key == key_of_nan) return bits_as<float>(std::int32_t{0x7fc00000});
  return bits_as<float>(key ^ ((key >> 31) & 0x7fffffff));
}

/// The same order as an unsigned integer, for radix digits.
[[nodiscard]] TKA_HOST_DEVICE constexpr std::uint32_t radix_bits(ordered_key key) noexcept {
  return static_cast<std::uint32_t>(key) ^ 0x80000000u;
}

}  // namespace tka::inline TKA_ABI::detail
