// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A selector of a user's own, by what a new selector needs on the CPU: a policy, a class that
/// selects, and a line in the list. Every call takes it then, with every score source.

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

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

// 1: the policy. Keys whose score is at least a gate; of more than k the k largest.
namespace user {

struct above_gate {
  using selector = above_gate;
  using score_source = tka::detail::query_key_scores;
  using tensors = tka::detail::no_tensors;
  using row_numbers = float;
  static constexpr bool is_exact = false;

  float gate = 0.0f;

  [[nodiscard]] constexpr tka::status check() const noexcept {
    return gate == gate ? tka::status::ok : tka::status::invalid_selection;
  }
  [[nodiscard]] constexpr row_numbers derive() const noexcept { return gate; }
};

// 2: what selects on the CPU, here with the help of another.
class gate_selection {
  using exact = tka::detail::cpu::exact_selection;
  using scratch = tka::detail::cpu::radix_scratch;

 public:
  void carve(tka::detail::arena& memory, tka::plan const& p) noexcept { kept_.carve(memory, p); }
  void reset(tka::plan const& p, tka::detail::cpu::selection_row const& row) noexcept {
    gate_ = tka::detail::to_ordered(p.selection.get<above_gate::row_numbers>());
    kept_.reset(p, row);
  }
  void push_tile(tka::detail::ordered_key const* key, std::int32_t count, std::int32_t first,
                 scratch const& memory) noexcept {
    tka::detail::ordered_key passing[tka::detail::cpu::tile_keys];
    for (std::int32_t i = 0; i < count; ++i) {
      passing[i] = key[i] >= gate_ ? key[i] : tka::detail::key_of_nothing;
    }
    kept_.push_tile(passing, count, first, memory);
  }
  void absorb(gate_selection const& later, scratch const& memory) noexcept {
    kept_.absorb(later.kept_, memory);
  }
  [[nodiscard]] std::int32_t finish(std::int32_t keep, scratch const& memory) noexcept {
    return kept_.finish(keep, memory);
  }
  [[nodiscard]] tka::detail::ordered_key const* key() const noexcept { return kept_.key(); }
  [[nodiscard]] std::int32_t const* index() const noexcept { return kept_.index(); }

 private:
  exact kept_;
  tka::detail::ordered_key gate_ = 0;
};

}  // namespace user

// 3: the line.
template <>
struct tka::detail::cpu::selection_of<user::above_gate> : std::type_identity<user::gate_selection> {
};

namespace {
float gate_of_case = 0.0f;
}  // namespace

namespace support {
template <>
user::above_gate selection_of<user::above_gate>(oracle::rules const&) {
  return {gate_of_case};
}
}  // namespace support

namespace {

using namespace support;

static_assert(tka::selector_policy<user::above_gate>);

/// Row by row what passes the gate, the k largest of it.
template <class Selection>
void check_gate(oracle::rules const& r, float gate, char const* name) {
  random_source random(name);
  INFO(random);
  gate_of_case = gate;
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
