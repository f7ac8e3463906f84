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
  if (!(finite(o.scale) && o.scale > 0.0f)) return status::invalid_scale;
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

template <class Problem>
[[nodiscard]] status check_training_tensors(plan const& p, arguments<Problem> const& a) noexcept {
  if (p.shape.q_len > 0) {
    bool const keys = p.shape.kv_len > 0;
    if (!a.q || !a.lse || (keys && !a.k)) return status::null_pointer;
    if (!a.saved.complete(p.selection.get<training_rules::row_numbers>().form)) {
      return status::null_pointer;
    }
    if (!Problem::query_source::complete(a.query) || !Problem::kv_source::complete(a.kv)) {
      return status::null_pointer;
    }
    if constexpr (Problem::what == task::backward) {
      if (!a.o || !a.d_o || (keys && !a.v)) return status::null_pointer;
    } else {
      if (!a.index.q || !a.index.weights || (keys && !a.index.k)) return status::null_pointer;
    }
  }
  if (!aligned(a.q) || !aligned(a.k)) return status::misaligned;
  if constexpr (Problem::what == task::backward) {
    if (a.d_sink_logits != nullptr && a.sink_logits == nullptr) return status::null_pointer;
    if (!aligned(a.v) || !aligned(a.o) || !aligned(a.d_o)) return status::misaligned;
    if (!aligned(a.dq) || !aligned(a.dk) || !aligned(a.dv)) return status::misaligned;
  } else {
    if (!aligned(a.index.q) || !aligned(a.index.k)) return status::misaligned;
    if (!aligned(a.d_index_q) || !aligned(a.d_index_k)) return status::misaligned;
  }
  return status::ok;
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
