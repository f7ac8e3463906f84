// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// attend_selected: positions from outside, good and bad.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/oracle_names.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using namespace support;

oracle::rules rules(oracle::scope scope = oracle::scope::query_head) {
  oracle::rules r;
  r.q_heads = 6;
  r.kv_heads = 2;
  r.qk_dim = 32;
  r.v_dim = 48;
  r.k = 90;
  r.scale = 0.25;
  r.scope = scope;
  return r;
}

/// Replaying the positions of a call gives its bits.
template <class Precision, class Form, class Selection = tka::exact_radix>
void check_replay(char const* name, oracle::rules const& r) {
  random_source random(name);
  INFO(random);
  auto p = make_problem(r, {{3, 500}, {3, 130}, {3, 2}}, contents::normal, random);
  round_to<Precision>(p);
  arranged<Precision, Form> const a(p, {.page_size = 13});
  auto const whole = attend<Selection>(a, options_of(r));
  REQUIRE(fault(whole) == "");
  auto const replayed = attend_lists(a, options_of(r), lists_of(whole, p));
  REQUIRE(fault(replayed) == "");
  for (std::size_t b = 0; b < 3; ++b) {
    CHECK(attention_difference(whole.sequences[b], replayed.sequences[b]) == "");
  }
}

TEST_CASE("[tka.attend_selected] [tka.score] re-scored keys have the bits of the scan") {
  check_replay<tka::fp32, tka::form<>>("replay fp32", rules());
  check_replay<tka::bf16, tka::form<tka::kv::paged>>("replay bf16", rules());
  using packed = tka::form<tka::kv::ragged, tka::query::ragged>;
  check_replay<on_backend<tka::fp16, tka::bf16>, on_backend<packed, tka::form<>>>("replay fp16",
                                                                                  rules());
  using groups = on_backend<tka::form<tka::scope::kv_group>, tka::form<>>;
  check_replay<tka::fp32, groups>("replay group", rules(scope_of<groups>()));
}

TEST_CASE("[tka.score] select_top_k and sparse_attention name the same scores") {
  random_source random("same scores");
  auto p = make_problem(rules(), {{9, 500}}, contents::normal, random);
  round_to<tka::bf16>(p);
  arranged<tka::bf16, tka::form<>> const a(p, {});
  auto const both = attend<tka::exact_radix>(a, options_of(p.rules));
  auto const alone = select<tka::exact_radix>(a, options_of(p.rules));
  REQUIRE(fault(both) == "");
  REQUIRE(fault(alone) == "");
  CHECK(selection_difference(both.sequences[0], alone.sequences[0]) == "");
}

/// One list for every head and token.
lists same_for_all(oracle::problem const& p, std::vector<std::int32_t> const& list) {
  lists out(p.sequences.size());
  for (std::size_t b = 0; b < out.size(); ++b) {
    out[b].assign(static_cast<std::size_t>(p.rules.scope_heads() * p.sequences[b].q_len), list);
  }
  return out;
}

TEST_CASE("[tka.attend_selected] any order, duplicates count twice, bad positions are skipped") {
  random_source random("any order");
  INFO(random);
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
  auto const p = make_problem(rules(), {{2, 200}, {2, 50}}, contents::normal, random);
  arranged<tka::fp32, tka::form<>> const a(p, {});
  std::vector<std::vector<std::int32_t>> const given = {
      {199, 3, 77, 0},
      {5, 5, 5, 9, 9},
      {-1, 4, -1, most, least, 200, 201, 49, 50, 7, -2},
      {-1, -1, most},
      {}};
  for (auto const& list : given) {
    CAPTURE(list_text(list));
    auto const all = same_for_all(p, list);
    auto const got = attend_lists(a, options_of(p.rules), all);
    CHECK(attention_fault<tka::fp32>(got, p, all) == "");
  }
  // Bad entries leave no trace: the same bits as without them.
  auto const clean = attend_lists(a, options_of(p.rules), same_for_all(p, {4, 49, 7}));
  auto const dirty = attend_lists(a, options_of(p.rules),
                                  same_for_all(p, {-1, 4, most, 49, -1, least, 1000, 7, -1}));
  for (std::size_t b = 0; b < 2; ++b) {
    CHECK(attention_difference(clean.sequences[b], dirty.sequences[b]) == "");
  }
}

TEST_CASE("[tka.attend_selected] long lists with gaps: the bits of the keys alone") {
  random_source random("gaps");
  INFO(random);
  auto const p = make_problem(rules(), {{1, 900}}, contents::normal, random);
  arranged<tka::fp32, tka::form<>> const a(p, {});
  std::vector<std::int32_t> keys, gaps;
  for (int n = 0; n < 300; ++n) {
    keys.push_back(static_cast<std::int32_t>(random.below(900)));
    gaps.push_back(keys.back());
    while (random.below(3) == 0) gaps.push_back(random.below(2) == 0 ? -1 : 900);
  }
  auto const clean = attend_lists(a, options_of(p.rules), same_for_all(p, keys));
  auto const dirty = attend_lists(a, options_of(p.rules), same_for_all(p, gaps));
  REQUIRE(fault(clean) == "");
  REQUIRE(fault(dirty) == "");
  CHECK(attention_difference(clean.sequences[0], dirty.sequences[0]) == "");
}

TEST_CASE("[tka.attend_selected] [tka.sink_logit] sink logits and the soft cap count as ever") {
  random_source random("given sink");
  INFO(random);
  auto r = rules();
  r.sink_logits = {0.0, 1.0, 2.0, -1.0, 3.0, 0.5};
  r.soft_cap = 6.0;
  auto const p = make_problem(r, {{2, 200}}, contents::normal, random);
  arranged<tka::fp32, tka::form<>> const a(p, {});
  auto const all = same_for_all(p, {7, 3, 150, 22});
  CHECK(attention_fault<tka::fp32>(attend_lists(a, options_of(r), all), p, all) == "");
}

TEST_CASE("[tka.attend_selected] one list for all heads") {
  random_source random("given all heads");
  INFO(random);
  auto const p =
      make_problem(rules(oracle::scope::all_heads), {{2, 200}}, contents::normal, random);
  arranged<tka::fp32, tka::form<tka::scope::all_heads>> const a(p, {});
  auto const all = same_for_all(p, {7, 3, 150, 22, 199});
  CHECK(attention_fault<tka::fp32>(attend_lists(a, options_of(p.rules), all), p, all) == "");
}

TEST_CASE("[tka.attend_selected] [tka.unselected] unlisted keys and values may be NaN") {
  random_source random("given nan");
  INFO(random);
  auto p = make_problem(rules(), {{2, 200}}, contents::normal, random);
  arranged<tka::fp32, tka::form<>> const clean(p, {});
  auto const all = same_for_all(p, {7, 3, 150, 22, 199});
  auto const expected = attend_lists(clean, options_of(p.rules), all);
  auto& s = p.sequences[0];
  for (int h = 0; h < 2; ++h) {
    for (int j = 0; j < 200; ++j) {
      auto const& list = all[0][0];
      if (std::find(list.begin(), list.end(), j) != list.end()) continue;
      std::fill_n(s.k.begin() + (h * 200 + j) * 32, 32, std::numeric_limits<float>::quiet_NaN());
      std::fill_n(s.v.begin() + (h * 200 + j) * 48, 48, std::numeric_limits<float>::quiet_NaN());
    }
  }
  arranged<tka::fp32, tka::form<>> const poisoned(p, {});
  auto const got = attend_lists(poisoned, options_of(p.rules), all);
  CHECK(difference(expected, got) == "");
}

}  // namespace
