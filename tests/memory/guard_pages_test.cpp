// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// No byte outside a promised buffer is touched: each stands beside a page that faults.

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <cstdint>
#include <initializer_list>

namespace {

using support::guard;
using support::guarded_call;

constexpr tka::shape small{.batch = 3,
                           .q_heads = 4,
                           .kv_heads = 2,
                           .q_len = 3,
                           .kv_len = 700,
                           .qk_dim = 48,
                           .v_dim = 32,
                           .page_size = 7,
                           .index_heads = 3,
                           .index_dim = 16};

tka::options numbers(std::int32_t k) {
  return {.budget = tka::top_k(k), .scale = 0.2f, .sinks = 2, .recent = 3, .window = 300};
}

/// Runs under several schedules with scratch of exactly the planned size.
template <class Selection, class Precision, class Form>
void stays_inside(tka::shape const& s, tka::options const& o, support::lengths const& real) {
  for (guard const side : {guard::behind, guard::before}) {
    guarded_call<Selection, Precision, Form> c(s, o, real, side);
    REQUIRE(c.plan.status == tka::status::ok);
    for (tka::schedule const& wanted :
         {tka::schedule{.workers = 1, .query_tile = 1, .splits = 1},
          tka::schedule{.workers = 2, .query_tile = 64, .splits = 1},
          tka::schedule{.workers = 3, .query_tile = 2, .splits = 5}}) {
      c.reschedule(wanted);
      CHECK(c.run() == tka::status::ok);
      CHECK(c.intact());
      CHECK(c.error[0] == 0);
    }
  }
}

TEST_CASE("[tka.workspace] exact_radix stays inside keys that end at the last real one") {
  stays_inside<tka::exact_radix, tka::fp32, tka::form<>>(small, numbers(40), {.kv = {700, 0, 413}});
}

TEST_CASE("[tka.workspace] exact_radix stays inside pages, scope::kv_group, window") {
  using form = tka::form<tka::kv::paged, tka::scope::kv_group, tka::visibility::sliding_window>;
  stays_inside<tka::exact_radix, tka::bf16, form>(small, numbers(64), {.kv = {129, 700, 300}});
}

TEST_CASE("[tka.workspace] exact_radix stays inside ragged queries and keys, fp8 with scales") {
  using form = tka::form<tka::kv::ragged, tka::query::ragged, tka::layout::scaled>;
  stays_inside<tka::exact_radix, tka::fp8, form>(small, numbers(1000),
                                                 {.kv = {1, 256, 130}, .q = {1, 3, 0}});
}

TEST_CASE("[tka.workspace] bucketed stays inside") {
  tka::options o = numbers(40);
  o.bucketing = {.buckets = 33, .per_bucket = 3};
  stays_inside<tka::bucketed, tka::fp16, tka::form<>>(small, o, {.kv = {700, 30, 413}});
  o.bucketing = {.recall_target = 0.95f};
  stays_inside<tka::bucketed, tka::fp16, tka::form<>>(small, o, {.kv = {700, 30, 413}});
}

}  // namespace
