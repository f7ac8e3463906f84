// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Who shares a selection, how a group's scores become one, and the bucketed set.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/oracle_names.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace {

using namespace support;

using group_form = tka::form<tka::scope::kv_group>;
using indexer = tka::lightning_indexer<tka::exact_radix>;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

TEST_CASE("[tka.scope] kv_group with a group of one is query_head") {
  random_source random("group of one");
  INFO(random);
  oracle::rules r;
  r.q_heads = 3;
  r.kv_heads = 3;
  r.k = 11;
  auto const p = make_problem(r, {{4, 200}}, contents::normal, random);
  arranged<tka::fp32, tka::form<>> const heads(p, {});
  arranged<tka::fp32, group_form> const groups(p, {});
  auto const by_head = select<tka::exact_radix>(heads, options_of(r));
  for (auto const how : {tka::combine::max, tka::combine::sum}) {
    auto o = options_of(r);
    o.combine = how;
    CHECK(difference(by_head, select<tka::exact_radix>(groups, o)) == "");
  }
}

TEST_CASE("[tka.scope] softmax_sum keeps the keys with the most attention") {
  random_source random("softmax sum");
  INFO(random);
  for (int round = 0; round < (fast() ? 4 : 20); ++round) {
    oracle::rules r;
    r.kv_heads = 2;
    r.q_heads = 2 * static_cast<int>(random.between(1, 4));
    r.qk_dim = 32;
    r.scope = oracle::scope::kv_group;
    r.combine = oracle::combine::softmax_sum;
    r.k = static_cast<int>(random.between(1, 40));
    r.scale = 0.25;
    r.soft_cap = round % 2 == 0 ? 0.0 : 4.0;
    auto const p = make_problem(r, {{3, 260}, {3, 5}}, contents::normal, random);
    arranged<tka::fp32, group_form> const a(p, {});
    auto const got = select<tka::exact_radix>(a, options_of(r));
    CHECK(near_selection_fault(got, p, 1e-6) == "");
    auto const cut = select<tka::exact_radix>(
        a, options_of(r), {.schedule = tka::schedule{.workers = 3, .query_tile = 2, .splits = 4}});
    CHECK(difference(got, cut) == "");
    for (int h = 0; h < r.kv_heads; ++h) {
      auto const positions = got.positions_of(0, 3, h, 1);
      auto const expected = oracle::selection_scores(r, p.sequences[0], 1, h, positions);
      auto const scores = got.scores_of(0, 3, h, 1);
      for (std::size_t n = 0; n < scores.size(); ++n) {
        CHECK(static_cast<double>(scores[n]) == doctest::Approx(expected[n]).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("[tka.scope] [tka.nan] a NaN of one head passes max and sum of its group only") {
  random_source random("nan in group");
  INFO(random);
  oracle::rules r;
  r.q_heads = 6;
  r.kv_heads = 2;
  r.scope = oracle::scope::kv_group;
  r.k = 3;
  for (auto const how : {oracle::combine::max, oracle::combine::sum}) {
    r.combine = how;
    for (int const head : {0, 1, 2}) {
      auto p = make_problem(r, {{1, 150}}, contents::integers, random);
      // Only this head multiplies dimension 0, where key 77 is NaN for the group of head 0.
      auto& s = p.sequences[0];
      s.k[77 * 16] = nan;
      for (std::size_t h = 0; h < 6; ++h) s.q[h * 16] = static_cast<int>(h) == head ? 1.0f : 0.0f;
      arranged<tka::fp32, group_form> const a(p, {});
      auto const got = select<tka::exact_radix>(a, options_of(r));
      CHECK(selection_fault(got, p) == "");
      auto const first = got.positions_of(0, 1, 0, 0);
      CHECK(std::find(first.begin(), first.end(), 77) != first.end());
      auto const second = got.positions_of(0, 1, 1, 0);
      CHECK(second.size() == 3);
    }
  }
}

TEST_CASE("[tka.scope] [tka.indexer] one selection for all heads by an indexer") {
  random_source random("all heads");
  INFO(random);
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  r.index_heads = 5;
  r.index_dim = 32;
  r.score = oracle::score::index;
  r.scope = oracle::scope::all_heads;
  for (int const k : {0, 1, 30, 400}) {
    r.k = k;
    auto const p = make_problem(r, {{3, 300}, {3, 7}}, contents::integers, random);
    arranged<tka::fp32, tka::form<tka::kv::paged>> const a(p, {.page_size = 9});
    auto const got = select<indexer>(a, options_of(r));
    CHECK(got.plan.scope_heads == 1);
    CHECK(selection_fault(got, p) == "");
  }
}

template <class Form>
void check_stored() {
  random_source random("stored scopes");
  INFO(random);
  oracle::rules r;
  r.q_heads = 6;
  r.kv_heads = 2;
  r.score = oracle::score::stored;
  r.scope = scope_of<Form>();
  r.k = 25;
  auto const p = make_problem(r, {{2, 200}, {2, 30}}, contents::integers, random);
  arranged<tka::fp32, Form> const a(p, {});
  CHECK(selection_fault(select<tka::stored_scores<tka::exact_radix>>(a, options_of(r)), p) == "");
}

TEST_CASE("[tka.scope] stored scores: one selection a query head, a group, or a token") {
  check_stored<tka::form<>>();
  check_stored<on_backend<group_form, tka::form<>>>();
  check_stored<tka::form<tka::scope::all_heads>>();
}

TEST_CASE("[tka.approximate] given buckets: the largest of each, then the k largest of those") {
  random_source random("buckets");
  INFO(random);
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  for (int round = 0; round < (fast() ? 5 : 30); ++round) {
    r.buckets = static_cast<int>(random.between(1, 200));
    r.per_bucket = static_cast<int>(random.between(1, 5));
    r.sinks = static_cast<int>(random.between(0, 3));
    r.recent = static_cast<int>(random.between(0, 3));
    r.k = r.sinks + r.recent + static_cast<int>(random.between(0, 60));
    CAPTURE(r.buckets);
    CAPTURE(r.per_bucket);
    CAPTURE(r.k);
    auto const p = make_problem(r, {{3, 300}, {3, 40}}, contents::integers, random);
    arranged<tka::fp32, tka::form<>> const a(p, {});
    auto const got = select<tka::bucketed>(a, options_of(r));
    CHECK(selection_fault(got, p) == "");
    auto const cut = select<tka::bucketed>(
        a, options_of(r), {.schedule = tka::schedule{.workers = 2, .query_tile = 3, .splits = 3}});
    CHECK(difference(got, cut) == "");
  }
}

}  // namespace
