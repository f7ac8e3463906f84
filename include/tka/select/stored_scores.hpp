// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Selection by scores that the caller has computed.

#pragma once

#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/select/selection_tensors.hpp>
#include <tka/tensor_view.hpp>

#include <type_traits>

namespace tka::inline TKA_ABI {

/// `Selector` over an array of scores in fp32, fp16 or bf16 (`Score`), which order as fp32: for a
/// host's own scoring rule, for reuse, for tests of selection alone. The scope says how many
/// selections a token has (q_heads, kv_heads or one).
template <class Selector, class Score = float>
struct stored_scores {
  static_assert(selector_policy<Selector>,
                "tka::stored_scores: its argument must select; use exact_radix or bucketed");
  static_assert(std::is_same_v<Score, float> || std::is_same_v<Score, float16_t> ||
                    std::is_same_v<Score, bfloat16_t>,
                "tka::stored_scores: scores are float, float16_t or bfloat16_t");
  using selector = Selector;
  using score_source = detail::given_scores;
  static constexpr bool is_exact = Selector::is_exact;

  Selector by{};  ///< the selector with its numbers

  struct tensors {
    tensor_view<Score const> scores{};  ///< [batch, scope_heads, q_len, kv_len]
  };
};

}  // namespace tka::inline TKA_ABI
