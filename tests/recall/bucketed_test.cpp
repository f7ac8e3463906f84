// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The bucketed selection over stored scores: the set itself, and its recall over permutations.

#include <tka/metrics/recall.hpp>
#include <tka/select_top_k.hpp>

#include <support/backend.hpp>
#include <support/seed.hpp>

#include <doctest/doctest.h>
#include <recall/bucketed_oracle.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace {

using positions = std::vector<std::int32_t>;
using form = tka::form<tka::scope::all_heads, tka::visibility::all>;
constexpr auto select =
    tka::select_top_k<tka::stored_scores<tka::bucketed>, tka::fp32, support::backend, form>;
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// One selection for each of the rows, all of one length, planned for `bound` keys or just as many.
std::vector<positions> selected(std::vector<std::vector<float>> const& rows, tka::options const& o,
                                tka::schedule const& wanted = {}, std::int32_t bound = 0) {
  auto const n = static_cast<std::int32_t>(rows[0].size());
  tka::shape const s{.q_heads = 1,
                     .kv_heads = 1,
                     .q_len = static_cast<std::int32_t>(rows.size()),
                     .kv_len = std::max(n, bound),
                     .qk_dim = 16,
                     .v_dim = 16};
  support::array<float> scores;
  for (auto const& row : rows) scores.insert(scores.end(), row.begin(), row.end());
  tka::plan p = select.plan(s, o, support::device_of());
  REQUIRE(p.status == tka::status::ok);
  if (wanted.workers > 0 && wanted.splits > 0) p = select.reschedule(p, wanted);
  support::array<std::int32_t> out(rows.size() * static_cast<std::size_t>(p.capacity));
  support::array<std::int32_t> count(rows.size());
  // Positions are given: more query tokens than keys would otherwise leave empty rows.
  support::array<std::int32_t> const length(1, n);
  support::array<std::int32_t> const where(rows.size(), n - 1);
  tka::status const st = support::run(select, p,
                                      {.kv = {.lengths = length.data()},
                                       .query = {.positions = where.data()},
                                       .index = {.scores = {scores.data(), 0, 0, n}},
                                       .positions = {out.data(), 0, 0, p.capacity},
                                       .count = {count.data(), 0, 0, 1}});
  REQUIRE(st == tka::status::ok);
  std::vector<positions> lists;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    auto const first = out.begin() + static_cast<std::ptrdiff_t>(r) * p.capacity;
    lists.emplace_back(first, first + count[r]);
  }
  return lists;
}

tka::options with(std::int32_t k, std::int32_t buckets, std::int32_t per_bucket) {
  return {.budget = tka::top_k(k), .bucketing = {.buckets = buckets, .per_bucket = per_bucket}};
}

std::vector<float> permutation(std::int32_t n, support::random_source& random) {
  std::vector<float> row(static_cast<std::size_t>(n));
  std::iota(row.begin(), row.end(), 0.0f);
  for (std::size_t i = row.size(); i > 1; --i) std::swap(row[i - 1], row[random.below(i)]);
  return row;
}

double recall_of(positions const& found, positions const& wanted) {
  return tka::recall(found.data(), static_cast<std::int32_t>(found.size()), wanted.data(),
                     static_cast<std::int32_t>(wanted.size()));
}

struct configuration {
  std::int32_t n;
  std::int32_t k;
  std::int32_t buckets;
  std::int32_t per_bucket;
};

TEST_CASE("[tka.approximate] over 1,000 permutations the recall is the formula's, within 4 sigma") {
  support::random_source random("permutations");
  INFO(random);
  std::size_t const rows = support::fast() ? 200 : 1000;
  for (configuration const& c :
       {configuration{512, 64, 64, 1}, configuration{500, 64, 48, 2},
        configuration{1000, 100, 96, 1}, configuration{777, 200, 100, 4},
        configuration{300, 30, 7, 3}, configuration{1024, 16, 1, 5},
        configuration{640, 64, 1000, 1}, configuration{1024, 128, 64, 8}}) {
    std::vector<std::vector<float>> scores;
    for (std::size_t r = 0; r < rows; ++r) scores.push_back(permutation(c.n, random));
    auto const found = selected(scores, with(c.k, c.buckets, c.per_bucket));
    double sum = 0.0;
    double squares = 0.0;
    for (std::size_t r = 0; r < rows; ++r) {
      double const recall = recall_of(found[r], recall_test::exact(scores[r], c.k));
      sum += recall;
      squares += recall * recall;
    }
    double const count = static_cast<double>(rows);
    double const mean = sum / count;
    double const variance = std::max(squares / count - mean * mean, 0.0);
    double const expected = tka::expected_recall(c.n, c.k, c.buckets, c.per_bucket);
    // Where hardly a key is lost, the sample does not tell its own spread: losses are then rare and
    // independent, so their variance is their number.
    double const lost = count * c.k * (1.0 - expected);
    double const sigma = lost < 30.0 ? std::sqrt(std::max(lost, 0.0)) / (count * c.k)
                                     : std::sqrt(variance / (count - 1.0));
    CAPTURE(c.n);
    CAPTURE(c.buckets);
    CAPTURE(c.per_bucket);
    CAPTURE(expected);
    CAPTURE(sigma);
    CHECK(std::fabs(mean - expected) <= 4.0 * sigma + 1e-9);
    if (expected < 1.0 - 1e-3) CHECK(mean < 1.0);
  }
}

