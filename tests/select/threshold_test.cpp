// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The threshold form names the set of the positions, and a threshold from outside gives it again.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

namespace {

using namespace support;

/// Every row's set, told by its threshold alone.
std::string threshold_fault(results const& got, oracle::problem const& p) {
  if (auto const found = fault(got); !found.empty()) return found;
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    auto const& s = p.sequences[b];
    for (int h = 0; h < p.rules.scope_heads(); ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        auto const row = static_cast<std::size_t>(h * s.q_len + i);
        auto const named = oracle::set_of_threshold(
            p.rules, s, i, h, static_cast<double>(got.sequences[b].threshold_score[row]),
            got.sequences[b].threshold_position[row]);
        auto const listed = got.positions_of(b, s.q_len, h, i);
        if (named != listed) {
          return at_row(b, h, i, list_text(named) + " named, listed " + list_text(listed));
        }
      }
    }
  }
  return "";
}

using window_form = tka::form<tka::visibility::sliding_window>;
using group_form = tka::form<tka::scope::kv_group>;

template <class Form>
void check_thresholds(char const* name, oracle::rules r, contents what) {
  random_source random(name);
  INFO(random);
  auto p = make_problem(r, {{5, 300}, {5, 3}, {5, 129}}, what, random);
  arranged<tka::fp32, Form> const a(p, {});
  auto const got = select<tka::exact_radix>(a, options_of(r));
  // On rounded scores the library's own thresholds are compared with its own scores below.
  if (what == contents::integers) CHECK(threshold_fault(got, p) == "");
  auto const again = select<tka::exact_radix>(a, options_of(r), {}, &got);
  CHECK(difference(got, again) == "");
  auto const cut = select<tka::exact_radix>(
      a, options_of(r), {.schedule = tka::schedule{.workers = 2, .query_tile = 3, .splits = 4}},
      &got);
  CHECK(difference(got, cut) == "");
}

TEST_CASE("[tka.threshold] names the same set, without forced keys") {
  oracle::rules r{.q_heads = 4, .kv_heads = 2, .qk_dim = 32};
  for (int const k : {0, 1, 7, 100, 299, 400}) {
    r.k = k;
    CAPTURE(k);
    check_thresholds<tka::form<>>("plain", r, contents::integers);
    check_thresholds<tka::form<>>("plain normal", r, contents::normal);
  }
}

TEST_CASE("[tka.threshold] [tka.scope] names the same set for groups") {
  oracle::rules r{.q_heads = 6, .kv_heads = 2, .qk_dim = 16};
  r.scope = oracle::scope::kv_group;
  r.k = 20;
  check_thresholds<group_form>("group max", r, contents::integers);
  r.combine = oracle::combine::sum;
  check_thresholds<group_form>("group sum", r, contents::integers);
}

TEST_CASE("[tka.threshold] [tka.forced] forced keys are kept by rule, not by threshold") {
  oracle::rules r{.q_heads = 4, .kv_heads = 2, .qk_dim = 32};
  r.visibility = oracle::visibility::sliding_window;
  r.window = 100;
  r.sinks = 3;
  r.recent = 4;
  for (int const k : {7, 8, 30}) {
    r.k = k;
    CAPTURE(k);
    check_thresholds<window_form>("forced", r, contents::integers);
  }
}

TEST_CASE("[tka.threshold] a threshold from outside cuts, in the order of keys") {
  oracle::rules r;
  r.score = oracle::score::stored;
  r.k = 8;
  oracle::problem p{r, {{.q_len = 1, .kv_len = 8}}};
  auto& s = p.sequences[0];
  float const nan = std::numeric_limits<float>::quiet_NaN();
  s.stored = {1.0f, 0.0f, -0.0f, nan, 5.0f, 0.0f, -1.0f, 5.0f};
  arranged<tka::fp32, tka::form<>> const a(p, {});
  using stored = tka::stored_scores<tka::exact_radix>;
  auto const within = [&](float score, std::int32_t position) {
    results t;
    t.sequences.resize(1);
    t.sequences[0].threshold_score = {score};
    t.sequences[0].threshold_position = {position};
    auto const got = select<stored>(a, options_of(r), {}, &t);
    REQUIRE(fault(got) == "");
    return got.positions_of(0, 1, 0, 0);
  };
  CHECK(within(5.0f, 4) == std::vector<int>{3, 4});
  CHECK(within(5.0f, 7) == std::vector<int>{3, 4, 7});
  CHECK(within(-0.0f, 2) == std::vector<int>{0, 1, 2, 3, 4, 7});
  CHECK(within(0.0f, 5) == std::vector<int>{0, 1, 2, 3, 4, 5, 7});
  CHECK(within(nan, 3) == std::vector<int>{3});
  CHECK(within(nan, -1).empty());
  CHECK(within(std::numeric_limits<float>::infinity(), 7) == std::vector<int>{3});
  CHECK(within(-2.0f, 0) == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
}

}  // namespace
