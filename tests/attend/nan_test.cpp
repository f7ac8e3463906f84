// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A NaN or an infinity touches the rows that look at it, and no other.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/rows.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using namespace support;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr settings visible{.metrics = tka::metrics::visible};

oracle::rules rules() {
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  r.qk_dim = 32;
  r.v_dim = 32;
  r.k = 20;
  r.scale = 0.25;
  return r;
}

float& k_of(oracle::problem& p, int head, int position, int d) {
  auto& s = p.sequences[0];
  return s.k[static_cast<std::size_t>((head * s.kv_len + position) * p.rules.qk_dim + d)];
}
float& v_of(oracle::problem& p, int head, int position, int d) {
  auto& s = p.sequences[0];
  return s.v[static_cast<std::size_t>((head * s.kv_len + position) * p.rules.v_dim + d)];
}
float& q_of(oracle::problem& p, int head, int token, int d) {
  auto& s = p.sequences[0];
  return s.q[static_cast<std::size_t>((head * s.q_len + token) * p.rules.qk_dim + d)];
}

bool row_is_nan(results const& r, std::size_t b, int q_len, int head, int token, int v_dim) {
  auto const row = static_cast<std::size_t>(head * q_len + token);
  auto const begin = r.sequences[b].o.begin() + static_cast<std::ptrdiff_t>(row) * v_dim;
  return std::all_of(begin, begin + v_dim, [](float x) { return std::isnan(x); }) &&
         std::isnan(r.sequences[b].lse[row]);
}

template <class Precision>
results run(oracle::problem const& p) {
  arranged<Precision, tka::form<>> const a(p, {});
  auto const got = attend<tka::exact_radix>(a, options_of(p.rules), visible);
  REQUIRE(fault(got) == "");
  return got;
}

template <class Precision>
void check_nan_query(float poison) {
  random_source random("nan query");
  auto p = make_problem(rules(), {{4, 300}, {4, 40}}, contents::normal, random);
  round_to<Precision>(p);
  auto const clean = run<Precision>(p);
  q_of(p, 1, 2, 5) = poison;
  auto const got = run<Precision>(p);
  CHECK(row_is_nan(got, 0, 4, 1, 2, 32));
  for (int h = 0; h < 4; ++h) {
    for (int i = 0; i < 4; ++i) {
      if (h == 1 && i == 2) continue;
      auto const row = static_cast<std::size_t>(h * 4 + i);
      CHECK(std::equal(clean.sequences[0].o.begin() + static_cast<std::ptrdiff_t>(row * 32),
                       clean.sequences[0].o.begin() + static_cast<std::ptrdiff_t>(row * 32 + 32),
                       got.sequences[0].o.begin() + static_cast<std::ptrdiff_t>(row * 32)));
      CHECK(clean.sequences[0].lse_visible[row] == got.sequences[0].lse_visible[row]);
    }
  }
  CHECK(attention_difference(clean.sequences[1], got.sequences[1]) == "");
  // All scores are NaN: the first keys win.
  auto const kept = got.positions_of(0, 4, 1, 2);
  REQUIRE(kept.size() == 20);
  CHECK(kept.front() == 0);
  CHECK(kept.back() == 19);
}

TEST_CASE("[tka.nan] a NaN in a query makes its row NaN and no other") {
  check_nan_query<tka::fp32>(nan);
  check_nan_query<tka::fp32>(-nan);
  check_nan_query<tka::bf16>(nan);
}

template <class Precision>
void check_nan_key() {
  random_source random("nan key");
  auto p = make_problem(rules(), {{6, 300}, {6, 40}}, contents::normal, random);
  round_to<Precision>(p);
  auto const clean = run<Precision>(p);
  // Key 297 is seen by query tokens 3, 4 and 5 of key head 1 only.
  k_of(p, 1, 297, 7) = nan;
  auto const got = run<Precision>(p);
  for (int h = 0; h < 4; ++h) {
    for (int i = 0; i < 6; ++i) {
      bool const sees = h >= 2 && i >= 3;
      CAPTURE(h);
      CAPTURE(i);
      CHECK(row_is_nan(got, 0, 6, h, i, 32) == sees);
      auto const kept = got.positions_of(0, 6, h, i);
      if (sees) CHECK(std::find(kept.begin(), kept.end(), 297) != kept.end());
      if (!sees) CHECK(clean.positions_of(0, 6, h, i) == kept);
    }
  }
  for (int i = 0; i < 3; ++i) CHECK(row_difference({clean, 0, 6, i}, {got, 0, 6, i}) == "");
  CHECK(attention_difference(clean.sequences[1], got.sequences[1]) == "");
}

