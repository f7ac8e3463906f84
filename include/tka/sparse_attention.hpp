// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The one call: score, select the k largest keys, attend over them.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/call.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/form.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp32.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/select/bucketed.hpp>
#include <tka/select/exact_radix.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/select/stored_scores.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// Tensors of one call. Extents are those of the plan; q, k, v and o need bases and outer strides
/// in multiples of 16 bytes. Outputs that are null are not made. o must not overlap an input; v
/// may lie inside k's memory.
template <class Selection, class Precision, class Form>
struct attention_tensors {
  tensor_view<typename Precision::query_type const> q{};  ///< [batch, q_heads, q_len, qk_dim]
  tensor_view<typename Precision::key_type const> k{};    ///< [batch, kv_heads, kv_len, qk_dim]
  tensor_view<typename Precision::value_type const> v{};  ///< [batch, kv_heads, kv_len, v_dim]
  tensor_view<typename Precision::output_type> o{};  ///< [batch, q_heads, q_len, v_dim], written

  typename Form::kv_source::tensors kv{};        ///< lengths and tables of the keys
  typename Form::query_source::tensors query{};  ///< borders and positions of the queries
  detail::layout_tensors<typename Form::cache_layout> scales{};  ///< only layout::scaled
  typename Selection::tensors index{};  ///< what the selection reads beside q and k

  std::int32_t const* k_per_sequence = nullptr;  ///< [batch] budgets, clamped to plan.capacity
  float const* sink_logits = nullptr;  ///< [q_heads] joins the softmax's denominator, not lse

  tensor_view<float> lse{};              ///< [batch, q_heads, q_len] base e, over the selected
  tensor_view<float> entropy{};          ///< [batch, q_heads, q_len] of the selected, in nats
  tensor_view<float> lse_visible{};      ///< the same over all visible keys: metrics::visible
  tensor_view<float> entropy_visible{};  ///< metrics::visible
  tensor_view<float> retained_mass{};    ///< exp(lse - lse_visible): metrics::visible
  /// [batch, scope_heads, q_len, capacity] ascending, -1 behind count
  tensor_view<std::int32_t> positions{};
  tensor_view<std::int32_t> count{};               ///< [batch, scope_heads, q_len]
  tensor_view<float> scores{};                     ///< like positions, -inf behind count
  tensor_view<float> threshold_score{};            ///< [batch, scope_heads, q_len] exact only: the
  tensor_view<std::int32_t> threshold_position{};  ///< last key kept that was not forced
  std::uint32_t* error = nullptr;                  ///< bits of `data_error` are or-ed in
};

namespace detail {

template <class Selection, class Precision, class Backend, class Form,
          bool = checked<task::select_attend, Selection, Precision, Backend, Form>::ok>
struct sparse_attention_call {};  // the sentence of `checked` has been said

template <class Selection, class Precision, class Backend, class Form>
  requires(compatible<problem<Selection, Precision, Form, task::select_attend>>::ok)
struct sparse_attention_call<Selection, Precision, Backend, Form, true>
    : call<Backend, problem<Selection, Precision, Form, task::select_attend>,
           attention_tensors<Selection, Precision, Form>> {};

}  // namespace detail

/// Attention of each query over the keys that `Selection` keeps:
/// o = sum over the selected of softmax(soft_cap(scale * q.k)) * v, in fp32, rounded once.
///
///     constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu>;
///     tka::plan const plan = attend.plan(shape, options, device);
///     tka::status const s = attend(plan, {.q = q, .k = k, .v = v, .o = o}, workspace, executor);
///
/// - Selection: `exact_radix`, `bucketed`, `lightning_indexer<...>`, `stored_scores<...>`.
/// - Precision: `fp32`, `fp16`, `bf16`, `fp8`, `fp8_with<...>`. Sums are fp32.
/// - Backend: `cpu`, `cuda`.
/// - Form: scope, query source, kv source, visibility, cache layout, unit; see `form`.
///
/// Order of keys: larger q.k first, equal ones by smaller position, NaN above all, -inf never. A
/// row without keys gives o = 0, lse = -inf, entropy 0, mass 1, count 0. The same input gives the
/// same bits, alone or in any batch, whatever the bounds, workers and workspace. No allocation, no
/// exception, no global state. What is promised in full: include/tka/contract.md.
template <class Selection, class Precision, class Backend, class Form = form<>>
inline constexpr detail::sparse_attention_call<Selection, Precision, Backend, Form>
    sparse_attention{};

}  // namespace tka::inline TKA_ABI
