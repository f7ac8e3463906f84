// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Attending over positions that the caller gives.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/call.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/form.hpp>
#include <tka/mask.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp32.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// Tensors of `attend_selected`; names and shapes as in `attention_tensors`.
template <class Precision, class Form>
struct attend_tensors {
  tensor_view<typename Precision::query_type const> q{};
  tensor_view<typename Precision::key_type const> k{};
  tensor_view<typename Precision::value_type const> v{};
  tensor_view<typename Precision::output_type> o{};
  // One form of a saved selection, the one planned for; see `saved_selection`.
  tensor_view<std::int32_t const> positions{};  ///< [batch, scope_heads, q_len, capacity] read
  /// [batch, scope_heads, q_len] entries of each list; null: all `capacity` (-1 where there is
  /// none)
  tensor_view<std::int32_t const> count{};
  tensor_view<float const> threshold_score{};            ///< [batch, scope_heads, q_len] read
  tensor_view<std::int32_t const> threshold_position{};  ///< [batch, scope_heads, q_len] read

  typename Form::kv_source::tensors kv{};
  typename Form::query_source::tensors query{};
  detail::layout_tensors<typename Form::cache_layout> scales{};
  mask_tensors mask{};                           ///< only with thresholds
  std::int32_t const* k_per_sequence = nullptr;  ///< [batch] only with thresholds
  float const* sink_logits = nullptr;

  tensor_view<float> lse{};
  tensor_view<float> entropy{};
  std::uint32_t* error = nullptr;
};

}  // namespace tka::inline TKA_ABI

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

template <class Precision, class Backend, class Form,
          bool = checked<task::attend, given_positions, Precision, Backend, Form>::ok>
struct attend_selected_call {};

template <class Precision, class Backend, class Form>
  requires(compatible<problem<given_positions, Precision, Form, task::attend>>::ok)
struct attend_selected_call<Precision, Backend, Form, true>
    : call<Backend, problem<given_positions, Precision, Form, task::attend>,
           attend_tensors<Precision, Form>> {};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD

namespace tka::inline TKA_ABI::inline TKA_BUILD {

/// Attention over given positions, for selections that are reused, replayed or made elsewhere.
/// `options.budget` must be `top_k(capacity)`: how many entries a list has. Only the range is
/// checked: -1 and positions outside the sequence are skipped and never read; duplicates count
/// twice; the order is free and is the order of summation. Visibility is the caller's.
///
/// With `plan(shape, options, device, {.form = saved_form::threshold})` a row's set is named by its
/// threshold instead and found again by scoring: the same bits as over the positions. Options are
/// then those of the call that made the thresholds. Scopes query_head and kv_group, on the CPU;
/// else `status::unsupported_call`.
template <class Precision, class Backend, class Form = form<>>
inline constexpr detail::attend_selected_call<Precision, Backend, Form> attend_selected{};

}  // namespace tka::inline TKA_ABI::inline TKA_BUILD
