// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// bfloat16 storage and the precision policy over it.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/bits.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// Two bytes of bfloat16: the upper half of a float. A storage type: it converts, it does not
/// compute.
struct bfloat16_t {
  using tka_storage = bfloat16_t;
  std::uint16_t bits;

  bfloat16_t() = default;
  /// Rounds to nearest even; overflow gives infinity, NaN stays NaN.
  TKA_HOST_DEVICE constexpr explicit bfloat16_t(float value) noexcept : bits(encode(value)) {}
  /// Exact.
  TKA_HOST_DEVICE constexpr explicit operator float() const noexcept {
    return detail::bits_as<float>(static_cast<std::uint32_t>(bits) << 16);
  }

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bfloat16_t from_bits(std::uint16_t b) noexcept {
    bfloat16_t h{};
    h.bits = b;
    return h;
  }

 private:
  TKA_HOST_DEVICE static constexpr std::uint16_t encode(float value) noexcept {
    auto const x = detail::bits_as<std::uint32_t>(value);
    if ((x & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((x >> 16) | 0x40u);
    return static_cast<std::uint16_t>((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
  }
};
static_assert(sizeof(bfloat16_t) == 2);

/// q, k, v and o in bf16.
struct bf16 {
  using query_type = bfloat16_t;
  using key_type = bfloat16_t;
  using value_type = bfloat16_t;
  using output_type = bfloat16_t;
};

}  // namespace tka::inline TKA_ABI
