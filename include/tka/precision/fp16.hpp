// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// IEEE binary16 storage and the precision policy over it.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/bits.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// Two bytes of IEEE binary16. A storage type: it converts, it does not compute.
struct float16_t {
  using tka_storage = float16_t;
  std::uint16_t bits;

  float16_t() = default;
  /// Rounds to nearest even; overflow gives infinity, NaN stays NaN.
  TKA_HOST_DEVICE constexpr explicit float16_t(float value) noexcept : bits(encode(value)) {}
  /// Exact.
  TKA_HOST_DEVICE constexpr explicit operator float() const noexcept { return decode(bits); }

  [[nodiscard]] TKA_HOST_DEVICE static constexpr float16_t from_bits(std::uint16_t b) noexcept {
    float16_t h{};
    h.bits = b;
    return h;
  }

 private:
  TKA_HOST_DEVICE static constexpr std::uint16_t encode(float value) noexcept {
    auto const x = detail::bits_as<std::uint32_t>(value);
    auto const sign = static_cast<std::uint16_t>((x >> 16) & 0x8000u);
    std::uint32_t const magnitude = x & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
    if (magnitude < 0x38800000u) {
      // Subnormal: adding 0.5 aligns the last kept bit, and the addition rounds to even.
      float const shifted = detail::bits_as<float>(magnitude) + 0.5f;
      return static_cast<std::uint16_t>(sign |
                                        (detail::bits_as<std::uint32_t>(shifted) - 0x3f000000u));
    }
    std::uint32_t const odd = (magnitude >> 13) & 1u;
    return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0x0fffu + odd) >> 13));
  }
  TKA_HOST_DEVICE static constexpr float decode(std::uint16_t h) noexcept {
    std::uint32_t const sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
    std::uint32_t const magnitude = static_cast<std::uint32_t>(h & 0x7fffu) << 13;
    if (magnitude >= 0x0f800000u) return detail::bits_as<float>(sign | (magnitude + 0x70000000u));
    if (magnitude >= 0x00800000u) return detail::bits_as<float>(sign | (magnitude + 0x38000000u));
    float const tiny = detail::bits_as<float>(magnitude + 0x38800000u) - 0x1p-14f;
    return detail::bits_as<float>(sign | detail::bits_as<std::uint32_t>(tiny));
  }
};
static_assert(sizeof(float16_t) == 2);

/// q, k, v and o in fp16.
struct fp16 {
  using query_type = float16_t;
  using key_type = float16_t;
  using value_type = float16_t;
  using output_type = float16_t;
};

}  // namespace tka::inline TKA_ABI
