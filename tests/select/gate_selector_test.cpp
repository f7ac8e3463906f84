// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A selector of a user's own in every call.

#include <tka/attend_selected.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/select_top_k.hpp>
#include <tka/sparse_attention.hpp>

#include <oracle/oracle.hpp>
#include <support/arranged.hpp>
#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>
#include <select/gate_selector.hpp>

#include <cstdint>
#include <vector>

namespace {

using namespace support;

static_assert(tka::selector_policy<user::above_gate>);

/// Row by row what passes the gate, the k largest of it.
template <class Selection>
void check_gate(oracle::rules const& r, float gate, char const* name) {
  random_source random(name);
  INFO(random);
  user::gate_of_case = gate;
  auto const p = make_problem(r, {{4, 700}, {4, 3}, {4, 150}}, contents::integers, random);
  arranged<tka::fp32, tka::form<>> const a(p, {});
  auto const got = attend<Selection>(a, options_of(r));
  REQUIRE(fault(got) == "");
  lists expected(p.sequences.size());
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    auto const& s = p.sequences[b];
    for (int h = 0; h < r.scope_heads(); ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        auto const largest = oracle::select(r, s, i, h);
        auto& list = expected[b].emplace_back();
        for (std::size_t n = 0; n < largest.positions.size(); ++n) {
          if (largest.scores[n] >= static_cast<double>(gate)) list.push_back(largest.positions[n]);
        }
      }
    }
  }
  CHECK(lists_of(got, p) == expected);
  auto const split = attend<Selection>(
      a, options_of(r), {.schedule = tka::schedule{.workers = 3, .query_tile = 1, .splits = 5}});
  CHECK(difference(got, split) == "");
}

TEST_CASE("a selector of a user's own selects in every call, over every score source") {
  oracle::rules r{.q_heads = 4, .kv_heads = 2, .qk_dim = 16};
  for (float const gate : {-1000.0f, 0.0f, 12.0f, 1000.0f}) {
    CAPTURE(gate);
    r.k = 40;
    check_gate<user::above_gate>(r, gate, "gate");
    oracle::rules stored = r;
    stored.score = oracle::score::stored;
    check_gate<tka::stored_scores<user::above_gate>>(stored, gate, "gate of stored scores");
  }
}

}  // namespace
