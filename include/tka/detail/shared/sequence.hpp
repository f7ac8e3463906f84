// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One sequence of a call: its lengths and budget as the backend's memory has them, checked.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/plan.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail {

/// One sequence of a call, checked.
struct sequence {
  std::int32_t b = 0;
  std::int32_t queries = 0;  ///< query tokens; 0: skip
  std::int64_t length = 0;   ///< keys of the whole sequence
  std::int32_t k = -1;       ///< from the device, or -1
};

/// Sequence b. `report(data_error)` hears what was wrong; what breaks a rule is excluded.
template <class Problem, class Report>
[[nodiscard]] TKA_HOST_DEVICE sequence sequence_of(plan const& p, arguments<Problem> const& a,
                                                   std::int32_t b, Report&& report) noexcept {
  sequence s{};
  s.b = b;
  s.queries = Problem::query_source::length(a.query, b, p.shape.q_len);
  if (s.queries < 0) {
    report(data_error::query_range_invalid);
    s.queries = 0;
  }
  s.length = Problem::kv_source::length(a.kv, b, p.shape.kv_len);
  if (s.length < 0) {
    report(data_error::length_out_of_bounds);
    s.length = 0;
  }
  if (a.k_per_sequence != nullptr) {
    s.k = a.k_per_sequence[b];
    // More than there are keys is all of them; more than was planned for breaks a rule.
    std::int32_t const most = p.options.budget.k > p.capacity ? p.options.budget.k : p.capacity;
    if (s.k < 0 || s.k > most) report(data_error::budget_out_of_range);
    s.k = s.k < 0 ? 0 : s.k > p.capacity ? p.capacity : s.k;
  }
  return s;
}

/// The keys of query token i of `s`.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE visible_range range_of(plan const& p, arguments<Problem> const& a,
                                                     sequence const& s, std::int32_t i) noexcept {
  std::int64_t const position =
      Problem::query_source::position(a.query, s.b, i, s.queries, s.length);
  return visible_range_of<typename Problem::visibility>(position, s.length, p.options,
                                                        {s.k, p.capacity});
}

}  // namespace tka::inline TKA_ABI::detail
