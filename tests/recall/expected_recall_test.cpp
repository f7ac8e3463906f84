// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The formula of the expected recall against known values and against counting, and the choice of
/// buckets against a search.

#include <tka/select/bucket_recall.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace {

struct known_value {
  std::int64_t buckets;
  std::int64_t per_bucket;
  double recall;
};

TEST_CASE("[tka.approximate] expected_recall gives the known values for 131072 keys, k = 2048") {
  for (known_value const& v :
       {known_value{2048, 1, 0.635}, known_value{1024, 2, 0.732}, known_value{512, 4, 0.806},
        known_value{4096, 1, 0.792}, known_value{2048, 2, 0.899}, known_value{512, 8, 0.992},
        known_value{8192, 1, 0.891}, known_value{2048, 4, 0.996}}) {
    CAPTURE(v.buckets);
    CAPTURE(v.per_bucket);
    CHECK(std::fabs(tka::expected_recall(131072, 2048, v.buckets, v.per_bucket) - v.recall) <=
          0.0005);
  }
  CHECK(std::fabs(tka::expected_recall(131072, 2048, 1024, 8) - 0.9999) <= 0.00005);
}

/// The mean over all placements of k winners among n positions, by counting them.
double counted_recall(int n, int k, int buckets, int per_bucket) {
  double kept = 0.0;
  double placements = 0.0;
  for (unsigned set = 0; set < (1u << n); ++set) {
    if (std::popcount(set) != k) continue;
    placements += 1.0;
    for (int b = 0; b < buckets; ++b) {
      int winners = 0;
      for (int i = b; i < n; i += buckets) winners += (set >> i) & 1u;
      kept += std::min(winners, per_bucket);
    }
  }
  return kept / placements / k;
}

TEST_CASE("[tka.approximate] expected_recall equals counting, also where buckets do not divide n") {
  int const largest = support::fast() ? 9 : 13;
  double worst = 0.0;
  for (int n = 1; n <= largest; ++n) {
    for (int k = 1; k <= n; ++k) {
      for (int buckets : {1, 2, 3, 4, 5, 7, 12, 20}) {
        for (int per_bucket = 1; per_bucket <= 3; ++per_bucket) {
          double const expected = counted_recall(n, k, buckets, per_bucket);
          double const given = tka::expected_recall(n, k, buckets, per_bucket);
          worst = std::max(worst, std::fabs(given - expected));
        }
      }
    }
  }
  CHECK(worst <= 1e-10);
}

TEST_CASE("expected_recall at the borders") {
  CHECK(tka::expected_recall(0, 10, 16, 1) == 1.0);
  CHECK(tka::expected_recall(100, 0, 16, 1) == 1.0);
  // More wanted than there are: all of them are.
  CHECK(tka::expected_recall(10, 50, 2, 3) == doctest::Approx(0.6).epsilon(1e-12));
  // Every winner has a place.
  for (std::int64_t n : {1, 5, 64, 1000, 4097}) {
    for (std::int64_t buckets : {1, 3, 16, 100}) {
      std::int64_t const size = (n + buckets - 1) / buckets;
      for (std::int64_t k : {std::int64_t{1}, (n + 1) / 2, n}) {
        CHECK(tka::expected_recall(n, k, buckets, std::min(k, size)) ==
              doctest::Approx(1.0).epsilon(1e-12));
      }
    }
  }
  // A target is for long rows too: no loss of digits.
  double const far = tka::expected_recall(std::int64_t{1} << 24, 2048, 2048, 2);
  CHECK(far == doctest::Approx(tka::detail::poisson_recall(1.0, 2)).epsilon(2e-3));
}

TEST_CASE("expected_recall rises with buckets and with what they keep") {
  for (std::int64_t n : {257, 4096, 100000}) {
    for (std::int64_t k : {16, 200}) {
      double before = 0.0;
      for (std::int64_t buckets = 16; buckets <= 1024; buckets *= 2) {
        double const now = tka::expected_recall(n, k, buckets, 2);
        CHECK(now >= before - 1e-12);
        CHECK(now <= 1.0 + 1e-12);
        CHECK(tka::expected_recall(n, k, buckets, 3) >= now - 1e-12);
        before = now;
      }
    }
  }
}

/// E[min(X, kept)] / load for X ~ Poisson(load), each term from logarithms.
double poisson_by_terms(double load, int kept) {
  double excess = 0.0;
  for (int r = kept + 1; r < kept + 60 + static_cast<int>(8.0 * load); ++r) {
    excess += (r - kept) * std::exp(r * std::log(load) - load - std::lgamma(r + 1.0));
  }
  return 1.0 - excess / load;
}

