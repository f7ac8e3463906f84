// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows of floats into e4m3 with scales, as caches and index queries need them.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/bits.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/scale_view.hpp>

#include <cmath>
#include <cstdint>

namespace tka::inline TKA_ABI {

/// How scales are chosen.
enum class scale_rounding : std::int32_t {
  nearest,      ///< amax / 448 as it is
  power_of_two  ///< rounded up to a power of two (UE8M0), so that dequantising is exact
};

/// What happens to a row before it is rounded.
enum class rotation : std::int32_t {
  none,
  hadamard  ///< times the Walsh-Hadamard matrix / sqrt(dim); dim must be a power of two
};

namespace detail {

/// The scale for values up to `amax`: amax / 448, at least 1e-4 / 448 (as DeepSeek does).
[[nodiscard]] inline float choose_scale(float amax, scale_rounding rounding) noexcept {
  float const scale = (amax > 1e-4f ? amax : 1e-4f) / float8_e4m3_t::max;
  if (rounding == scale_rounding::nearest) return scale;
  auto const bits = bits_as<std::uint32_t>(scale);
  return bits_as<float>((bits & 0x7fffffu) != 0 ? (bits & 0x7f800000u) + 0x00800000u : bits);
}

/// In place: x <- H x / sqrt(dim), H in Sylvester order.
inline void rotate_hadamard(float* x, std::int32_t dim) noexcept {
  for (std::int32_t half = 1; half < dim; half *= 2) {
    for (std::int32_t i = 0; i < dim; i += 2 * half) {
      for (std::int32_t j = i; j < i + half; ++j) {
        float const a = x[j];
        float const b = x[j + half];
        x[j] = a + b;
        x[j + half] = a - b;
      }
    }
  }
  float const scale = 1.0f / std::sqrt(static_cast<float>(dim));
  for (std::int32_t i = 0; i < dim; ++i) x[i] *= scale;
}

[[nodiscard]] inline float largest_magnitude(float const* x, std::int32_t count) noexcept {
  float amax = 0.0f;
  for (std::int32_t i = 0; i < count; ++i) {
    float const m = std::fabs(x[i]);
    amax = m > amax ? m : amax;
  }
  return amax;
}

/// x / scale in e4m3, saturating.
inline void quantize_with(float const* x, std::int32_t count, float scale,
                          float8_e4m3_t* out) noexcept {
  for (std::int32_t i = 0; i < count; ++i) out[i] = float8_e4m3_t{x[i] / scale};
}

}  // namespace detail

/// One row of `dim` floats (overwritten as scratch) to e4m3 with one scale, which is returned:
/// row ~ scale * out. For index queries: fold the returned scale into the head's weight.
[[nodiscard]] inline float quantize_row(float* row, std::int32_t dim, float8_e4m3_t* out,
                                        scale_rounding rounding = scale_rounding::nearest,
                                        rotation rotate = rotation::none) noexcept {
  if (rotate == rotation::hadamard) detail::rotate_hadamard(row, dim);
  float const scale = detail::choose_scale(detail::largest_magnitude(row, dim), rounding);
  detail::quantize_with(row, dim, scale, out);
  return scale;
}

}  // namespace tka::inline TKA_ABI
