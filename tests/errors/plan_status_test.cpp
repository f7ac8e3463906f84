// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Every status that planning can give, the words for all of them, and the exception.

#include <tka/attend_selected.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/select_top_k.hpp>
#include <tka/sparse_attention.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <set>
#include <string>

namespace {

using tka::status;

constexpr tka::shape good_shape{.batch = 2,
                                .q_heads = 4,
                                .kv_heads = 2,
                                .q_len = 1,
                                .kv_len = 100,
                                .qk_dim = 32,
                                .v_dim = 32,
                                .page_size = 8,
                                .index_heads = 2,
                                .index_dim = 32};
constexpr tka::options good_options{.budget = tka::top_k(10), .scale = 0.5f, .window = 5};

/// The status after one change; `supported` must say the same.
template <class Selection = tka::exact_radix, class Form = tka::form<>, class Change>
status planned(Change&& change) {
  constexpr auto attend = tka::sparse_attention<Selection, tka::fp32, tka::cpu, Form>;
  tka::shape s = good_shape;
  tka::options o = good_options;
  change(s, o);
  tka::plan const p = attend.plan(s, o, {});
  CHECK(attend.supported(s, o, {}) == p.status);
  if (p.status != status::ok) {
    // A refused plan runs nothing and initialises nothing.
    CHECK(attend(p, {}, {}) == status::plan_mismatch);
    CHECK(attend.initialize(p, {}) == status::plan_mismatch);
    CHECK(attend.reschedule(p, {.phases = 1}).status == p.status);
  }
  return p.status;
}

TEST_CASE("[tka.status] shapes") {
  CHECK(planned([](auto&, auto&) {}) == status::ok);
  CHECK(planned([](auto& s, auto&) { s.batch = 0; }) == status::invalid_shape);
  CHECK(planned([](auto& s, auto&) { s.batch = -1; }) == status::invalid_shape);
  CHECK(planned([](auto& s, auto&) { s.q_heads = 0; }) == status::invalid_shape);
  CHECK(planned([](auto& s, auto&) { s.kv_heads = 0; }) == status::invalid_shape);
  CHECK(planned([](auto& s, auto&) { s.q_len = -1; }) == status::invalid_shape);
  CHECK(planned([](auto& s, auto&) { s.kv_len = -1; }) == status::invalid_shape);
  CHECK(planned([](auto& s, auto&) { s.qk_dim = 0; }) == status::invalid_shape);
  CHECK(planned([](auto& s, auto&) { s.v_dim = 0; }) == status::invalid_shape);
  CHECK(planned([](auto& s, auto&) { s.q_len = 0; }) == status::ok);
  CHECK(planned([](auto& s, auto&) { s.kv_len = 0; }) == status::ok);
  CHECK(planned([](auto& s, auto&) { s.q_heads = 5; }) == status::invalid_group);
  CHECK(planned([](auto& s, auto&) { s.q_heads = 1; }) == status::invalid_group);
  CHECK(planned([](auto& s, auto&) { s.qk_dim = 24; }) == status::unsupported_head_dim);
  CHECK(planned([](auto& s, auto&) { s.qk_dim = 1040; }) == status::unsupported_head_dim);
  CHECK(planned([](auto& s, auto&) { s.qk_dim = 8; }) == status::unsupported_head_dim);
  CHECK(planned([](auto& s, auto&) { s.v_dim = 40; }) == status::unsupported_head_dim);
  CHECK(planned([](auto& s, auto&) { s.qk_dim = 1024; }) == status::ok);
}

TEST_CASE("[tka.status] an indexer's shape, and pages") {
  using indexer = tka::lightning_indexer<tka::exact_radix>;
  CHECK(planned<indexer>([](auto&, auto&) {}) == status::ok);
  CHECK(planned<indexer>([](auto& s, auto&) { s.index_heads = 0; }) == status::invalid_shape);
  CHECK(planned<indexer>([](auto& s, auto&) { s.index_dim = 0; }) == status::invalid_shape);
  CHECK(planned<indexer>([](auto& s, auto&) { s.index_dim = 20; }) == status::unsupported_head_dim);
  CHECK(planned<indexer>([](auto&, auto& o) { o.metrics = tka::metrics::visible; }) ==
        status::metric_unavailable);
  using paged = tka::form<tka::kv::paged>;
  CHECK(planned<tka::exact_radix, paged>([](auto&, auto&) {}) == status::ok);
  CHECK(planned<tka::exact_radix, paged>([](auto& s, auto&) { s.page_size = 0; }) ==
        status::invalid_page_size);
  CHECK(planned<tka::exact_radix, paged>([](auto& s, auto&) { s.page_size = -8; }) ==
        status::invalid_page_size);
}

TEST_CASE("[tka.status] products that overflow") {
  int constexpr many = std::numeric_limits<std::int32_t>::max();
  CHECK(planned([](auto& s, auto&) {
          s.q_heads = 65536;
          s.kv_heads = 65536;
          s.q_len = 65536;
        }) == status::too_large);
  // Where the host cannot even count the keys of a row's buffer it must say so, or count right.
  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;
  tka::shape s = good_shape;
  s.kv_len = many;
  tka::options o = good_options;
  o.budget = tka::top_k(many);
  tka::plan const p = attend.plan(s, o, {.threads = 1});
  bool const refused = p.status == status::too_large;
  // A row keeps up to 2^31 - 1 positions and keys of 4 bytes.
  bool const counted = p.status == status::ok && p.capacity == many &&
                       p.scratch_bytes >= std::size_t{8} * static_cast<std::size_t>(many);
  CHECK((refused || counted));
  // The longest bound that is served.
  s.kv_len = many - 1024;
  o.budget = tka::top_k(10);
  CHECK(attend.plan(s, o, {.threads = 1}).status == status::ok);
}

TEST_CASE("[tka.status] [tka.budget] budgets") {
  using tka::ratio;
  using tka::top_k;
  CHECK(planned([](auto&, auto& o) { o.budget = top_k(-1); }) == status::invalid_budget);
  CHECK(planned([](auto&, auto& o) { o.budget = top_k(0); }) == status::ok);
  CHECK(planned([](auto&, auto& o) { o.budget = top_k(1000); }) == status::ok);
  CHECK(planned([](auto&, auto& o) { o.budget = ratio(1, 10); }) == status::ok);
  CHECK(planned([](auto&, auto& o) { o.budget = ratio(11, 10); }) == status::invalid_budget);
  CHECK(planned([](auto&, auto& o) { o.budget = ratio(-1, 10); }) == status::invalid_budget);
  CHECK(planned([](auto&, auto& o) { o.budget = ratio(1, -10); }) == status::invalid_budget);
  CHECK(planned([](auto&, auto& o) { o.budget = ratio(1, 10, -1); }) == status::invalid_budget);
  CHECK(planned([](auto&, auto& o) { o.budget = ratio(10, 10, 0); }) == status::ok);
}

TEST_CASE("[tka.status] [tka.forced] forced keys count inside the budget") {
  CHECK(planned([](auto&, auto& o) { o.sinks = 4, o.recent = 6; }) == status::ok);
  CHECK(planned([](auto&, auto& o) { o.sinks = 5, o.recent = 6; }) ==
        status::forced_exceeds_budget);
  CHECK(planned([](auto&, auto& o) { o.sinks = 11; }) == status::forced_exceeds_budget);
  CHECK(planned([](auto&, auto& o) { o.recent = 11; }) == status::forced_exceeds_budget);
  CHECK(planned([](auto&, auto& o) {
          o.sinks = std::numeric_limits<std::int32_t>::max(),
          o.recent = std::numeric_limits<std::int32_t>::max();
        }) == status::forced_exceeds_budget);
  CHECK(planned([](auto&, auto& o) { o.budget = tka::ratio(1, 2, 3), o.sinks = 4; }) ==
        status::forced_exceeds_budget);
  CHECK(planned([](auto&, auto& o) { o.budget = tka::ratio(1, 2, 4), o.sinks = 4; }) == status::ok);
  CHECK(planned([](auto&, auto& o) { o.sinks = -1; }) == status::invalid_window);
  CHECK(planned([](auto&, auto& o) { o.recent = -1; }) == status::invalid_window);
}

TEST_CASE("[tka.status] scale, soft cap, window, shard") {
  float const infinity = std::numeric_limits<float>::infinity();
  for (float const bad : {0.0f, -1.0f, infinity, std::nanf("")}) {
    CHECK(planned([&](auto&, auto& o) { o.scale = bad; }) == status::invalid_scale);
  }
  for (float const bad : {-1.0f, infinity, std::nanf("")}) {
    CHECK(planned([&](auto&, auto& o) { o.soft_cap = bad; }) == status::invalid_soft_cap);
  }
  using sliding = tka::form<tka::visibility::sliding_window>;
  CHECK(planned<tka::exact_radix, sliding>([](auto&, auto&) {}) == status::ok);
  CHECK(planned<tka::exact_radix, sliding>([](auto&, auto& o) { o.window = 0; }) ==
        status::invalid_window);
  CHECK(planned<tka::exact_radix, sliding>([](auto&, auto& o) { o.window = -3; }) ==
        status::invalid_window);
  auto const sharded = [](std::int32_t block, std::int32_t index, std::int32_t count) {
    return planned([&](auto&, auto& o) { o.shard = {block, index, count}; });
  };
  CHECK(sharded(1, 0, 1) == status::ok);
  CHECK(sharded(16, 2, 3) == status::ok);
  CHECK(sharded(0, 0, 1) == status::invalid_shard);
  CHECK(sharded(1, 3, 3) == status::invalid_shard);
  CHECK(sharded(1, -1, 3) == status::invalid_shard);
  CHECK(sharded(1, 0, 0) == status::invalid_shard);
  CHECK(planned<tka::exact_radix, tka::form<tka::kv::ragged>>([](auto&, auto& o) {
          o.shard = {1, 0, 2};
        }) == status::invalid_shard);
}

TEST_CASE("[tka.status] buckets") {
  auto const bucketing = [](tka::bucketing const& b) {
    return planned<tka::bucketed>([&](auto&, auto& o) { o.bucketing = b; });
  };
  CHECK(bucketing({}) == status::ok);
  CHECK(bucketing({.recall_target = 0.0f}) == status::invalid_bucketing);
  CHECK(bucketing({.recall_target = 1.0f}) == status::invalid_bucketing);
  CHECK(bucketing({.recall_target = std::nanf("")}) == status::invalid_bucketing);
  CHECK(bucketing({.buckets = -1, .per_bucket = 1}) == status::invalid_bucketing);
  CHECK(bucketing({.buckets = 16, .per_bucket = 0}) == status::invalid_bucketing);
  CHECK(bucketing({.buckets = 16, .per_bucket = 65}) == status::invalid_bucketing);
  CHECK(bucketing({.buckets = 16, .per_bucket = 64}) == status::ok);
  CHECK(bucketing({.buckets = 1, .per_bucket = 1}) == status::ok);
  // exact_radix has no buckets and does not look.
  CHECK(planned([](auto&, auto& o) { o.bucketing.recall_target = 7.0f; }) == status::ok);
}

TEST_CASE("[tka.status] what selecting alone and attending alone need") {
  constexpr auto select = tka::select_top_k<tka::exact_radix, tka::fp32, tka::cpu>;
  tka::shape s = good_shape;
  s.v_dim = 0;
  tka::options o = good_options;
  o.scale = 0.0f;
  CHECK(select.supported(s, o, {}) == status::ok);
  constexpr auto by_softmax =
      tka::select_top_k<tka::exact_radix, tka::fp32, tka::cpu, tka::form<tka::scope::kv_group>>;
  o.combine = tka::combine::softmax_sum;
  CHECK(by_softmax.supported(s, o, {}) == status::invalid_scale);
  constexpr auto attend = tka::attend_selected<tka::fp32, tka::cpu>;
  CHECK(attend.supported(good_shape, good_options, {}) == status::ok);
  o = good_options;
  o.budget = tka::ratio(1, 2);
  CHECK(attend.supported(good_shape, o, {}) == status::invalid_budget);
  o.budget = tka::top_k(-1);
  CHECK(attend.supported(good_shape, o, {}) == status::invalid_budget);
  CHECK(attend.supported(s, good_options, {}) == status::invalid_shape);
}

constexpr status all[] = {status::ok,
                          status::invalid_shape,
                          status::invalid_group,
                          status::unsupported_head_dim,
                          status::invalid_budget,
                          status::forced_exceeds_budget,
                          status::invalid_scale,
                          status::invalid_soft_cap,
                          status::invalid_window,
                          status::invalid_bucketing,
                          status::unsupported_precision,
                          status::unsupported_device,
                          status::launch_failed,
                          status::metric_unavailable,
                          status::invalid_page_size,
                          status::invalid_shard,
                          status::null_pointer,
                          status::misaligned,
                          status::workspace_too_small,
                          status::plan_mismatch,
                          status::invalid_worker,
                          status::too_large};

TEST_CASE("[tka.status] every status has words of its own; others are unknown") {
  std::set<std::string> words;
  for (status const s : all) {
    REQUIRE(tka::to_string(s) != nullptr);
    CHECK(std::strlen(tka::to_string(s)) >= 2);
    CHECK(words.insert(tka::to_string(s)).second);
  }
  // The list above is complete: the next value has no words.
  CHECK(std::string(tka::to_string(static_cast<status>(std::size(all)))) == "unknown status");
  CHECK_FALSE(words.contains("unknown status"));
  CHECK(std::string(tka::to_string(static_cast<status>(-1))) == "unknown status");
}

TEST_CASE("[tka.status] throw_if throws what is wrong, and only then") {
  CHECK_NOTHROW(tka::throw_if(status::ok));
  for (status const s : all) {
    if (s == status::ok) continue;
    bool thrown = false;
    try {
      tka::throw_if(s);
    } catch (tka::error const& e) {
      thrown = e.code() == s && std::string(e.what()) == tka::to_string(s);
    }
    CHECK(thrown);
  }
}

TEST_CASE("[tka.no_alloc] planning, asking and running are noexcept") {
  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;
  CHECK(noexcept(attend.plan(good_shape, good_options, {})));
  CHECK(noexcept(attend.supported(good_shape, good_options, {})));
  CHECK(noexcept(attend.initialize({}, {})));
  CHECK(noexcept(attend({}, {}, {})));
  CHECK(noexcept(attend.run_phase({}, {}, {}, 0, 0, 1)));
}

}  // namespace
