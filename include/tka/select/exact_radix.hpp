// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The selection policy that keeps exactly the k largest keys.

#pragma once

#include <tka/config.hpp>
#include <tka/select/selection_tensors.hpp>

namespace tka::inline TKA_ABI {

/// Exactly the k keys with the largest scores, for every input: larger first, equal scores by
/// smaller position, NaN above +inf, -inf never, by a radix select over the ordered bits of the
/// scores. Nothing is ever dropped silently, however many keys are equal. Deterministic, O(n) a
/// row.
struct exact_radix {
  using selector = exact_radix;
  using score_source = detail::query_key_scores;
  using tensors = detail::no_tensors;
  static constexpr bool is_exact = true;
};

}  // namespace tka::inline TKA_ABI
