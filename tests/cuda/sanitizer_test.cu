// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Short calls with many equal scores, for tools that look at every access: ties reach the paths
/// where blocks hand keys to each other.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <cuda/instances.cuh>
#include <doctest/doctest.h>

namespace {

using namespace support;

oracle::rules rules() {
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  r.qk_dim = 64;
  r.v_dim = 32;
  r.k = 100;
  r.scale = 0.125;
  r.sinks = 2;
  r.recent = 3;
  return r;
}

/// q and k of which nearly all products are equal.
oracle::problem many_ties(oracle::rules const& r, random_source& random) {
  auto p = make_problem(r, {{3, 1500}, {3, 130}, {3, 1}}, contents::integers, random);
  for (auto& s : p.sequences) {
    for (float& x : s.k) x = random.below(200) == 0 ? 1.0f : 0.0f;
    for (float& x : s.stored) x = random.below(20) == 0 ? 1.0f : 0.0f;
  }
  return p;
}

template <class Selection, class Precision>
void attends(oracle::rules const& r) {
  random_source random("ties");
  INFO(random);
  auto const p = many_ties(r, random);
  arranged<Precision, tka::form<>> const a(p, {});
  for (settings const& how :
       {settings{}, settings{.schedule = tka::schedule{.workers = 3}, .scratch_limit = 1}}) {
    auto const got = attend<Selection>(a, options_of(r), how);
    CHECK(selection_fault(got, p) == "");
    CHECK(attention_fault<Precision>(got, p, lists_of(got, p)) == "");
  }
}

TEST_CASE("[tka.order] ties: exact_radix, bf16") { attends<tka::exact_radix, tka::bf16>(rules()); }
TEST_CASE("[tka.order] ties: exact_radix, fp32") { attends<tka::exact_radix, tka::fp32>(rules()); }
TEST_CASE("[tka.approximate] ties: bucketed, bf16") {
  auto r = rules();
  r.buckets = 40;
  r.per_bucket = 3;
  attends<tka::bucketed, tka::bf16>(r);
}

TEST_CASE("[tka.order] ties: stored scores") {
  random_source random("stored ties");
  INFO(random);
  auto r = rules();
  r.score = oracle::score::stored;
  auto const p = many_ties(r, random);
  arranged<tka::fp32, tka::form<>> const a(p, {});
  auto const got = select<tka::stored_scores<tka::exact_radix>>(a, options_of(r));
  CHECK(selection_fault(got, p) == "");
}

TEST_CASE("[tka.attend_selected] a list from outside") {
  random_source random("list");
  INFO(random);
  auto const p = many_ties(rules(), random);
  arranged<tka::bf16, tka::form<>> const a(p, {});
  lists given(p.sequences.size());
  for (std::size_t b = 0; b < given.size(); ++b) given[b].assign(12, {0, 5, 5, 100, 2000, -1, 1});
  auto const got = attend_lists(a, options_of(p.rules), given);
  CHECK(attention_fault<tka::bf16>(got, p, given) == "");
}

}  // namespace
