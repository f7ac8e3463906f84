// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A selector of a user's own, by what a new selector needs on the CPU: a policy, a class that
/// selects, and a line in the list.

#pragma once

#include <tka/backend/cpu.hpp>
#include <tka/select/exact_radix.hpp>

#include <oracle/oracle.hpp>
#include <support/cases.hpp>

#include <cstdint>
#include <type_traits>

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
  void carve_later(tka::detail::arena& memory, tka::plan const& p, std::int32_t keys) noexcept {
    kept_.carve_later(memory, p, keys);
  }
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

namespace user {

/// Of the case that runs.
inline float gate_of_case = 0.0f;

}  // namespace user

namespace support {
template <>
inline user::above_gate selection_of<user::above_gate>(oracle::rules const&) {
  return {user::gate_of_case};
}
}  // namespace support
