// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What stood in scratch and outputs before a call never shows in its results.

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <cstring>
#include <initializer_list>
#include <vector>

namespace {

using support::guarded_call;

constexpr tka::shape small{.batch = 2,
                           .q_heads = 4,
                           .kv_heads = 2,
                           .q_len = 3,
                           .kv_len = 1500,
                           .qk_dim = 32,
                           .v_dim = 48,
                           .page_size = 16,
                           .index_heads = 3,
                           .index_dim = 32};

template <class Selection, class Precision, class Form>
void ignores_what_was_there(tka::options const& o) {
  guarded_call<Selection, Precision, Form> c(small, o, {.kv = {1500, 777}});
  REQUIRE(c.plan.status == tka::status::ok);
  c.reschedule({.workers = 2, .query_tile = 2, .splits = 3});
  c.scratch.fill_bytes(0);
  c.clear(0);
  REQUIRE(c.run() == tka::status::ok);
  std::vector<unsigned char> const clean = c.output_bytes();

  // 0x7f: large finite floats, large integers; 0xff: NaN, -1.
  for (int const poison : {0xff, 0x7f, 0x80, 0xa5}) {
    c.scratch.fill_bytes(static_cast<unsigned char>(poison));
    c.clear(0);
    REQUIRE(c.run() == tka::status::ok);
    CHECK(c.output_bytes() == clean);
    // And what the last call left.
    c.clear(0);
    REQUIRE(c.run() == tka::status::ok);
    CHECK(c.output_bytes() == clean);
  }
  // Every output that is asked for is written in full: another fill shows nowhere.
  c.clear(0x5a);
  REQUIRE(c.run() == tka::status::ok);
  std::vector<unsigned char> const other = c.output_bytes();
  std::size_t differing = 0;
  for (std::size_t i = 0; i < clean.size(); ++i) differing += clean[i] != other[i] ? 1 : 0;
  std::size_t const unasked =
      (o.metrics == tka::metrics::visible ? 0 : 3 * c.lse.size() * sizeof(float)) +
      (Selection::is_exact ? 0 : 2 * c.count.size() * sizeof(float));
  CHECK(differing == unasked);
}

constexpr tka::options numbers{.budget = tka::top_k(50), .scale = 0.2f, .sinks = 1, .recent = 4};

TEST_CASE("[tka.workspace] poisoned scratch: exact_radix with metrics") {
  tka::options o = numbers;
  o.metrics = tka::metrics::visible;
  ignores_what_was_there<tka::exact_radix, tka::fp32, tka::form<tka::kv::paged>>(o);
}

TEST_CASE("[tka.workspace] poisoned scratch: heads combined by softmax") {
  tka::options o = numbers;
  o.combine = tka::combine::softmax_sum;
  ignores_what_was_there<tka::exact_radix, tka::bf16, tka::form<tka::scope::kv_group>>(o);
}

TEST_CASE("[tka.workspace] poisoned scratch: bucketed, with fewer keys than buckets too") {
  tka::options o = numbers;
  o.bucketing = {.buckets = 1000, .per_bucket = 2};
  ignores_what_was_there<tka::bucketed, tka::fp16, tka::form<>>(o);
}

TEST_CASE("[tka.workspace] poisoned scratch: indexer over fp8 keys") {
  ignores_what_was_there<tka::lightning_indexer<tka::exact_radix>, tka::fp8, tka::form<>>(numbers);
}

/// A large call, then a small one in the same dirty scratch, equals the small one in fresh scratch.
TEST_CASE("[tka.workspace] scratch is reused by another call without being cleaned") {
  guarded_call<tka::exact_radix, tka::fp32> large(small, numbers);
  REQUIRE(large.run() == tka::status::ok);
  tka::shape s = small;
  s.kv_len = 130;
  s.batch = 1;
  guarded_call<tka::bucketed, tka::fp32> next(s, numbers);
  next.clear(0);
  REQUIRE(next.run() == tka::status::ok);
  std::vector<unsigned char> const fresh = next.output_bytes();
  REQUIRE(next.plan.scratch_bytes <= large.plan.scratch_bytes);
  next.clear(0);
  REQUIRE(next.call(next.plan, next.arguments(), large.workspace()) == tka::status::ok);
  CHECK(next.output_bytes() == fresh);
}

}  // namespace
