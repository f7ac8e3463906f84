// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Attending over positions that the caller gives.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/call.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/form.hpp>
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
  tensor_view<std::int32_t const> positions{};  ///< [batch, scope_heads, q_len, capacity] read
  tensor_view<std::int32_t const> count{};      ///< [batch, scope_heads, q_len] read

  typename Form::kv_source::tensors kv{};
  typename Form::query_source::tensors query{};
  detail::layout_tensors<typename Form::cache_layout> scales{};
  float const* sink_logits = nullptr;

  tensor_view<float> lse{};
  tensor_view<float> entropy{};
  std::uint32_t* error = nullptr;
};

namespace detail {

template <class Precision, class Backend, class Form,
          bool = checked<task::attend, given_positions, Precision, Backend, Form>::ok>
struct attend_selected_call {};

template <class Precision, class Backend, class Form>
  requires(compatible<problem<given_positions, Precision, Form, task::attend>>::ok)
struct attend_selected_call<Precision, Backend, Form, true>
    : call<Backend, problem<given_positions, Precision, Form, task::attend>,
           attend_tensors<Precision, Form>> {};

}  // namespace detail

/// Attention over given positions, for selections that are reused, replayed or made elsewhere.
/// `options.budget` must be `top_k(capacity)`: how many entries a list has. Only the range is
/// checked: -1 and positions outside the sequence are skipped and never read; duplicates count
/// twice; the order is free and is the order of summation. Visibility is the caller's.
template <class Precision, class Backend, class Form = form<>>
inline constexpr detail::attend_selected_call<Precision, Backend, Form> attend_selected{};

}  // namespace tka::inline TKA_ABI