TEST_CASE("[tka.approximate] with a target the measured recall reaches it") {
  support::random_source random("target");
  INFO(random);
  for (float const target : {0.6f, 0.9f, 0.99f}) {
    std::vector<std::vector<float>> scores;
    for (int r = 0; r < (support::fast() ? 50 : 300); ++r) {
      scores.push_back(permutation(2000, random));
    }
    tka::options const o{.budget = tka::top_k(100), .bucketing = {.recall_target = target}};
    auto const found = selected(scores, o);
    tka::bucketing const chosen = tka::choose_buckets(100, target);
    double sum = 0.0;
    bool same = true;
    for (std::size_t r = 0; r < scores.size(); ++r) {
      sum += recall_of(found[r], recall_test::exact(scores[r], 100));
      same = same &&
             found[r] == recall_test::bucketed(scores[r], 100, chosen.buckets, chosen.per_bucket);
    }
    CHECK(sum / static_cast<double>(scores.size()) >= static_cast<double>(target) - 0.02);
    CHECK(same);
  }
}

/// Rows with ties, both zeros, NaN of both signs, infinities.
std::vector<float> hostile_row(std::int32_t n, support::random_source& random) {
  std::vector<float> row(static_cast<std::size_t>(n));
  for (float& x : row) {
    switch (random.below(12)) {
      case 0: x = nan; break;
      case 1: x = -nan; break;
      case 2: x = infinity; break;
      case 3:
      case 4: x = -infinity; break;
      case 5: x = 0.0f; break;
      case 6: x = -0.0f; break;
      default: x = static_cast<float>(random.between(-3, 3)); break;
    }
  }
  return row;
}

TEST_CASE("[tka.order] the set is that of buckets by position mod b, for any scores") {
  support::random_source random("sets");
  INFO(random);
  for (int round = 0; round < (support::fast() ? 60 : 400); ++round) {
    auto const n = static_cast<std::int32_t>(random.between(1, 600));
    auto const k = static_cast<std::int32_t>(random.between(0, n + 5));
    auto const buckets = static_cast<std::int32_t>(random.between(1, round % 3 == 0 ? 900 : 60));
    auto const per_bucket = static_cast<std::int32_t>(random.between(1, round % 4 == 0 ? 64 : 9));
    std::vector<std::vector<float>> scores;
    for (int r = 0; r < 3; ++r) {
      scores.push_back(round % 2 == 0 ? hostile_row(n, random) : permutation(n, random));
    }
    CAPTURE(n);
    CAPTURE(k);
    CAPTURE(buckets);
    CAPTURE(per_bucket);
    auto const whole = selected(scores, with(k, buckets, per_bucket));
    auto const split = selected(scores, with(k, buckets, per_bucket),
                                {.workers = 2, .query_tile = 2, .splits = 3});
    for (std::size_t r = 0; r < scores.size(); ++r) {
      CHECK(whole[r] == recall_test::bucketed(scores[r], k, buckets, per_bucket));
      CHECK(split[r] == whole[r]);
    }
  }
}

TEST_CASE("[tka.order] the set is that of buckets by position mod b, for long rows") {
  support::random_source random("long sets");
  INFO(random);
  for (int round = 0; round < (support::fast() ? 4 : 24); ++round) {
    auto const n = static_cast<std::int32_t>(random.between(4000, support::fast() ? 9000 : 60000));
    auto const k = static_cast<std::int32_t>(random.between(1, 3000));
    auto const buckets = static_cast<std::int32_t>(random.between(1, 2500));
    auto const per_bucket = static_cast<std::int32_t>(random.between(1, 1 << (1 + round % 6)));
    std::vector<float> const row = round % 2 == 0 ? hostile_row(n, random) : permutation(n, random);
    CAPTURE(n);
    CAPTURE(k);
    CAPTURE(buckets);
    CAPTURE(per_bucket);
    CHECK(selected({row}, with(k, buckets, per_bucket))[0] ==
          recall_test::bucketed(row, k, buckets, per_bucket));
  }
}

