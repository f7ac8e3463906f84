// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows split among workers: metrics of rows shorter than a tile, and masses that round to 1.

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using support::guarded_call;
using tka::status;

constexpr tka::options numbers{
    .budget = tka::top_k(2), .scale = 1.0f, .metrics = tka::metrics::visible};

TEST_CASE(
    "[tka.metrics] [tka.invariant] visible metrics of at most a tile of keys, in any splits") {
  for (std::int32_t const keys : {4, 100, 128}) {
    CAPTURE(keys);
    guarded_call<tka::exact_radix, tka::fp32> c(
        {.q_heads = 2, .kv_heads = 1, .q_len = 1, .kv_len = keys, .qk_dim = 16, .v_dim = 16},
        numbers);
    for (float& x : c.k) x = 1.0f;  // all scores are equal
    for (std::int32_t const splits : {1, 2, 3, 9}) {
      CAPTURE(splits);
      c.reschedule({.workers = 2, .query_tile = 1, .splits = splits});
      c.scratch.fill_bytes(0xff);
      c.clear(0xff);
      REQUIRE(c.run() == status::ok);
      for (std::size_t h = 0; h < 2; ++h) {
        auto const lse = static_cast<double>(c.lse[h]);
        auto const visible = static_cast<double>(c.lse_visible[h]);
        CHECK(visible - lse == doctest::Approx(std::log(keys / 2.0)).epsilon(1e-5));
        CHECK(static_cast<double>(c.retained_mass[h]) == doctest::Approx(2.0 / keys).epsilon(1e-5));
        CHECK(static_cast<double>(c.entropy_visible[h]) ==
              doctest::Approx(std::log(keys)).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("[tka.metrics] the retained mass is at most 1, also where every key is kept") {
  for (std::int32_t const keys : {1, 77, 600, 1500}) {
    CAPTURE(keys);
    tka::options all = numbers;
    all.budget = tka::top_k(keys);
    guarded_call<tka::exact_radix, tka::fp32> c(
        {.q_heads = 16, .kv_heads = 4, .q_len = 7, .kv_len = keys, .qk_dim = 32, .v_dim = 16}, all);
    c.clear(0xff);
    REQUIRE(c.run() == status::ok);
    for (float const mass : c.retained_mass) {
      CHECK(mass <= 1.0f);
      CHECK(mass > 0.9999f);
    }
  }
}

}  // namespace
