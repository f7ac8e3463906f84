// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the host can know of the calls that training adds.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/check.hpp>
#include <tka/detail/shared/training_problem.hpp>
#include <tka/options.hpp>
#include <tka/saved_selection.hpp>
#include <tka/shape.hpp>
#include <tka/status.hpp>

#include <cstdint>
#include <limits>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// Options by what names the sets: lists of any kind, a call that selected, or sight alone.
template <class Problem>
[[nodiscard]] constexpr status check_saved_options(options o, training_rules const& by) noexcept {
  if (by.form == saved_form::positions) return check_options<Problem>(o, by);
  if (by.form == saved_form::threshold) {
    bool const joined = Problem::per_kv_group && o.combine == combine::softmax_sum;
    if (!Problem::takes_thresholds || joined) return status::unsupported_call;
  } else {
    o.budget = top_k(std::numeric_limits<std::int32_t>::max());
  }
  return check_options<typename Problem::saved_by>(o, {});
}

/// `served(head_dim)`: the backend multiplies rows of this length.
template <class Problem, class Served>
[[nodiscard]] constexpr status check_training(shape const& s, options const& o,
                                              training_rules const& by, Served&& served) noexcept {
  if (status const st = check_shape<Problem>(s); st != status::ok) return st;
  if (!Problem::has_gradients) return status::unsupported_call;
  if (!served(s.qk_dim) || (Problem::attends && !served(s.v_dim)) ||
      (Problem::by_index && !served(s.index_dim))) {
    return status::unsupported_head_dim;
  }
  if (status const st = by.check(); st != status::ok) return st;
  if (!in_scale_range(o.scale, 0.0f)) return status::invalid_scale;
  return check_saved_options<Problem>(o, by);
}

/// Entries of a list, or the keys that a threshold's call kept at most.
template <class Problem>
[[nodiscard]] constexpr std::int32_t capacity_of_saved(options const& o, shape const& s,
                                                       saved_form form) noexcept {
  switch (form) {
    case saved_form::positions: return capacity_of<Problem>(o, s);
    case saved_form::threshold: return capacity_of<typename Problem::saved_by>(o, s);
    case saved_form::visible: return s.kv_len;
  }
  return 0;
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
