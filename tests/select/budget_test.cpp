// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How many keys a row keeps, and which ones it must keep: by hand, one key scored above the other.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <numeric>
#include <vector>

namespace {

using namespace support;

using stored = tka::stored_scores<tka::exact_radix>;
using list = std::vector<int>;

/// Rows over stored scores 0, 1, 2, ...: the last keys are the largest.
oracle::problem rising(oracle::rules r, int q_len, int kv_len) {
  r.score = oracle::score::stored;
  oracle::problem p{r, {}};
  oracle::sequence s;
  s.q_len = q_len;
  s.kv_len = kv_len;
  for (int i = 0; i < q_len; ++i) {
    for (int j = 0; j < kv_len; ++j) s.stored.push_back(static_cast<float>(j));
  }
  p.sequences.push_back(s);
  return p;
}

template <class Form = tka::form<>>
results run(oracle::problem const& p) {
  arranged<tka::fp32, Form> const a(p, {});
  auto const got = select<stored>(a, options_of(p.rules));
  REQUIRE(selection_fault(got, p) == "");
  return got;
}

list last_of(int n, int count) {
  list out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), n - count);
  return out;
}

TEST_CASE("[tka.budget] [tka.positions] k keys, ascending") {
  oracle::rules r;
  for (int const k : {0, 1, 9, 10, 11}) {
    r.k = k;
    auto const got = run(rising(r, 1, 10));
    CHECK(got.plan.capacity == std::min(k, 10));
    CHECK(got.positions_of(0, 1, 0, 0) == last_of(10, std::min(k, 10)));
  }
}

TEST_CASE("[tka.budget] a ratio of the visible keys, rounded up") {
  oracle::rules r;
  r.numerator = 1;
  r.denominator = 3;
  r.k_min = 2;
  auto const got = run(rising(r, 10, 10));
  int const expected[] = {1, 2, 2, 2, 2, 2, 3, 3, 3, 4};
  for (int i = 0; i < 10; ++i) {
    CHECK(got.positions_of(0, 10, 0, i) == last_of(i + 1, expected[i]));
  }
  r.numerator = 0;
  r.k_min = 0;
  CHECK(run(rising(r, 10, 10)).positions_of(0, 10, 0, 9).empty());
  r.numerator = 3;
  CHECK(run(rising(r, 10, 10)).positions_of(0, 10, 0, 9).size() == 10);
}

TEST_CASE("[tka.budget] the ratio counts in integers, also where floats would not") {
  oracle::rules r;
  r.numerator = 700001;
  r.denominator = 1000000;
  auto const got = run(rising(r, 1, 1000));  // 700.001: 701
  CHECK(got.positions_of(0, 1, 0, 0).size() == 701);
}

TEST_CASE("[tka.budget] k per sequence, clamped to the capacity") {
  oracle::rules r;
  r.k = 6;
  auto p = rising(r, 1, 20);
  for (int const k : {0, 1, 5, 6}) {
    auto s = p.sequences[0];
    s.k_of_sequence = k;
    p.sequences.push_back(s);
  }
  p.sequences.erase(p.sequences.begin());
  auto const got = run(p);
  CHECK(got.error == 0u);
  CHECK(got.positions_of(0, 1, 0, 0).empty());
  CHECK(got.positions_of(1, 1, 0, 0) == last_of(20, 1));
  CHECK(got.positions_of(3, 1, 0, 0) == last_of(20, 6));

  arranged<tka::fp32, tka::form<>> a(p, {});
  p.sequences[0].k_of_sequence = 7;  // above the capacity of 6
  arranged<tka::fp32, tka::form<>> const above(p, {});
  auto const clamped = select<stored>(above, options_of(r));
  CHECK(clamped.positions_of(0, 1, 0, 0) == last_of(20, 6));
  CHECK(clamped.error == static_cast<std::uint32_t>(tka::data_error::budget_out_of_range));
}

