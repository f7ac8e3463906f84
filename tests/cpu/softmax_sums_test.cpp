// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Softmax sums: of a run of logits, referred to another maximum, merged.

#include <tka/detail/cpu/softmax.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

namespace cpu = tka::detail::cpu;
using cpu::softmax_sums;
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr int keys = cpu::step_keys;

struct exact_sums {
  double lse;
  double entropy;
};

exact_sums exact_of(std::vector<float> const& x) {
  double largest = -std::numeric_limits<double>::infinity();
  for (float const v : x) largest = std::max(largest, static_cast<double>(v));
  double sum = 0.0;
  double weighted = 0.0;
  for (float const v : x) {
    if (v == -inf) continue;
    double const below = static_cast<double>(v) - largest;
    sum += std::exp(below);
    weighted += std::exp(below) * below;
  }
  return {largest + std::log(sum), std::log(sum) - weighted / sum};
}

std::vector<float> some_logits(std::size_t count, double spread, support::random_source& random) {
  std::vector<float> x(count);
  for (float& v : x) v = static_cast<float>(spread * random.normal());
  return x;
}

/// The sums of all of them, in steps.
softmax_sums sums_of(std::vector<float> const& x) {
  softmax_sums s{};
  for (std::size_t first = 0; first < x.size(); first += keys) {
    alignas(64) float part[keys];
    for (std::size_t i = 0; i < keys; ++i) part[i] = first + i < x.size() ? x[first + i] : -inf;
    (void)cpu::accumulate(s, part, keys);
  }
  return s;
}

std::uint32_t bits(float x) { return std::bit_cast<std::uint32_t>(x); }
bool same(softmax_sums const& a, softmax_sums const& b) {
  return bits(a.max) == bits(b.max) && bits(a.sum) == bits(b.sum) &&
         bits(a.weighted) == bits(b.weighted);
}

TEST_CASE("accumulate and merge give lse and entropy of all logits, however they are cut") {
  support::random_source random("softmax_sums");
  INFO(random);
  for (double const spread : {0.0, 1e-3, 1.0, 20.0, 300.0}) {
    for (std::size_t const count : {1u, 2u, 63u, 64u, 65u, 1000u}) {
      CAPTURE(spread);
      CAPTURE(count);
      std::vector<float> const x = some_logits(count, spread, random);
      exact_sums const exact = exact_of(x);
      double const close = 1e-5 * (1.0 + std::abs(exact.lse));
      softmax_sums const whole = sums_of(x);
      CHECK(static_cast<double>(whole.lse()) == doctest::Approx(exact.lse).epsilon(close));
      CHECK(std::abs(static_cast<double>(whole.entropy()) - exact.entropy) < 1e-4);
      std::size_t const border = random.below(count + 1);
      softmax_sums merged = sums_of({x.begin(), x.begin() + static_cast<std::ptrdiff_t>(border)});
      cpu::merge(merged, sums_of({x.begin() + static_cast<std::ptrdiff_t>(border), x.end()}));
      CHECK(static_cast<double>(merged.lse()) == doctest::Approx(exact.lse).epsilon(close));
      CHECK(std::abs(static_cast<double>(merged.entropy()) - exact.entropy) < 1e-4);
      CHECK(merged.max == whole.max);
    }
  }
}

TEST_CASE("accumulate leaves e^(x - max) and returns the factor for what was summed before") {
  alignas(64) float first[keys];
  alignas(64) float later[keys];
  for (int i = 0; i < keys; ++i) {
    first[i] = -1.0f * static_cast<float>(i);
    later[i] = i == 5 ? 2.0f : -inf;
  }
  softmax_sums s{};
  (void)cpu::accumulate(s, first, keys);
  CHECK(first[0] == 1.0f);
  CHECK(std::abs(first[1] - std::exp(-1.0f)) < 1e-6f);
  float const factor = cpu::accumulate(s, later, keys);
  CHECK(std::abs(factor - std::exp(-2.0f)) < 1e-6f);
  CHECK(later[5] == 1.0f);
  CHECK(later[4] == 0.0f);
  CHECK(s.max == 2.0f);
  // Nothing higher: what was summed before stays as it is.
  later[5] = 1.0f;
  CHECK(cpu::accumulate(s, later, keys) == 1.0f);
}

TEST_CASE("logits of -inf are no logits") {
  alignas(64) float none[keys];
  for (float& x : none) x = -inf;
  softmax_sums s{};
  CHECK(cpu::accumulate(s, none, keys) == 1.0f);
  CHECK(s.empty());
  CHECK(s.lse() == -inf);
  CHECK(s.entropy() == 0.0f);
  for (float const x : none) CHECK(x == 0.0f);
}

TEST_CASE("an empty part changes no bit, and into an empty one goes every bit") {
  support::random_source random("softmax_sums empty");
  softmax_sums const some = sums_of(some_logits(100, 5.0, random));
  softmax_sums merged = some;
  cpu::merge(merged, softmax_sums{});
  CHECK(same(merged, some));
  merged = {};
  cpu::merge(merged, some);
  CHECK(same(merged, some));
  merged = {};
  cpu::merge(merged, softmax_sums{});
  CHECK(merged.empty());
}

TEST_CASE("sums that vanish beside a far larger maximum leave no NaN") {
  softmax_sums small = sums_of({-3e38f, -2e38f});
  softmax_sums const large = sums_of({3e38f});
  CHECK(small.refer_to(3e38f) == 0.0f);
  CHECK(small.weighted == 0.0f);
  softmax_sums merged = sums_of({-3e38f});
  cpu::merge(merged, large);
  CHECK(merged.lse() == 3e38f);
  CHECK(merged.entropy() == 0.0f);
}

TEST_CASE("a NaN among the logits is a NaN of the sums, in either part") {
  float const nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(sums_of({1.0f, nan, 2.0f}).lse()));
  CHECK(std::isnan(sums_of({nan, -inf}).lse()));
  softmax_sums a = sums_of({nan});
  softmax_sums const b = sums_of({1.0f});
  cpu::merge(a, b);
  CHECK(std::isnan(a.lse()));
  softmax_sums c = b;
  cpu::merge(c, sums_of({nan}));
  CHECK(std::isnan(c.lse()));
}

}  // namespace
