// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Masks that a host brings beside the visibility of the form.

#pragma once

#include <tka/config.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// What each query row may see, further cut down; all in the backend's memory, each null where it
/// is not used. A key must pass all of them and the form's visibility. What a mask hides is never
/// scored, selected, forced or counted in a ratio. Positions stay those of the cache.
struct mask_tensors {
  /// [batch] the first visible key of each sequence: left padding. Sinks count from it.
  std::int32_t const* first = nullptr;
  /// [batch, 1, q_len] keys before it are hidden from the row: chunked attention, packed documents.
  /// (Ragged queries: [1, 1, total tokens], here and below.)
  tensor_view<std::int32_t const> row_begin{};
  /// [batch, 1, q_len] keys from it on are hidden from the row: prefix-LM with visibility::all.
  tensor_view<std::int32_t const> row_end{};
  /// [batch, 1, q_len] the last `draft_keys` keys of a sequence are drafts: bit i of a row's word
  /// says whether it sees the i-th of them (trees of speculative decoding). Not with a shard.
  tensor_view<std::uint64_t const> drafts{};
  std::int32_t draft_keys = 0;  ///< 0..64
};

}  // namespace tka::inline TKA_ABI
