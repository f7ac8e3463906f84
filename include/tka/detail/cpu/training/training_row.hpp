// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What one pass over a row is told, and what it wants.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/lse_base.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/options.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// One query token against the keys of one head.
struct training_row {
  sequence const& of;
  std::int32_t head;
  std::int32_t token;
};

/// A pass may make the gradients of its row, add to those of its keys, or both.
struct wants {
  bool rows;
  bool keys;
};

/// An lse that a forward pass wrote, as a natural logarithm.
[[nodiscard]] inline float natural_lse(options const& o, float lse) noexcept {
  return o.lse_base == lse_base::two ? lse * log_of_2 : lse;
}

/// What differentiating the softmax of one head takes.
struct softmax_row {
  float lse;    ///< of its denominator
  float delta;  ///< dO . O
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
