// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What must hold on the shipped text, with the numbers.

#pragma once

#include "evaluation.hpp"

#include <string>
#include <vector>

namespace language_model {

struct check {
  std::string rule;
  double measured = 0.0;
  double limit = 0.0;
  bool at_least = false;  ///< else at most

  /// NaN holds nowhere.
  [[nodiscard]] bool holds() const { return at_least ? measured >= limit : measured <= limit; }
};

/// The row of `method` at `percent`.
[[nodiscard]] result const& find(evaluation const& e, std::string const& method, int percent = 0);

[[nodiscard]] std::vector<check> checks(evaluation const& e, double logits_error);

}  // namespace language_model
