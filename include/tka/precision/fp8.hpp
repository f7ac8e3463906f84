// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// e4m3 storage (the fn form: no infinity, 448 at most) and the precision policy over it.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/bits.hpp>
#include <tka/precision/bf16.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// One byte of e4m3fn. A storage type: it converts, it does not compute.
struct float8_e4m3_t {
  using tka_storage = float8_e4m3_t;
  std::uint8_t bits;

  float8_e4m3_t() = default;
  /// Rounds to nearest even; finite values beyond 448 and infinities saturate, NaN stays NaN.
  TKA_HOST_DEVICE constexpr explicit float8_e4m3_t(float value) noexcept : bits(encode(value)) {}
  /// Exact.
  TKA_HOST_DEVICE constexpr explicit operator float() const noexcept { return decode(bits); }

  [[nodiscard]] TKA_HOST_DEVICE static constexpr float8_e4m3_t from_bits(std::uint8_t b) noexcept {
    float8_e4m3_t f{};
    f.bits = b;
    return f;
  }
  static constexpr float max = 448.0f;

 private:
  TKA_HOST_DEVICE static constexpr std::uint8_t encode(float value) noexcept {
    auto const x = detail::bits_as<std::uint32_t>(value);
    auto const sign = static_cast<std::uint8_t>((x >> 24) & 0x80u);
    std::uint32_t const magnitude = x & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<std::uint8_t>(sign | 0x7fu);
    if (magnitude >= 0x43e00000u) return static_cast<std::uint8_t>(sign | 0x7eu);
    if (magnitude < 0x3c800000u) {
      // Subnormal: adding 2^14 aligns the last kept bit (2^-9), and the addition rounds to even.
      float const shifted = detail::bits_as<float>(magnitude) + 16384.0f;
      return static_cast<std::uint8_t>(sign |
                                       (detail::bits_as<std::uint32_t>(shifted) - 0x46800000u));
    }
    std::uint32_t const odd = (magnitude >> 20) & 1u;
    return static_cast<std::uint8_t>(sign | ((magnitude - 0x3c000000u + 0x7ffffu + odd) >> 20));
  }
  TKA_HOST_DEVICE static constexpr float decode(std::uint8_t b) noexcept {
    std::uint32_t const sign = static_cast<std::uint32_t>(b & 0x80u) << 24;
    std::uint32_t const code = b & 0x7fu;
    if (code == 0x7fu) return detail::bits_as<float>(sign | 0x7fc00000u);
    if (code >= 8u) return detail::bits_as<float>(sign | ((code << 20) + 0x3c000000u));
    float const tiny = static_cast<float>(code) * 0x1p-9f;
    return detail::bits_as<float>(sign | detail::bits_as<std::uint32_t>(tiny));
  }
};
static_assert(sizeof(float8_e4m3_t) == 1);

/// k and v in e4m3; q and o in the 16-bit or 32-bit `Wide` precision.
template <class Wide>
struct fp8_with {
  using query_type = typename Wide::query_type;
  using key_type = float8_e4m3_t;
  using value_type = float8_e4m3_t;
  using output_type = typename Wide::output_type;
};

/// k and v in e4m3, q and o in bf16.
using fp8 = fp8_with<bf16>;

}  // namespace tka::inline TKA_ABI
