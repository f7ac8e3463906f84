// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Exponential and hyperbolic tangent of whole registers.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/lanes.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// The largest integer at most x, for |x| < 2^22. NaN passes.
[[nodiscard]] inline lanes floor_of(lanes x) noexcept {
  // Where the unit in the last place is 1 an addition rounds to integers.
  lanes const ones = splat(0x1.8p23f);
  lanes const nearest = subtract(add(x, ones), ones);
  return nearest > x ? subtract(nearest, splat(1.0f)) : nearest;
}

/// 2^n for integers n of [-126, 127].
[[nodiscard]] inline lanes power_of_two(lanes n) noexcept {
  auto const integer = same_bits<word_lanes>(add(n, splat(0x1.8p23f)));
  return same_bits<lanes>((integer + 127u) << 23);
}

/// e^x, 0 below -87 (the normal range ends there), as e^88 above 88; NaN passes. Within two units
/// in the last place for |x| < 20 (beyond, registers of 16 give up to five): x = n ln 2 + r, then a
/// polynomial of degree 6 in r, whose coefficients are those of the Cephes library (S. L. Moshier).
[[nodiscard]] inline lanes exponential(lanes x) noexcept {
  lanes const low = splat(-87.0f);
  lanes const high = splat(88.0f);
  lanes const y = x < low ? low : x > high ? high : x;
  lanes const n = floor_of(multiply_add(y, splat(0x1.715476p0f), splat(0.5f)));
  lanes r;
  if constexpr (lane_count == 16) {
    r = multiply_add(n, splat(-0x1.62e430p-1f), y);
  } else {
    // ln 2 in two parts: not every target fuses.
    r = multiply_add(n, splat(-0.693359375f), y);
    r = multiply_add(n, splat(2.12194440e-4f), r);
  }
  lanes const r2 = multiply(r, r);
  lanes const r3 = multiply(r2, r);
  lanes high_part = multiply_add(splat(1.9875691500e-4f), r, splat(1.3981999507e-3f));
  lanes low_part = multiply_add(splat(4.1665795894e-2f), r, splat(1.6666665459e-1f));
  high_part = multiply_add(high_part, r, splat(8.3334519073e-3f));
  low_part = multiply_add(low_part, r, splat(5.0000001201e-1f));
  lanes const p = multiply_add(high_part, r3, low_part);
  lanes const e = multiply_add(p, r2, add(r, splat(1.0f)));
  return keep_from(x, -87.0f, multiply(e, power_of_two(n)));
}

/// One float, by the same instructions. (Where registers are not used `lanes` is a float itself.)
template <class Float>
  requires(std::is_same_v<Float, float> && !std::is_same_v<Float, lanes>)
[[nodiscard]] inline Float exponential(Float x) noexcept {
  return first_lane(exponential(splat(x)));
}

/// tanh x within two units in the last place; NaN passes. A polynomial (of minimal error, odd) near
/// 0; else from the exponential, which loses nothing where tanh is near 1.
[[nodiscard]] inline lanes hyperbolic_tangent(lanes x) noexcept {
  auto const bits = same_bits<word_lanes>(x);
  lanes const a = same_bits<lanes>(bits & 0x7fffffffu);
  lanes const enough = splat(10.0f);  // tanh 10 rounds to 1
  lanes const b = a > enough ? enough : a;
  lanes const e = exponential(add(b, b));
  lanes const far = subtract(splat(1.0f), splat(2.0f) / add(e, splat(1.0f)));
  lanes const z = multiply(b, b);
  lanes p = multiply_add(splat(-0.0066102277f), z, splat(0.021309389f));
  p = multiply_add(p, z, splat(-0.053909428f));
  p = multiply_add(p, z, splat(0.13333113f));
  p = multiply_add(p, z, splat(-0.33333331f));
  lanes const near = multiply_add(multiply(p, z), b, b);
  lanes const t = b < splat(0.55f) ? near : far;
  return same_bits<lanes>(same_bits<word_lanes>(t) | (bits & 0x80000000u));
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
