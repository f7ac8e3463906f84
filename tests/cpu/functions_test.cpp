// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Exponential and hyperbolic tangent of registers, against fp64.

#include <tka/detail/cpu/functions.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace {

namespace cpu = tka::detail::cpu;
constexpr float inf = std::numeric_limits<float>::infinity();

float exponential(float x) { return cpu::exponential(x); }
float tangent(float x) { return cpu::first_lane(cpu::hyperbolic_tangent(cpu::splat(x))); }

/// The largest error in units of the last place of the result, over floats from `low` to `high`.
template <class Function, class Exact>
double largest_error(Function&& function, Exact&& exact, float low, float high) {
  double largest = 0.0;
  constexpr int steps = 200000;
  for (int i = 0; i <= steps; ++i) {
    float const x = low + (high - low) * static_cast<float>(i) / steps;
    double const expected = exact(static_cast<double>(x));
    double const ulp = std::ldexp(1.0, std::ilogb(expected) - 23);
    double const error = std::abs(static_cast<double>(function(x)) - expected) / ulp;
    largest = error > largest ? error : largest;
  }
  return largest;
}

TEST_CASE("exponential: within its bounds, 0 below its range, NaN passes") {
  auto const exact = [](double x) { return std::exp(x); };
  double const far = cpu::lane_count == 16 ? 5.0 : 2.0;
  CHECK(largest_error(exponential, exact, -87.0f, -20.0f) < far);
  CHECK(largest_error(exponential, exact, -20.0f, 20.0f) < 2.0);
  CHECK(largest_error(exponential, exact, 20.0f, 88.0f) < far);
  CHECK(exponential(0.0f) == 1.0f);
  CHECK(exponential(-0.0f) == 1.0f);
  CHECK(exponential(-87.0001f) == 0.0f);
  CHECK(exponential(-1e30f) == 0.0f);
  CHECK(exponential(-inf) == 0.0f);
  CHECK(exponential(inf) == exponential(88.0f));
  CHECK(std::isnan(exponential(std::numeric_limits<float>::quiet_NaN())));
  CHECK(std::isnan(exponential(-std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("hyperbolic_tangent: within two units in the last place, odd, 1 where it rounds to 1") {
  auto const exact = [](double x) { return std::tanh(x); };
  CHECK(largest_error(tangent, exact, 1e-6f, 0.55f) < 2.0);
  CHECK(largest_error(tangent, exact, 0.54f, 0.56f) < 2.0);
  CHECK(largest_error(tangent, exact, 0.55f, 3.0f) < 2.0);
  CHECK(largest_error(tangent, exact, 3.0f, 12.0f) < 2.0);
  for (float const x : {1e-38f, 1e-6f, 0.1f, 0.5499f, 0.5501f, 2.0f, 9.0f, 11.0f, 1e30f, inf}) {
    CHECK(tangent(-x) == -tangent(x));
    CHECK(tangent(x) <= 1.0f);
  }
  CHECK(tangent(9.5f) == 1.0f);
  CHECK(tangent(inf) == 1.0f);
  CHECK(tangent(1e-30f) == 1e-30f);
  CHECK(std::bit_cast<std::uint32_t>(tangent(-0.0f)) == 0x80000000u);
  CHECK(std::isnan(tangent(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("every lane gives what one alone gives") {
  alignas(64) float x[cpu::lane_count];
  alignas(64) float e[cpu::lane_count];
  alignas(64) float t[cpu::lane_count];
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < cpu::lane_count; ++i) {
      x[i] = static_cast<float>((round * 7919 + i * 104729) % 20011 - 10000) * 0.01f;
    }
    cpu::store(e, cpu::exponential(cpu::load(x)));
    cpu::store(t, cpu::hyperbolic_tangent(cpu::load(x)));
    for (int i = 0; i < cpu::lane_count; ++i) {
      CHECK(std::bit_cast<std::uint32_t>(e[i]) == std::bit_cast<std::uint32_t>(exponential(x[i])));
      CHECK(std::bit_cast<std::uint32_t>(t[i]) == std::bit_cast<std::uint32_t>(tangent(x[i])));
    }
  }
}

}  // namespace