TEST_CASE("[tka.nan] a NaN in a key makes the rows NaN that see it") {
  check_nan_key<tka::fp32>();
  check_nan_key<on_backend<tka::fp16, tka::bf16>>();
}

TEST_CASE("[tka.nan] also under a soft cap and beside a sink logit") {
  random_source random("nan cap");
  auto r = rules();
  r.soft_cap = 10.0;
  r.sink_logits = {0.0, 1.0, 2.0, 3.0};
  auto p = make_problem(r, {{1, 100}}, contents::normal, random);
  k_of(p, 0, 50, 0) = nan;
  auto const got = run<tka::fp32>(p);
  CHECK(row_is_nan(got, 0, 1, 0, 0, 32));
  CHECK(row_is_nan(got, 0, 1, 1, 0, 32));
  CHECK_FALSE(row_is_nan(got, 0, 1, 2, 0, 32));
}

TEST_CASE("[tka.unselected] values that are not selected may be NaN or infinite") {
  random_source random("unselected v");
  for (float const poison : {nan, inf, -inf}) {
    auto p = make_problem(rules(), {{2, 400}}, contents::normal, random);
    auto const clean = run<tka::fp32>(p);
    for (int kv_head = 0; kv_head < 2; ++kv_head) {
      for (int j = 0; j < 400; ++j) {
        bool kept = false;
        for (int h = kv_head * 2; h < kv_head * 2 + 2; ++h) {
          for (int i = 0; i < 2; ++i) {
            auto const list = clean.positions_of(0, 2, h, i);
            kept = kept || std::find(list.begin(), list.end(), j) != list.end();
          }
        }
        for (int d = 0; d < 32 && !kept; ++d) v_of(p, kv_head, j, d) = poison;
      }
    }
    CHECK(difference(clean, run<tka::fp32>(p)) == "");
  }
}

TEST_CASE("[tka.unselected] invisible keys and values may be NaN or infinite") {
  random_source random("invisible");
  auto r = rules();
  r.visibility = oracle::visibility::sliding_window;
  r.window = 100;
  r.sinks = 2;
  using form = tka::form<tka::visibility::sliding_window>;
  auto p = make_problem(r, {{1, 400}}, contents::normal, random);
  arranged<tka::fp32, form> const before(p, {});
  auto const clean = attend<tka::exact_radix>(before, options_of(r), visible);
  REQUIRE(fault(clean) == "");
  for (float const poison : {nan, inf}) {
    for (int head = 0; head < 2; ++head) {
      for (int j = 2; j < 300; ++j) {
        for (int d = 0; d < 32; ++d) {
          k_of(p, head, j, d) = poison;
          v_of(p, head, j, d) = poison;
        }
      }
    }
    arranged<tka::fp32, form> const after(p, {});
    CHECK(difference(clean, attend<tka::exact_radix>(after, options_of(r), visible)) == "");
  }
}

TEST_CASE("[tka.minus_inf] keys with a score of -inf are not attended") {
  random_source random("minus inf");
  auto p = make_problem(rules(), {{1, 60}}, contents::normal, random);
  for (int h = 0; h < 4; ++h) q_of(p, h, 0, 0) = 1.0f;
  for (int j = 0; j < 60; ++j) {
    if (j % 5 != 0) k_of(p, 0, j, 0) = -inf;
    k_of(p, 1, j, 0) = -inf;
  }
  auto const got = run<tka::fp32>(p);
  for (int h = 0; h < 2; ++h) {
    auto const kept = got.positions_of(0, 1, h, 0);
    CHECK(kept.size() == 12);
    CHECK(std::all_of(kept.begin(), kept.end(), [](int j) { return j % 5 == 0; }));
    // What is left out has no weight: nothing was lost.
    CHECK(got.sequences[0].retained_mass[static_cast<std::size_t>(h)] ==
          doctest::Approx(1.0).epsilon(1e-5));
  }
  for (std::size_t h = 2; h < 4; ++h) {
    CHECK(got.sequences[0].count[h] == 0);
    CHECK(got.sequences[0].lse[h] == -inf);
    CHECK(got.sequences[0].retained_mass[h] == 1.0f);
    CHECK(got.sequences[0].o[h * 32] == 0.0f);
  }
}

TEST_CASE("[tka.nan] +inf scores give NaN rows, as in dense attention") {
  random_source random("plus inf");
  auto p = make_problem(rules(), {{1, 60}}, contents::normal, random);
  for (int h = 0; h < 4; ++h) q_of(p, h, 0, 0) = 1.0f;
  k_of(p, 0, 13, 0) = inf;
  auto const got = run<tka::fp32>(p);
  CHECK(row_is_nan(got, 0, 1, 0, 0, 32));
  CHECK_FALSE(row_is_nan(got, 0, 1, 2, 0, 32));
}

}  // namespace
