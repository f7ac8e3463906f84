// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The lightning indexer over fp8 keys: the exact set and its scores, against plain sums.

#include <indexer/index_cache.hpp>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

namespace {

using namespace index_test;

using plain = tka::index_layout::plain;
using page_132 = tka::index_layout::page_132;

tka::options keep(std::int32_t k) { return {.budget = tka::top_k(k)}; }

TEST_CASE("[tka.indexer] fp8 keys with a scale a token: exact set, exact scores") {
  support::random_source random("fp8");
  INFO(random);
  for (extents const& e : {extents{1, 1, 1, 1, 16}, extents{2, 3, 333, 8, 32},
                           extents{1, 70, 300, 5, 128}, extents{2, 1, 1000, 64, 128}}) {
    numbers const n = numbers::integers(e, random);
    for (std::int32_t const k : {1, 20, 2000}) {
      CAPTURE(e.kv_len);
      CAPTURE(k);
      CHECK(equals_oracle(
          n,
          selected<tka::exact_radix, tka::index_fp8, plain, tka::kv::contiguous>(n, keep(k), 1, 2),
          k));
    }
  }
}

TEST_CASE("[tka.indexer] [tka.storage] pages of 132 bytes a token, any page size") {
  support::random_source random("page_132");
  INFO(random);
  for (std::int32_t const page_size : {1, 3, 16, 64}) {
    for (extents const& e : {extents{2, 2, 257, 6, 128}, extents{1, 5, 130, 3, 64}}) {
      numbers const n = numbers::integers(e, random);
      CAPTURE(page_size);
      auto const f = selected<tka::exact_radix, tka::index_fp8, page_132, tka::kv::paged>(
          n, keep(31), page_size);
      CHECK(equals_oracle(n, f, 31));
      auto const apart =
          selected<tka::exact_radix, tka::index_fp8, plain, tka::kv::paged>(n, keep(31), page_size);
      CHECK(equals_oracle(n, apart, 31));
    }
  }
}

/// Real numbers: the layouts hold the same numbers, so they must give the same bits.
TEST_CASE("[tka.score] 132-byte pages and separate scales give the same bits") {
  support::random_source random("layouts");
  INFO(random);
  numbers n(extents{1, 2, 200, 4, 128});
  for (float& x : n.q) x = static_cast<float>(random.normal());
  for (float& x : n.k) x = static_cast<float>(random.normal());
  for (float& x : n.weight) x = static_cast<float>(random.normal());
  for (float& x : n.k_scale) x = static_cast<float>(0.1 + random.uniform());
  auto const a =
      selected<tka::exact_radix, tka::index_fp8, page_132, tka::kv::paged>(n, keep(200), 16);
  auto const b =
      selected<tka::exact_radix, tka::index_fp8, plain, tka::kv::paged>(n, keep(200), 16);
  CHECK(a.positions == b.positions);
  CHECK(a.scores == b.scores);
}

TEST_CASE("[tka.indexer] weights of both signs: negative scores are selected too") {
  extents const e{1, 1, 5, 2, 16};
  numbers n(e);
  for (std::int32_t h = 0; h < 2; ++h) n.q[static_cast<std::size_t>(h * 16 + h)] = 1.0f;
  // q.k of head 0 and 1: (1, 0) (0, 3) (2, 2) (-5, 1) (-1, -1)
  float const dots[5][2] = {{1, 0}, {0, 3}, {2, 2}, {-5, 1}, {-1, -1}};
  for (std::size_t i = 0; i < 5; ++i) {
    n.k[i * 16] = dots[i][0];
    n.k[i * 16 + 1] = dots[i][1];
  }
  n.weight = {2.0f, -1.0f};
  // Scores: 2, -3, 2, -1, 0. Equal ones by position.
  using row = std::vector<std::int32_t>;
  auto const best = [&](std::int32_t k) {
    return selected<tka::exact_radix, tka::index_fp8, plain, tka::kv::contiguous>(n, keep(k));
  };
  CHECK(best(1).positions[0] == row{0});
  CHECK(best(2).positions[0] == row{0, 2});
  CHECK(best(3).positions[0] == row{0, 2, 4});
  CHECK(best(4).positions[0] == row{0, 2, 3, 4});
  CHECK(best(5).scores[0] == std::vector<float>{2.0f, -3.0f, 2.0f, -1.0f, 0.0f});
}

TEST_CASE("[tka.nan] NaN passes the ReLU and is selected first") {
  support::random_source random("nan");
  INFO(random);
  numbers n = numbers::integers(extents{1, 2, 150, 3, 32}, random);
  float const nan = std::numeric_limits<float>::quiet_NaN();
  n.k[77 * 32 + 5] = nan;
  n.k[140 * 32] = nan;
  auto const f = selected<tka::exact_radix, tka::index_fp8, plain, tka::kv::contiguous>(n, keep(5));
  CHECK(equals_oracle(n, f, 5));
  for (std::size_t row = 0; row < 2; ++row) {
    int nans = 0;
    for (float const x : f.scores[row]) nans += std::isnan(x) ? 1 : 0;
    CHECK(nans == 2);
  }
  auto const in_pages =
      selected<tka::exact_radix, tka::index_fp8, page_132, tka::kv::paged>(n, keep(5), 7);
  CHECK(in_pages.positions == f.positions);
  // A weight that is NaN makes its own row NaN, and no other.
  numbers w = numbers::integers(extents{1, 2, 150, 3, 32}, random);
  w.weight[4] = -nan;
  CHECK(equals_oracle(
      w, selected<tka::exact_radix, tka::index_fp8, plain, tka::kv::contiguous>(w, keep(5)), 5));
}

}  // namespace
