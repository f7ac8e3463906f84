// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows of floats into e4m3 with scales, as caches and index queries need them.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/bits.hpp>
#include <tka/detail/shared/crew.hpp>
#include <tka/detail/shared/rounded.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/scale_view.hpp>

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
[[nodiscard]] TKA_HOST_DEVICE inline float choose_scale(float amax,
                                                        scale_rounding rounding) noexcept {
  float const scale = quotient(amax > 1e-4f ? amax : 1e-4f, float8_e4m3_t::max);
  if (rounding == scale_rounding::nearest) return scale;
  auto const bits = bits_as<std::uint32_t>(scale);
  return bits_as<float>((bits & 0x7fffffu) != 0 ? (bits & 0x7f800000u) + 0x00800000u : bits);
}

/// In place: x <- H x / sqrt(dim), H in Sylvester order. All of the crew sees the result.
template <class Crew = one_thread>
TKA_HOST_DEVICE void rotate_hadamard(float* x, std::int32_t dim, Crew const& crew = {}) noexcept {
  for (std::int32_t half = 1; half < dim; half *= 2) {
    for (std::int32_t pair = crew.rank(); pair < dim / 2; pair += Crew::size) {
      std::int32_t const low = pair + (pair & ~(half - 1));  // pairs lie in blocks of 2 * half
      float const a = x[low];
      float const b = x[low + half];
      x[low] = a + b;
      x[low + half] = a - b;
    }
    crew.sync();
  }
  float const scale = quotient(1.0f, square_root(static_cast<float>(dim)));
  for (std::int32_t i = crew.rank(); i < dim; i += Crew::size) x[i] = one_nan(x[i] * scale, 0.0f);
  crew.sync();
}

/// For all of the crew. NaN does not count.
template <class T, class Crew = one_thread>
[[nodiscard]] TKA_HOST_DEVICE float largest_magnitude(T const* x, std::int32_t count,
                                                      Crew const& crew = {}) noexcept {
  float amax = 0.0f;
  for (std::int32_t i = crew.rank(); i < count; i += Crew::size) {
    auto const value = static_cast<float>(x[i]);
    float const m = value < 0.0f ? -value : value;
    amax = m > amax ? m : amax;
  }
  return crew.largest(amax);
}

/// x / scale in e4m3, saturating.
template <class Crew = one_thread>
TKA_HOST_DEVICE void quantize_with(float const* x, std::int32_t count, float scale,
                                   float8_e4m3_t* out, Crew const& crew = {}) noexcept {
  for (std::int32_t i = crew.rank(); i < count; i += Crew::size) {
    out[i] = float8_e4m3_t{one_nan(quotient(x[i], scale), x[i])};
  }
}

/// `quantize_row` by a crew, which all sees `row` before.
template <class Crew>
[[nodiscard]] TKA_HOST_DEVICE float quantize_row_by(Crew const& crew, float* row, std::int32_t dim,
                                                    float8_e4m3_t* out, scale_rounding rounding,
                                                    rotation rotate) noexcept {
  if (rotate == rotation::hadamard) rotate_hadamard(row, dim, crew);
  float const scale = choose_scale(largest_magnitude(row, dim, crew), rounding);
  quantize_with(row, dim, scale, out, crew);
  return scale;
}

}  // namespace detail

/// One row of `dim` floats (overwritten as scratch) to e4m3 with one scale, which is returned:
/// row ~ scale * out. For index queries: fold the returned scale into the head's weight.
[[nodiscard]] inline float quantize_row(float* row, std::int32_t dim, float8_e4m3_t* out,
                                        scale_rounding rounding = scale_rounding::nearest,
                                        rotation rotate = rotation::none) noexcept {
  return detail::quantize_row_by(detail::one_thread{}, row, dim, out, rounding, rotate);
}

}  // namespace tka::inline TKA_ABI