TEST_CASE("the Poisson limit: right, and never above the exact value") {
  for (int kept : {1, 2, 3, 8, 20, 64}) {
    for (double load : {0.01, 0.3, 1.0, 4.0, 30.0, 100.0}) {
      CHECK(tka::detail::poisson_recall(load, kept) ==
            doctest::Approx(poisson_by_terms(load, kept)).epsilon(1e-9));
    }
  }
  support::random_source random("poisson");
  INFO(random);
  for (int i = 0; i < (support::fast() ? 200 : 2000); ++i) {
    std::int64_t const n = random.between(1, i % 2 == 0 ? 300 : 50000);
    std::int64_t const k = random.between(1, std::min<std::int64_t>(n, 3000));
    std::int64_t const buckets = random.between(1, 2000);
    std::int32_t const kept = static_cast<std::int32_t>(random.between(1, 8));
    double const load = static_cast<double>(k) / static_cast<double>(buckets);
    CAPTURE(n);
    CAPTURE(k);
    CAPTURE(buckets);
    CAPTURE(kept);
    CHECK(tka::detail::poisson_recall(load, kept) <=
          tka::expected_recall(n, k, buckets, kept) + 1e-9);
  }
}

TEST_CASE("[tka.approximate] choose_buckets reaches its target for rows of every length") {
  support::random_source random("choose_buckets");
  INFO(random);
  for (int i = 0; i < (support::fast() ? 100 : 1000); ++i) {
    double const miss = std::pow(10.0, -random.uniform() * 4.0);
    auto const target = static_cast<float>(1.0 - miss * 0.9);
    auto const k = static_cast<std::int32_t>(random.between(1, i % 3 == 0 ? 40 : 4096));
    tka::bucketing const chosen = tka::choose_buckets(k, target);
    CAPTURE(target);
    CAPTURE(k);
    CAPTURE(chosen.buckets);
    CAPTURE(chosen.per_bucket);
    CHECK(chosen.recall_target == target);
    CHECK(chosen.buckets >= 16);
    CHECK(chosen.buckets % 16 == 0);
    CHECK(chosen.per_bucket >= 1);
    CHECK(chosen.per_bucket <= 64);
    for (std::int64_t n :
         {std::int64_t{k}, std::int64_t{k} + 1, std::int64_t{2} * k + 7, random.between(k, 20 * k),
          std::int64_t{131072}, std::int64_t{1} << 20}) {
      CAPTURE(n);
      CHECK(tka::expected_recall(n, k, chosen.buckets, chosen.per_bucket) >=
            static_cast<double>(target));
    }
  }
}

/// The most winners a bucket may expect with `kept` places, by bisection over the terms above.
double largest_load(double target, int kept) {
  double low = 1e-6;
  double high = 250.0;
  for (int step = 0; step < 60; ++step) {
    double const middle = 0.5 * (low + high);
    (poisson_by_terms(middle, kept) >= target ? low : high) = middle;
  }
  return low;
}

TEST_CASE("choose_bucket_rule takes the least work that reaches the target") {
  for (double target : {0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999}) {
    tka::bucket_rule const rule = tka::choose_bucket_rule(target);
    auto const work = [](double load, int kept) { return kept * (4.0 + kept) / load; };
    double const chosen = work(1.0 / rule.buckets_per_key, rule.per_bucket);
    double least = chosen;
    for (int kept = 1; kept <= 64; ++kept) {
      least = std::min(least, work(largest_load(target, kept), kept));
    }
    CAPTURE(target);
    CHECK(chosen <= least * (1.0 + 1e-4));
    // One hundredth fewer buckets would miss the target.
    CHECK(poisson_by_terms(1.0 / rule.buckets_per_key, rule.per_bucket) >= target - 1e-9);
    CHECK(poisson_by_terms(1.01 / rule.buckets_per_key, rule.per_bucket) < target);
  }
}

TEST_CASE("bucket_rule: more keys never have fewer buckets, and there are always some") {
  tka::bucket_rule const rule = tka::choose_bucket_rule(0.97);
  std::int32_t before = 16;
  for (std::int32_t k = 0; k < 5000; k += 7) {
    std::int32_t const now = rule.buckets(k);
    CHECK(now >= before);
    before = now;
  }
  CHECK(rule.buckets(2147483647) > 0);
}

}  // namespace
