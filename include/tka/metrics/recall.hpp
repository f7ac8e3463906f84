// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How much of one selection another one has.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// The share of `reference` that `selected` holds; both ascending and without duplicates, as calls
/// emit them. 1 for an empty reference. For selections of equal size this is the retrieval
/// precision of arXiv 2512.03494.
[[nodiscard]] constexpr double recall(std::int32_t const* selected, std::int32_t selected_count,
                                      std::int32_t const* reference,
                                      std::int32_t reference_count) noexcept {
  if (reference_count <= 0) return 1.0;
  std::int32_t found = 0;
  for (std::int32_t i = 0, j = 0; i < selected_count && j < reference_count;) {
    if (selected[i] == reference[j]) {
      ++found;
      ++i;
      ++j;
    } else if (selected[i] < reference[j]) {
      ++i;
    } else {
      ++j;
    }
  }
  return static_cast<double>(found) / reference_count;
}

}  // namespace tka::inline TKA_ABI
