// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Scores that the caller has computed.

#pragma once

#include <tka/config.hpp>
#include <tka/options.hpp>
#include <tka/shape.hpp>
#include <tka/source/location.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// A stored row of scores for each selection. Members: see `query_key_source`.
template <class Problem>
struct given_source {
  static constexpr bool by_products = false;
  static constexpr bool each_head = false;
  static constexpr bool is_attention_score = false;
  static constexpr bool has_key_factor = false;

  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t scan_heads(shape const& s) noexcept {
    return Problem::scope_heads(s);
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t score_heads(shape const&) noexcept {
    return 1;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t dim(shape const&) noexcept {
    return 0;
  }
  /// [kv_len] the scores of one token, in their own type, by local index.
  template <class Arguments>
  [[nodiscard]] TKA_HOST_DEVICE static auto const* score_row(Arguments const& a, location query,
                                                             std::int32_t scan_head) noexcept {
    return a.index.scores.at(query.outer, scan_head, query.token);
  }
};

/// Where the selection itself is given: nothing is scored to select.
template <class Problem>
struct no_source {
  static constexpr bool by_products = false;
  static constexpr bool each_head = false;
  static constexpr bool is_attention_score = false;
  static constexpr bool has_key_factor = false;

  /// Units of `attend_selected` are those of its key heads.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t scan_heads(shape const& s) noexcept {
    return s.kv_heads;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t score_heads(shape const&) noexcept {
    return 1;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t dim(shape const&) noexcept {
    return 0;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
