// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What one query head of a row owes beside its summed values: their scale, and the metrics.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/lse_base.hpp>
#include <tka/detail/shared/softmax_sums.hpp>
#include <tka/options.hpp>
#include <tka/source/location.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// What sums of values weighted by e^(x - max) are multiplied by: 0 for the empty set. A sink logit
/// joins the denominator. `sink_logits` [q_heads] may be null.
template <class Math>
[[nodiscard]] TKA_HOST_DEVICE float output_scale(basic_softmax_sums<Math> const& s,
                                                 float const* sink_logits,
                                                 std::int32_t head) noexcept {
  if (s.empty()) return 0.0f;
  if (sink_logits == nullptr) return 1.0f / s.sum;
  // Both are referred to the larger of both maxima.
  float const sink = sink_logits[head];
  float const largest = sink > s.max ? sink : s.max;
  float const own = Math::exp(s.max - largest);
  return own / (s.sum * own + Math::exp(sink - largest));
}

/// exp(lse - lse_visible), at most 1: both are rounded. 1 where either set is empty; NaN passes.
template <class Math>
[[nodiscard]] TKA_HOST_DEVICE float retained_mass_of(
    basic_softmax_sums<Math> const& selected, basic_softmax_sums<Math> const& visible) noexcept {
  if (selected.empty() || visible.empty()) return 1.0f;
  float const mass = Math::exp_of_lse(selected.lse() - visible.lse());
  return mass > 1.0f ? 1.0f : mass;
}

/// Writes one float a query head, where the caller asked for it.
TKA_HOST_DEVICE inline void put(tensor_view<float> const& view, location at, std::int32_t head,
                                float value) noexcept {
  if (view) *view.at(at.outer, head, at.token) = value;
}

/// Metrics of the selected keys.
template <class Arguments, class Math>
TKA_HOST_DEVICE void put_metrics(Arguments const& a, options const& o, location at,
                                 std::int32_t head,
                                 basic_softmax_sums<Math> const& selected) noexcept {
  put(a.lse, at, head, in_base(o, selected.lse()));
  put(a.entropy, at, head, selected.entropy());
}
/// Metrics that need all visible keys.
template <class Arguments, class Math>
TKA_HOST_DEVICE void put_visible_metrics(Arguments const& a, options const& o, location at,
                                         std::int32_t head,
                                         basic_softmax_sums<Math> const& selected,
                                         basic_softmax_sums<Math> const& visible) noexcept {
  put(a.lse_visible, at, head, in_base(o, visible.lse()));
  put(a.entropy_visible, at, head, visible.entropy());
  put(a.retained_mass, at, head, retained_mass_of(selected, visible));
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
