// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Guard pages around what indexers, stored scores, metrics and 656-byte rows read and write.

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <initializer_list>

namespace {

using support::guard;
using support::guarded_call;

constexpr tka::shape small{.batch = 2,
                           .q_heads = 4,
                           .kv_heads = 2,
                           .q_len = 3,
                           .kv_len = 400,
                           .qk_dim = 32,
                           .v_dim = 16,
                           .page_size = 7,
                           .index_heads = 3,
                           .index_dim = 16};

template <class Selection, class Precision, class Form>
void stays_inside(tka::shape const& s, tka::options const& o, support::lengths const& real) {
  for (guard const side : {guard::behind, guard::before}) {
    guarded_call<Selection, Precision, Form> c(s, o, real, side);
    REQUIRE(c.plan.status == tka::status::ok);
    for (tka::schedule const& wanted :
         {tka::schedule{.workers = 1, .query_tile = 2, .splits = 1},
          tka::schedule{.workers = 2, .query_tile = 1, .splits = 3}}) {
      c.reschedule(wanted);
      CHECK(c.run() == tka::status::ok);
      CHECK(c.intact());
      CHECK(c.error[0] == 0);
    }
  }
}

TEST_CASE("[tka.workspace] the indexer stays inside pages") {
  stays_inside<tka::lightning_indexer<tka::exact_radix>, tka::fp16, tka::form<tka::kv::paged>>(
      small, {.budget = tka::top_k(50), .scale = 0.2f, .recent = 1}, {.kv = {399, 12}});
}

TEST_CASE("[tka.workspace] stored scores stay inside") {
  stays_inside<tka::stored_scores<tka::exact_radix>, tka::fp32, tka::form<>>(
      small, {.budget = tka::ratio(1, 3), .scale = 0.2f}, {.kv = {400, 131}});
}

TEST_CASE("[tka.workspace] metrics of visible keys and combine::softmax_sum stay inside") {
  tka::options o{.budget = tka::top_k(17),
                 .scale = 0.2f,
                 .soft_cap = 5.0f,
                 .combine = tka::combine::softmax_sum,
                 .metrics = tka::metrics::visible};
  using form = tka::form<tka::scope::kv_group>;
  stays_inside<tka::exact_radix, tka::fp32, form>(small, o, {.kv = {400, 129}});
  o.combine = tka::combine::sum;
  stays_inside<tka::exact_radix, tka::fp32, form>(small, o, {.kv = {400, 129}});
}

TEST_CASE("[tka.storage] 656-byte rows are read to their last byte and no further") {
  tka::shape s = small;
  s.kv_heads = 1;
  s.qk_dim = 576;
  s.v_dim = 512;
  stays_inside<tka::exact_radix, tka::fp8, tka::form<tka::layout::mla_656, tka::kv::paged>>(
      s, {.budget = tka::top_k(50), .scale = 0.02f}, {.kv = {300, 8}});
}

}  // namespace