TEST_CASE("[tka.forced] sinks and recent keys count inside the budget") {
  oracle::rules r;
  r.sinks = 2;
  r.recent = 1;
  r.k = 4;
  CHECK(run(rising(r, 1, 10)).positions_of(0, 1, 0, 0) == list{0, 1, 8, 9});
  r.k = 3;
  CHECK(run(rising(r, 1, 10)).positions_of(0, 1, 0, 0) == list{0, 1, 9});
  // Where they overlap each counts once.
  r.sinks = 3;
  r.recent = 3;
  r.k = 6;
  CHECK(run(rising(r, 1, 4)).positions_of(0, 1, 0, 0) == list{0, 1, 2, 3});
}

TEST_CASE("[tka.forced] the last visible keys are the recent ones") {
  oracle::rules r;
  r.recent = 2;
  r.k = 2;
  auto p = rising(r, 4, 4);
  for (float& x : p.sequences[0].stored) x = -x;
  auto const got = run(p);
  CHECK(got.positions_of(0, 4, 0, 0) == list{0});
  CHECK(got.positions_of(0, 4, 0, 2) == list{1, 2});
  CHECK(got.positions_of(0, 4, 0, 3) == list{2, 3});
}

TEST_CASE("[tka.forced] [tka.minus_inf] a forced key with -inf leaves its place to another") {
  oracle::rules r;
  r.sinks = 2;
  r.k = 3;
  auto p = rising(r, 1, 6);
  p.sequences[0].stored[0] = -std::numeric_limits<float>::infinity();
  CHECK(run(p).positions_of(0, 1, 0, 0) == list{1, 4, 5});
}

TEST_CASE("[tka.forced] with a small k from memory the recent ones come first") {
  oracle::rules r;
  r.sinks = 2;
  r.recent = 3;
  r.k = 5;
  for (int const k : {0, 1, 2, 3, 4, 5}) {
    auto p = rising(r, 1, 12);
    p.sequences[0].k_of_sequence = k;
    list const expected[] = {{}, {11}, {10, 11}, {9, 10, 11}, {0, 9, 10, 11}, {0, 1, 9, 10, 11}};
    CHECK(run(p).positions_of(0, 1, 0, 0) == expected[k]);
  }
}

TEST_CASE("[tka.forced] sinks and recent keys join a sliding window") {
  oracle::rules r;
  r.visibility = oracle::visibility::sliding_window;
  r.window = 3;
  r.sinks = 1;
  r.recent = 5;
  r.k = 100;
  using window = tka::form<tka::visibility::sliding_window>;
  CHECK(run<window>(rising(r, 1, 10)).positions_of(0, 1, 0, 0) == list{0, 5, 6, 7, 8, 9});
  r.recent = 0;
  CHECK(run<window>(rising(r, 1, 10)).positions_of(0, 1, 0, 0) == list{0, 7, 8, 9});
}

TEST_CASE("[tka.forced] a full ratio accepts forced keys under every bound") {
  // visible <= k here: every visible key is kept, however many are forced.
  oracle::rules r;
  r.numerator = 1;
  r.denominator = 1;
  r.k_min = 25;
  r.recent = 20;
  arranged<tka::fp32, tka::form<>> const a(rising(r, 1, 5), {});
  auto const got = select<stored>(a, options_of(r));
  CHECK(fault(got) == "");
  if (got.status == tka::status::ok) CHECK(got.positions_of(0, 1, 0, 0).size() == 5);
}

TEST_CASE("[tka.forced] more forced keys than the budget is a status") {
  oracle::rules r;
  r.sinks = 3;
  r.recent = 3;
  r.k = 5;
  arranged<tka::fp32, tka::form<>> const a(rising(r, 1, 10), {});
  CHECK(select<stored>(a, options_of(r)).status == tka::status::forced_exceeds_budget);
  auto o = options_of(r);
  o.budget = tka::ratio(1, 2, 5);
  CHECK(select<stored>(a, o).status == tka::status::forced_exceeds_budget);
}

TEST_CASE("[tka.budget] more query tokens than keys: the leading ones are empty rows") {
  oracle::rules r;
  r.k = 3;
  auto const got = run(rising(r, 6, 2));
  for (int i = 0; i < 4; ++i) CHECK(got.positions_of(0, 6, 0, i).empty());
  CHECK(got.positions_of(0, 6, 0, 4) == list{0});
  CHECK(got.positions_of(0, 6, 0, 5) == list{0, 1});
}

}  // namespace
