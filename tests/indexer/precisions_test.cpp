// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The lightning indexer over 16-bit and 32-bit keys, and over the bucketed selector.

#include <indexer/index_cache.hpp>
#include <recall/bucketed_oracle.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>

namespace {

using namespace index_test;

using plain = tka::index_layout::plain;

tka::options keep(std::int32_t k) { return {.budget = tka::top_k(k)}; }

template <class Precision, class Source>
void exact_set(support::random_source& random) {
  for (extents const& e : {extents{2, 3, 200, 8, 64}, extents{1, 9, 420, 3, 128}}) {
    numbers const n = numbers::integers(e, random);
    CHECK(
        equals_oracle(n, selected<tka::exact_radix, Precision, plain, Source>(n, keep(25), 7), 25));
  }
}

TEST_CASE("[tka.indexer] [tka.storage] index keys in bf16, fp16 and fp32") {
  support::random_source random("wide");
  INFO(random);
  exact_set<tka::bf16, tka::kv::contiguous>(random);
  exact_set<tka::fp16, tka::kv::paged>(random);
  exact_set<tka::fp32, tka::kv::contiguous>(random);
}

TEST_CASE("[tka.indexer] [tka.approximate] over buckets: the set of the oracle's scores") {
  support::random_source random("buckets");
  INFO(random);
  numbers const n = numbers::integers(extents{1, 4, 500, 4, 32}, random);
  tka::options o = keep(40);
  o.bucketing = {.buckets = 37, .per_bucket = 2};
  auto const f = selected<tka::bucketed, tka::index_fp8, plain, tka::kv::contiguous>(n, o);
  for (std::int32_t i = 0; i < 4; ++i) {
    std::vector<float> scores;
    for (std::int32_t key = 0; key <= 496 + i; ++key) {
      scores.push_back(static_cast<float>(n.score(0, i, key)));
    }
    CHECK(f.positions[static_cast<std::size_t>(i)] == recall_test::bucketed(scores, 40, 37, 2));
  }
}

TEST_CASE("[tka.indexer] real numbers: scores within rounding, sets consistent with them") {
  support::random_source random("real");
  INFO(random);
  numbers n(extents{1, 1, 400, 16, 128});
  for (float& x : n.q) x = static_cast<float>(random.normal());
  for (float& x : n.k) x = static_cast<float>(random.normal());
  for (float& x : n.weight) x = static_cast<float>(random.normal());
  for (float& x : n.k_scale) x = static_cast<float>(0.1 + random.uniform());
  auto const all = selected<tka::exact_radix, tka::fp32, plain, tka::kv::contiguous>(n, keep(400));
  REQUIRE(all.positions[0].size() == 400);
  double worst = 0.0;
  for (std::int32_t key = 0; key < 400; ++key) {
    worst = std::max(worst,
                     std::fabs(static_cast<double>(all.scores[0][static_cast<std::size_t>(key)]) -
                               n.score(0, 0, key)));
  }
  CHECK(worst <= 1e-3);  // 16 heads, |q.k| up to 50: eps times the sum of magnitudes
  CHECK(worst > 0.0);
  for (std::int32_t const k : {1, 17, 100, 399}) {
    auto const some = selected<tka::exact_radix, tka::fp32, plain, tka::kv::contiguous>(n, keep(k));
    CHECK(some.positions[0] == recall_test::exact(all.scores[0], k));
  }
}

}  // namespace
