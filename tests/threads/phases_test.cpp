// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Phases driven by the host's own threads: any number of workers, any order, the same bits.

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <cstdint>
#include <thread>
#include <vector>

namespace {

using support::guarded_call;
using tka::status;

constexpr tka::shape small{.batch = 2,
                           .q_heads = 6,
                           .kv_heads = 2,
                           .q_len = 5,
                           .kv_len = 1200,
                           .qk_dim = 32,
                           .v_dim = 32,
                           .page_size = 16,
                           .index_heads = 3,
                           .index_dim = 16};
constexpr tka::options numbers{.budget = tka::top_k(60), .scale = 0.2f, .sinks = 2, .recent = 5};

/// All workers of each phase at once, one std::thread each.
template <class Call>
status run_on_threads(Call& c, std::int32_t workers) {
  auto const t = c.arguments();
  auto const w = c.workspace();
  std::vector<status> found(static_cast<std::size_t>(workers), status::ok);
  for (std::int32_t phase = 0; phase < c.plan.schedule.phases; ++phase) {
    std::vector<std::thread> threads;
    for (std::int32_t i = 0; i < workers; ++i) {
      threads.emplace_back([&, phase, i] {
        status const s = c.call.run_phase(c.plan, t, w, phase, i, workers);
        if (s != status::ok) found[static_cast<std::size_t>(i)] = s;
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  for (status const s : found) {
    if (s != status::ok) return s;
  }
  return status::ok;
}

/// Workers of a phase one after the other, last first.
template <class Call>
status run_backwards(Call& c, std::int32_t workers) {
  auto const t = c.arguments();
  for (std::int32_t phase = 0; phase < c.plan.schedule.phases; ++phase) {
    for (std::int32_t i = workers - 1; i >= 0; --i) {
      status const s = c.call.run_phase(c.plan, t, c.workspace(), phase, i, workers);
      if (s != status::ok) return s;
    }
  }
  return status::ok;
}

template <class Selection, class Precision, class Form>
void same_bits_on_any_threads(tka::options const& o) {
  guarded_call<Selection, Precision, Form> c(small, o, {.kv = {1200, 641}});
  REQUIRE(c.plan.status == status::ok);
  c.reschedule({.workers = 1, .query_tile = 1, .splits = 1});
  c.clear(0);
  REQUIRE(c.run() == status::ok);
  std::vector<unsigned char> const alone = c.output_bytes();
  for (tka::schedule const& wanted : {tka::schedule{.workers = 4, .query_tile = 1, .splits = 1},
                                      tka::schedule{.workers = 4, .query_tile = 64, .splits = 1},
                                      tka::schedule{.workers = 3, .query_tile = 2, .splits = 7},
                                      tka::schedule{.workers = 5, .query_tile = 5, .splits = 20}}) {
    c.reschedule(wanted);
    CAPTURE(wanted.workers);
    CAPTURE(wanted.query_tile);
    CAPTURE(wanted.splits);
    for (std::int32_t workers = 1; workers <= wanted.workers; ++workers) {
      CAPTURE(workers);
      c.scratch.fill_bytes(0xff);
      c.clear(0);
      CHECK(run_on_threads(c, workers) == status::ok);
      CHECK(c.output_bytes() == alone);
      CHECK(c.intact());
      c.clear(0);
      CHECK(run_backwards(c, workers) == status::ok);
      CHECK(c.output_bytes() == alone);
    }
  }
}

TEST_CASE("[tka.phases] [tka.invariant] exact_radix with metrics: the same bits on any threads") {
  tka::options o = numbers;
  o.metrics = tka::metrics::visible;
  same_bits_on_any_threads<tka::exact_radix, tka::bf16, tka::form<>>(o);
}
TEST_CASE("[tka.phases] [tka.invariant] pages and groups: the same bits on any threads") {
  using form = tka::form<tka::kv::paged, tka::scope::kv_group>;
  same_bits_on_any_threads<tka::exact_radix, tka::fp16, form>(numbers);
}
TEST_CASE("[tka.phases] [tka.invariant] bucketed: the same bits on any threads") {
  tka::options o = numbers;
  o.bucketing = {.buckets = 50, .per_bucket = 3};
  same_bits_on_any_threads<tka::bucketed, tka::fp32, tka::form<>>(o);
}
TEST_CASE("[tka.phases] [tka.invariant] indexer: the same bits on any threads") {
  same_bits_on_any_threads<tka::lightning_indexer<tka::exact_radix>, tka::fp32, tka::form<>>(
      numbers);
}
TEST_CASE("[tka.phases] heads combined by softmax see all keys at once, whatever is asked for") {
  tka::options o = numbers;
  o.combine = tka::combine::softmax_sum;
  same_bits_on_any_threads<tka::exact_radix, tka::fp32, tka::form<tka::scope::kv_group>>(o);
}

TEST_CASE("[tka.phases] stale selections of an earlier call do not enter: shorter after longer") {
  guarded_call<tka::exact_radix, tka::fp32> c(small, numbers, {.kv = {1200, 1200}});
  c.reschedule({.workers = 2, .query_tile = 2, .splits = 6});
  c.clear(0);
  REQUIRE(c.run() == status::ok);
  c.kv_lengths[0] = 100;
  c.kv_lengths[1] = 0;
  c.clear(0);
  REQUIRE(run_on_threads(c, 2) == status::ok);
  std::vector<unsigned char> const reused = c.output_bytes();
  c.scratch.fill_bytes(0);
  c.clear(0);
  REQUIRE(c.run() == status::ok);
  CHECK(c.output_bytes() == reused);
}

}  // namespace
