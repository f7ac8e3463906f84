// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// synthetic_fidelity: its sets, told from the exact ranking and the draws.

#include <tka/select/fidelity.hpp>
#include <tka/select_top_k.hpp>

#include <oracle/oracle.hpp>
#include <support/arranged.hpp>
#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>
#include <select/fidelity_policy.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

using namespace support;
using select_tests::tested;

using set = std::vector<int>;

/// Competing keys of a row, largest first, and how many forced ones take room in front of them.
struct ranked {
  set order;
  set forced;
};

ranked rank(oracle::rules const& r, oracle::sequence const& s, int i, int h) {
  auto const visible = oracle::visible_positions(r, s, i);
  auto const scores = oracle::selection_scores(r, s, i, h, visible);
  auto const forced = oracle::forced_positions(r, s, i);
  std::vector<std::size_t> places;
  ranked out;
  for (std::size_t n = 0; n < visible.size(); ++n) {
    if (std::isinf(scores[n]) && scores[n] < 0.0) continue;
    if (std::find(forced.begin(), forced.end(), visible[n]) != forced.end()) {
      out.forced.push_back(visible[n]);
    } else {
      places.push_back(n);
    }
  }
  std::stable_sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) {
    return oracle::is_larger(scores[a], scores[b]);
  });
  for (std::size_t const n : places) out.order.push_back(visible[n]);
  return out;
}

/// The `count` first of `from`, by their draws.
set drawn(set from, int count, std::uint64_t stream) {
  std::stable_sort(from.begin(), from.end());
  std::stable_sort(from.begin(), from.end(), [&](int a, int b) {
    return tka::fidelity_numbers::draw(stream, a) > tka::fidelity_numbers::draw(stream, b);
  });
  from.resize(static_cast<std::size_t>(count));
  return from;
}

/// The set of one row, from its ranking. Every backend must find it: nothing here is rounded but
/// the share.
set expected_set(ranked const& row, int budget, tka::synthetic_fidelity by, std::uint64_t stream) {
  int const keys = static_cast<int>(row.order.size());
  int const top = std::min(budget - static_cast<int>(row.forced.size()), keys);
  int const wanted = static_cast<int>(std::lround(static_cast<double>(by.precision) * top));
  int const kept = std::max(wanted, top - (keys - top));
  set const best(row.order.begin(), row.order.begin() + top);
  set const others(row.order.begin() + top, row.order.end());
  set out = drawn(best, kept, stream);
  set const fillers = by.fill == tka::fill::random
                          ? drawn(others, top - kept, stream)
                          : set(others.begin(), others.begin() + (top - kept));
  out.insert(out.end(), fillers.begin(), fillers.end());
  out.insert(out.end(), row.forced.begin(), row.forced.end());
  std::sort(out.begin(), out.end());
  return out;
}

template <class Form>
void check_sets(char const* name, oracle::rules const& r, contents what) {
  random_source random(name);
  INFO(random);
  auto const p = make_problem(r, {{4, 300}, {4, 3}, {4, 1}, {4, 129}}, what, random);
  arranged<tka::fp32, Form> const a(p, {});
  auto const got = select<tka::synthetic_fidelity>(a, options_of(r));
  REQUIRE(fault(got) == "");
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    auto const& s = p.sequences[b];
    for (int h = 0; h < r.scope_heads(); ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        auto const stream = tested.derive().stream(s.position_of_query(i), h);
        CHECK(got.positions_of(b, s.q_len, h, i) ==
              expected_set(rank(r, s, i, h), oracle::budget_of(r, s, i), tested, stream));
      }
    }
  }
  // Splits, tiles and workers decide nothing.
  auto const cut = select<tka::synthetic_fidelity>(
      a, options_of(r), {.schedule = tka::schedule{.workers = 3, .query_tile = 2, .splits = 4}});
  CHECK(difference(got, cut) == "");
}

TEST_CASE("[tka.fidelity] synthetic_fidelity keeps its share of the true top and fills up") {
  oracle::rules r{.q_heads = 4, .kv_heads = 2, .qk_dim = 16};
  for (tka::fill const fill : {tka::fill::next_ranked, tka::fill::random}) {
    for (float const precision : {0.0f, 0.25f, 0.6f, 1.0f}) {
      tested = {.precision = precision, .fill = fill, .seed = 7};
      CAPTURE(precision);
      for (int const k : {0, 1, 10, 100, 160, 299, 400}) {
        CAPTURE(k);
        r.k = k;
        check_sets<tka::form<>>("fidelity", r, contents::integers);
      }
    }
  }
}

