// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Selections that a call is given: how a forward pass left them.

#pragma once

#include <tka/config.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// What names the keys of a row.
enum class saved_form : std::int32_t {
  positions,  ///< lists: q_len * capacity numbers a scope head
  threshold,  ///< the last key kept: two numbers a row, and the set is found again by scoring
  visible     ///< nothing is saved: all visible keys
};

/// A selection as `sparse_attention` and `select_top_k` write it. Only the views of the form that
/// was planned for are read.
///
/// positions: -1 and positions outside the sequence are skipped and never read, duplicates count
/// twice, the order is free and is the order of summation.
///
/// threshold: a row's set is its forced keys and the visible keys at or before (score, position) in
/// the order of selection: bit for bit the set that an exact selection made. For that the form,
/// budget, sinks, recent, window, combine, shard, mask and k_per_sequence are those of the call
/// that made it.
struct saved_selection {
  tensor_view<std::int32_t const> positions{};           ///< [batch, scope_heads, q_len, capacity]
  tensor_view<std::int32_t const> count{};               ///< [batch, scope_heads, q_len]
  tensor_view<float const> threshold_score{};            ///< [batch, scope_heads, q_len]
  tensor_view<std::int32_t const> threshold_position{};  ///< [batch, scope_heads, q_len]

  template <class Function>
  void each_view(Function&& function) noexcept {
    function(positions), function(count), function(threshold_score), function(threshold_position);
  }
};

/// In which order the contributions to the gradient of one key are added.
enum class gradient_order : std::int32_t {
  by_row,    ///< rows in order, heads in order: the same bits under any schedule
  unordered  ///< parts of the rows on their own, then the parts: less work where few heads meet
             ///< many threads, more scratch; bits depend on the plan's splits, not on its workers
};

}  // namespace tka::inline TKA_ABI
