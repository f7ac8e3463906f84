// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Visibility, budgets, forced keys and scopes in random mixtures, on scores that are exact.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/oracle_names.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace support;

using tka::form;
using groups = tka::scope::kv_group;
using all = tka::visibility::all;
using window = tka::visibility::sliding_window;

/// Rules that the calls accept: forced keys fit into what is sure of the budget.
template <class Form>
oracle::rules random_rules(random_source& random) {
  oracle::rules r;
  r.kv_heads = static_cast<int>(random.between(1, 3));
  r.q_heads = r.kv_heads * static_cast<int>(random.between(1, 5));
  r.qk_dim = 16 * static_cast<int>(random.between(1, 3));
  r.scope = scope_of<Form>();
  r.combine = random.below(2) == 0 ? oracle::combine::max : oracle::combine::sum;
  r.visibility = visibility_of<Form>();
  r.window = static_cast<int>(random.between(1, 200));
  bool const forces = random.below(2) == 0;
  r.sinks = forces ? static_cast<int>(random.between(0, 5)) : 0;
  r.recent = forces ? static_cast<int>(random.between(0, 20)) : 0;
  int const sure = r.sinks + r.recent + static_cast<int>(random.between(0, 40));
  if (random.below(3) == 0) {
    r.denominator = static_cast<int>(random.between(1, 30));
    r.numerator = static_cast<int>(random.between(0, r.denominator));
    r.k_min = sure;
  } else {
    r.k = sure;
  }
  return r;
}

template <class Form>
void check_random(char const* name) {
  random_source random(name);
  INFO(random);
  int const rounds = fast() ? 15 : 150;
  for (int round = 0; round < rounds; ++round) {
    auto const r = random_rules<Form>(random);
    int const q_len = static_cast<int>(random.between(0, 9));
    std::vector<lengths> sizes;
    for (auto b = random.between(1, 3); b > 0; --b) {
      sizes.push_back(
          {q_len, static_cast<int>(random.between(0, random.below(2) == 0 ? 12 : 400))});
    }
    auto p = make_problem(r, sizes, contents::integers, random);
    if (random.below(3) == 0) {
      for (auto& s : p.sequences) {
        for (int i = 0; i < q_len; ++i) {
          s.query_position.push_back(static_cast<int>(random.between(-3, s.kv_len + 5)));
        }
      }
    }
    CAPTURE(round);
    CAPTURE(q_len);
    arranged<tka::fp32, Form> const a(p, {});
    auto const got = select<tka::exact_radix>(a, options_of(r));
    CHECK(selection_fault(got, p) == "");
    CHECK(got.error == 0u);
    tka::schedule const cut{.workers = static_cast<int>(random.between(1, 7)),
                            .query_tile = static_cast<int>(random.between(1, 64)),
                            .splits = static_cast<int>(random.between(1, 8))};
    auto const other = select<tka::exact_radix>(a, options_of(r), {.schedule = cut});
    CHECK(difference(got, other) == "");
  }
}

TEST_CASE("[tka.scope] [tka.budget] [tka.forced] query_head, all keys visible") {
  check_random<form<all>>("qh all");
}
TEST_CASE("[tka.scope] [tka.budget] [tka.forced] query_head, causal") {
  check_random<form<>>("qh causal");
}
TEST_CASE("[tka.scope] [tka.budget] [tka.forced] query_head, sliding window") {
  check_random<form<window>>("qh window");
}
TEST_CASE("[tka.scope] [tka.budget] [tka.forced] kv_group, all keys visible") {
  check_random<on_backend<form<groups, all>, form<groups>>>("kv all");
}
TEST_CASE("[tka.scope] [tka.budget] [tka.forced] kv_group, causal") {
  check_random<form<groups>>("kv causal");
}
TEST_CASE("[tka.scope] [tka.budget] [tka.forced] kv_group, sliding window") {
  check_random<on_backend<form<groups, window>, form<groups>>>("kv window");
}

}  // namespace