TEST_CASE("[tka.fidelity] [tka.forced] [tka.scope] synthetic_fidelity beside forced keys") {
  oracle::rules r{.q_heads = 6, .kv_heads = 2, .qk_dim = 16};
  r.scope = oracle::scope::kv_group;
  r.visibility = oracle::visibility::sliding_window;
  r.window = 70;
  r.sinks = 3;
  r.recent = 5;
  r.k = 30;
  for (tka::fill const fill : {tka::fill::next_ranked, tka::fill::random}) {
    tested = {.precision = 0.5f, .fill = fill, .seed = 1};
    check_sets<tka::form<tka::scope::kv_group, tka::visibility::sliding_window>>(
        "fidelity forced", r, contents::integers);
  }
}

TEST_CASE("[tka.fidelity] synthetic_fidelity of 1 is exact_radix, and a seed decides the rest") {
  random_source random("fidelity seeds");
  INFO(random);
  oracle::rules r{.q_heads = 2, .kv_heads = 1, .qk_dim = 16};
  r.k = 64;
  auto const p = make_problem(r, {{8, 2000}}, contents::normal, random);
  arranged<tka::fp32, tka::form<>> const a(p, {});
  auto const run = [&](tka::synthetic_fidelity by) {
    tested = by;
    return lists_of(select<tka::synthetic_fidelity>(a, options_of(r)), p);
  };
  auto const exact = lists_of(select<tka::exact_radix>(a, options_of(r)), p);
  CHECK(run({.precision = 1.0f}) == exact);
  CHECK(run({.precision = 1.0f, .fill = tka::fill::random, .seed = 3}) == exact);
  auto const one = run({.precision = 0.5f, .fill = tka::fill::random, .seed = 3});
  CHECK(one == run({.precision = 0.5f, .fill = tka::fill::random, .seed = 3}));
  CHECK(one != run({.precision = 0.5f, .fill = tka::fill::random, .seed = 4}));
}

TEST_CASE("[tka.fidelity] draws are splitmix64's, even, and apart for every seed, query and head") {
  // The first number of the published generator from the state 0.
  CHECK(tka::fidelity_numbers::draw(0, 0) ==
        static_cast<std::int32_t>(0xe220a8397b1dcdafull >> 33));
  tka::fidelity_numbers const other = tka::synthetic_fidelity{.seed = 1}.derive();
  CHECK(other.stream(5, 0) != tka::fidelity_numbers{}.stream(5, 0));
  CHECK(other.stream(5, 0) != other.stream(6, 0));
  CHECK(other.stream(5, 0) != other.stream(5, 1));
  // Of 200 rows with the same ranking each of the 20 true keys stays in about half.
  tka::fidelity_numbers const numbers = tka::synthetic_fidelity{.precision = 0.5f}.derive();
  int above = 0;
  for (int row = 0; row < 200; ++row) {
    for (int j = 0; j < 20; ++j) {
      above += tka::fidelity_numbers::draw(numbers.stream(row, 0), j) >= (1 << 30) ? 1 : 0;
    }
  }
  // 4000 fair coins: five standard deviations are 158.
  CHECK(above > 2000 - 158);
  CHECK(above < 2000 + 158);
}

TEST_CASE("[tka.status] synthetic_fidelity out of range is a status") {
  constexpr auto call = tka::select_top_k<tka::synthetic_fidelity, tka::fp32, backend>;
  tka::shape const s{.q_heads = 1, .kv_heads = 1, .kv_len = 10, .qk_dim = 16, .v_dim = 16};
  tka::options const o{.budget = tka::top_k(4), .scale = 1.0f};
  for (float const wrong : {-0.1f, 1.1f, NAN}) {
    CHECK(call.supported(s, o, device_of(), {.precision = wrong}) ==
          tka::status::invalid_selection);
  }
  CHECK(call.supported(s, o, device_of(), {.fill = static_cast<tka::fill>(9)}) ==
        tka::status::invalid_selection);
}

}  // namespace