TEST_CASE("[tka.invariant] [tka.approximate] buckets do not depend on the plan's bound") {
  support::random_source random("bounds");
  INFO(random);
  // A target at which buckets of few keys lose some, and k above and below the length.
  for (float const target : {0.5f, 0.9f}) {
    for (std::int32_t const k : {40, 160, 512}) {
      CAPTURE(target);
      CAPTURE(k);
      std::vector<float> const row = permutation(160, random);
      tka::options const o{.budget = tka::top_k(k), .bucketing = {.recall_target = target}};
      positions const exact = selected({row}, o)[0];
      CHECK(selected({row}, o, {}, 200)[0] == exact);
      CHECK(selected({row}, o, {}, 4096)[0] == exact);
    }
  }
}

TEST_CASE("[tka.approximate] the per_bucket largest are never lost, wherever they stand") {
  support::random_source random("never lost");
  INFO(random);
  bool kept = true;
  bool others_lost = false;
  for (int round = 0; round < (support::fast() ? 50 : 300); ++round) {
    auto const n = static_cast<std::int32_t>(random.between(200, 900));
    auto const buckets = static_cast<std::int32_t>(random.between(5, 50));
    auto const per_bucket = static_cast<std::int32_t>(random.between(1, 4));
    auto const k = per_bucket + static_cast<std::int32_t>(random.below(20));
    // All large keys in one bucket, rising, falling or equal: the worst case.
    std::vector<float> row = permutation(n, random);
    auto const bucket = static_cast<std::int32_t>(random.below(static_cast<unsigned>(buckets)));
    for (std::int32_t i = bucket; i < n; i += buckets) {
      float const step = round % 3 == 0 ? 1.0f : round % 3 == 1 ? -1.0f : 0.0f;
      row[static_cast<std::size_t>(i)] = 1e6f + step * static_cast<float>(i);
    }
    positions const found = selected({row}, with(k, buckets, per_bucket))[0];
    positions const best = recall_test::exact(row, per_bucket);
    kept = kept && std::includes(found.begin(), found.end(), best.begin(), best.end());
    positions const next = recall_test::exact(row, per_bucket + 1);
    others_lost =
        others_lost || !std::includes(found.begin(), found.end(), next.begin(), next.end());
  }
  CHECK(kept);
  CHECK(others_lost);  // else the inputs would not have been the worst case
}

TEST_CASE("[tka.approximate] recall 1 where every winner of a bucket has a place") {
  support::random_source random("recall one");
  INFO(random);
  for (int round = 0; round < (support::fast() ? 30 : 200); ++round) {
    auto const n = static_cast<std::int32_t>(random.between(1, 400));
    auto const k = static_cast<std::int32_t>(random.between(1, 70));
    auto const buckets = static_cast<std::int32_t>(random.between(1, 40));
    std::int32_t const size = (n + buckets - 1) / buckets;
    std::int32_t const per_bucket = std::min({k, size, 64});
    if (per_bucket < std::min(k, size)) continue;
    std::vector<float> const row = hostile_row(n, random);
    CHECK(selected({row}, with(k, buckets, per_bucket))[0] == recall_test::exact(row, k));
  }
}

TEST_CASE("[tka.nan] [tka.minus_inf] bucketed keeps NaN first and never -inf") {
  std::vector<float> row(100, -infinity);
  CHECK(selected({row}, with(10, 16, 2))[0].empty());
  row[77] = -nan;
  CHECK(selected({row}, with(10, 16, 2))[0] == positions{77});
  row[13] = infinity;  // same bucket as 77: 77 mod 16 == 13 mod 16
  CHECK(selected({row}, with(1, 16, 2))[0] == positions{77});
  CHECK(selected({row}, with(2, 16, 1))[0] == positions{77});
  CHECK(selected({row}, with(2, 16, 2))[0] == positions{13, 77});
  CHECK(selected({row}, with(0, 16, 2))[0].empty());
}

TEST_CASE("[tka.approximate] clustered keys: neighbours fall into different buckets") {
  std::vector<float> row(4096, 0.0f);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(i % 100) * 1e-3f;
  for (std::size_t i = 1000; i < 1064; ++i) row[i] = 100.0f;
  positions const found = selected({row}, with(64, 64, 1))[0];
  CHECK(recall_of(found, recall_test::exact(row, 64)) == 1.0);
}

}  // namespace
