// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Selection by scores that the caller has computed.

#pragma once

#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/select/selection_tensors.hpp>
#include <tka/tensor_view.hpp>

namespace tka::inline TKA_ABI {

/// `Selector` over an array of fp32 scores: for a host's own scoring rule, for reuse, for tests of
/// selection alone. The scope says how many selections a token has (q_heads, kv_heads or one).
template <class Selector>
struct stored_scores {
  static_assert(selector_policy<Selector>,
                "tka::stored_scores: its argument must select; use exact_radix or bucketed");
  using selector = Selector;
  using score_source = detail::given_scores;
  static constexpr bool is_exact = Selector::is_exact;

  struct tensors {
    tensor_view<float const> scores{};  ///< [batch, scope_heads, q_len, kv_len]
  };
};

}  // namespace tka::inline TKA_ABI
