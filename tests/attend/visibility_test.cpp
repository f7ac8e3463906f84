// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Who sees what where there are more query tokens than keys, or fewer: all, causal from either
/// corner.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {

using namespace support;

template <class Form>
std::string fault_of(oracle::problem const& p) {
  arranged<tka::fp32, Form> const a(p, {});
  auto const got = attend<tka::exact_radix>(a, options_of(p.rules));
  if (auto const found = selection_fault(got, p); !found.empty()) return found;
  if (got.error != 0) return "error word";
  return attention_fault<tka::fp32>(got, p, lists_of(got, p));
}

oracle::rules rules_of(oracle::visibility v) {
  oracle::rules r;
  r.kv_heads = 1;
  r.q_heads = 2;
  r.visibility = v;
  r.k = 4;
  r.scale = 0.25;
  return r;
}

constexpr lengths sizes[] = {{3, 2}, {7, 1}, {2, 5}, {5, 5}, {1, 9}, {70, 40}, {40, 150}};

template <class Visibility>
void agrees(oracle::visibility v, char const* name) {
  random_source random(name);
  INFO(random);
  for (lengths const& n : sizes) {
    CAPTURE(n.q_len);
    CAPTURE(n.kv_len);
    auto const p = make_problem(rules_of(v), {n}, contents::integers, random);
    CHECK(fault_of<tka::form<Visibility>>(p) == "");
  }
  auto const p =
      make_problem(rules_of(v), {sizes[0], sizes[2], sizes[5]}, contents::integers, random);
  CHECK(fault_of<tka::form<Visibility, tka::query::ragged, tka::kv::paged>>(p) == "");
}

TEST_CASE("[tka.visibility] all: every query sees every key, however many queries there are") {
  agrees<tka::visibility::all>(oracle::visibility::all, "all");
}

TEST_CASE("[tka.visibility] causal: the last query sits on the last key") {
  agrees<tka::visibility::causal>(oracle::visibility::causal, "causal");
}

TEST_CASE("[tka.visibility] causal_top_left: the first query sits on the first key") {
  agrees<tka::visibility::causal_top_left>(oracle::visibility::causal_top_left, "top left");
}

/// Keys that each of the query tokens of one head keeps.
template <class Visibility>
std::vector<int> counts(lengths const& n, std::vector<int> const& positions = {}) {
  random_source random("counts");
  auto r = rules_of(oracle::visibility::all);
  r.k = 100;
  auto p = make_problem(r, {n}, contents::integers, random);
  p.sequences[0].query_position = positions;
  arranged<tka::fp32, tka::form<Visibility>> const a(p, {});
  auto const got = select<tka::exact_radix>(a, options_of(r));
  REQUIRE(got.status == tka::status::ok);
  auto const& all = got.sequences[0].count;
  return {all.begin(), all.begin() + n.q_len};
}

TEST_CASE("[tka.visibility] how many keys, by hand") {
  using namespace tka::visibility;
  CHECK(counts<all>({3, 2}) == std::vector<int>{2, 2, 2});
  CHECK(counts<causal>({3, 2}) == std::vector<int>{0, 1, 2});
  CHECK(counts<causal_top_left>({3, 2}) == std::vector<int>{1, 2, 2});
  CHECK(counts<causal>({2, 5}) == std::vector<int>{4, 5});
  CHECK(counts<causal_top_left>({2, 5}) == std::vector<int>{1, 2});
  // Positions that are given say it all.
  CHECK(counts<all>({2, 5}, {-4, 2}) == std::vector<int>{5, 5});
  CHECK(counts<causal>({2, 5}, {3, 0}) == std::vector<int>{4, 1});
  CHECK(counts<causal_top_left>({2, 5}, {3, 0}) == std::vector<int>{4, 1});
}

}  // namespace
