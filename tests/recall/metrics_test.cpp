// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The functions that compare selections.

#include <tka/metrics/entropy.hpp>
#include <tka/metrics/recall.hpp>
#include <tka/metrics/retained_mass.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <set>
#include <vector>

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

double recall(std::vector<std::int32_t> const& selected, std::vector<std::int32_t> const& wanted) {
  return tka::recall(selected.data(), static_cast<std::int32_t>(selected.size()), wanted.data(),
                     static_cast<std::int32_t>(wanted.size()));
}

TEST_CASE("[tka.metrics] recall of small sets") {
  CHECK(recall({}, {}) == 1.0);
  CHECK(recall({1, 2}, {}) == 1.0);
  CHECK(recall({}, {1, 2}) == 0.0);
  CHECK(recall({1, 2, 3}, {1, 2, 3}) == 1.0);
  CHECK(recall({0, 2, 9}, {1, 2, 3, 9}) == 0.5);
  CHECK(recall({4, 5}, {1, 2}) == 0.0);
  CHECK(recall({7}, {1, 2, 7}) == doctest::Approx(1.0 / 3.0));
  constexpr std::int32_t one[] = {5};
  static_assert(tka::recall(one, 1, one, 1) == 1.0);
}

TEST_CASE("recall equals the size of the intersection") {
  support::random_source random("recall");
  INFO(random);
  for (int round = 0; round < 200; ++round) {
    std::set<std::int32_t> a;
    std::set<std::int32_t> b;
    for (int i = 0; i < 40; ++i) {
      a.insert(static_cast<std::int32_t>(random.below(100)));
      b.insert(static_cast<std::int32_t>(random.below(100)));
    }
    std::vector<std::int32_t> both;
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
    CHECK(recall({a.begin(), a.end()}, {b.begin(), b.end()}) ==
          static_cast<double>(both.size()) / static_cast<double>(b.size()));
  }
}

TEST_CASE("[tka.metrics] retained mass and divergence") {
  CHECK(tka::retained_mass(std::log(0.25), 0.0) == doctest::Approx(0.25));
  CHECK(tka::retained_mass(2.0, 2.0) == 1.0);
  CHECK(tka::retained_mass(-infinity, 3.0) == 0.0);
  CHECK(tka::retained_mass(-infinity, -infinity) == 1.0);
  CHECK(tka::truncation_divergence(1.0, 3.5) == 2.5);
  CHECK(tka::truncation_divergence(-infinity, -infinity) == 0.0);
  CHECK(tka::truncation_divergence(-infinity, 1.0) == infinity);
}

TEST_CASE("[tka.metrics] entropy of known distributions, in nats") {
  std::vector<float> scores(8, 3.0f);
  CHECK(tka::entropy(scores.data(), 8, 0.7) == doctest::Approx(std::log(8.0)));
  CHECK(tka::normalized_entropy(tka::entropy(scores.data(), 8, 0.7), 8) == doctest::Approx(1.0));
  CHECK(tka::entropy(scores.data(), 0, 1.0) == 0.0);
  CHECK(tka::entropy(scores.data(), 1, 1.0) == 0.0);
  CHECK(tka::normalized_entropy(0.0, 1) == 0.0);
  CHECK(tka::normalized_entropy(1.0, 0) == 0.0);
  // p = 3/4, 1/4; -inf does not count.
  float const two[] = {static_cast<float>(std::log(3.0)), 0.0f,
                       -std::numeric_limits<float>::infinity()};
  double const expected = -(0.75 * std::log(0.75) + 0.25 * std::log(0.25));
  CHECK(tka::entropy(two, 3, 1.0) == doctest::Approx(expected).epsilon(1e-6));
  CHECK(tka::entropy(two + 2, 1, 1.0) == 0.0);
  // The scale belongs to the logits: half of it makes the distribution flatter.
  CHECK(tka::entropy(two, 2, 0.5) > tka::entropy(two, 2, 1.0));
  float const nan[] = {std::numeric_limits<float>::quiet_NaN(), 1.0f};
  CHECK(std::isnan(tka::entropy(nan, 2, 1.0)));
  float const far[] = {1e4f, 1e4f, -1e4f};  // no overflow
  CHECK(tka::entropy(far, 3, 1.0) == doctest::Approx(std::log(2.0)));
}

}  // namespace
