// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Every schedule gives the same bits: workers, query tiles, splits, phases in any worker order.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace support;

oracle::rules rules(oracle::scope scope) {
  oracle::rules r;
  r.q_heads = 6;
  r.kv_heads = 2;
  r.qk_dim = 32;
  r.v_dim = 16;
  r.k = 50;
  r.scale = 0.25;
  r.scope = scope;
  r.sinks = 2;
  r.recent = 3;
  r.visibility = oracle::visibility::sliding_window;
  r.window = 600;
  return r;
}

template <class Selection, class Form>
void check_schedules(char const* name, oracle::rules const& r) {
  random_source random(name);
  INFO(random);
  auto const p = make_problem(r, {{5, 900}, {5, 129}, {5, 2}}, contents::normal, random);
  arranged<tka::fp32, Form> const a(p, {.page_size = 11});
  // Only where q.k scores are all computed can the visible keys be measured.
  bool const measured = r.score == oracle::score::query_key;
  settings set{.metrics = measured ? tka::metrics::visible : tka::metrics::selected};
  auto const expected = attend<Selection>(a, options_of(r), set);
  REQUIRE(fault(expected) == "");
  for (int const workers : {1, 2, 3, 7}) {
    for (int const query_tile : {1, 2, 5, 64}) {
      for (int const splits : {1, 2, 3, 8}) {
        if (fast() && (workers + query_tile + splits) % 3 != 0) continue;
        CAPTURE(workers);
        CAPTURE(query_tile);
        CAPTURE(splits);
        set.schedule = {.workers = workers, .query_tile = query_tile, .splits = splits};
        set.scratch = static_cast<unsigned char>(workers * 16 + splits);
        CHECK(difference(expected, attend<Selection>(a, options_of(r), set)) == "");
      }
    }
  }
  set.schedule.reset();
  for (int const threads : {2, 5, 64}) {
    set.threads = threads;
    CHECK(difference(expected, attend<Selection>(a, options_of(r), set)) == "");
  }
}

using window = tka::visibility::sliding_window;

TEST_CASE("[tka.invariant] exact_radix, query_head: schedules change no bit") {
  check_schedules<tka::exact_radix, tka::form<window>>("schedule exact",
                                                       rules(oracle::scope::query_head));
}
TEST_CASE("[tka.invariant] exact_radix, kv_group over pages: schedules change no bit") {
  check_schedules<tka::exact_radix, tka::form<window, tka::scope::kv_group, tka::kv::paged>>(
      "schedule group", rules(oracle::scope::kv_group));
}
TEST_CASE("[tka.invariant] softmax_sum: schedules change no bit") {
  auto r = rules(oracle::scope::kv_group);
  r.combine = oracle::combine::softmax_sum;
  check_schedules<tka::exact_radix, tka::form<window, tka::scope::kv_group>>("schedule softmax", r);
}
TEST_CASE("[tka.invariant] bucketed: schedules change no bit") {
  check_schedules<tka::bucketed, tka::form<window>>("schedule bucketed",
                                                    rules(oracle::scope::query_head));
}
TEST_CASE("[tka.invariant] an indexer: schedules change no bit") {
  auto r = rules(oracle::scope::all_heads);
  r.score = oracle::score::index;
  r.index_heads = 3;
  r.index_dim = 32;
  check_schedules<tka::lightning_indexer<tka::exact_radix>, tka::form<window>>("schedule index", r);
}

TEST_CASE("[tka.invariant] attend_selected: schedules change no bit") {
  random_source random("schedule given");
  INFO(random);
  auto const r = rules(oracle::scope::query_head);
  auto const p = make_problem(r, {{5, 300}, {5, 2}}, contents::normal, random);
  arranged<tka::fp32, tka::form<window>> const a(p, {});
  auto const given = lists_of(select<tka::exact_radix>(a, options_of(r)), p);
  auto const expected = attend_lists(a, options_of(r), given);
  REQUIRE(fault(expected) == "");
  for (int const workers : {1, 2, 3, 7}) {
    for (int const query_tile : {1, 2, 5, 64}) {
      settings const set{.schedule = tka::schedule{.workers = workers, .query_tile = query_tile}};
      CHECK(difference(expected, attend_lists(a, options_of(r), given, set)) == "");
    }
  }
}

TEST_CASE("[tka.phases] phases in any order of workers, with any number of them") {
  random_source random("phases");
  INFO(random);
  auto const r = rules(oracle::scope::query_head);
  auto const p = make_problem(r, {{5, 900}}, contents::normal, random);
  arranged<tka::fp32, tka::form<window>> const a(p, {});
  constexpr auto call =
      tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu, tka::form<window>>;
  auto const expected = attend<tka::exact_radix>(a, options_of(r));
  REQUIRE(fault(expected) == "");
  auto const plan = call.reschedule(call.plan(a.shape(), options_of(r), {1}),
                                    {.workers = 5, .query_tile = 2, .splits = 3});
  for (int const workers : {1, 2, 4, 5}) {
    CAPTURE(workers);
    outputs<tka::fp32> out(a.q_places(), plan, order::hnd);
    decltype(call)::tensors t{};
    a.fill_common(t);
    a.fill_values(t);
    t.o = out.o.view();
    t.lse = out.lse.view();
    buffer<unsigned char> scratch(plan.scratch_bytes, nan_poison);
    tka::workspace const w{.scratch = scratch.data(), .scratch_bytes = plan.scratch_bytes};
    for (int phase = 0; phase < plan.schedule.phases; ++phase) {
      for (int worker = workers - 1; worker >= 0; --worker) {
        REQUIRE(call.run_phase(plan, t, w, phase, worker, workers) == tka::status::ok);
      }
    }
    sequence_results got;
    take_all(out.o, a.q_places(), r.q_heads, 0, got.o);
    take_all(out.lse, a.q_places(), r.q_heads, 0, got.lse);
    CHECK(bit_difference("o", expected.sequences[0].o, got.o) == "");
    CHECK(bit_difference("lse", expected.sequences[0].lse, got.lse) == "");
    CHECK(call.run_phase(plan, t, w, 0, workers, workers) == tka::status::invalid_worker);
    CHECK(call.run_phase(plan, t, w, plan.schedule.phases, 0, workers) ==
          tka::status::invalid_worker);
  }
}

}  // namespace
