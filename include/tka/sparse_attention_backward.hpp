// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Gradients of attention over a saved selection.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/call.hpp>
#include <tka/detail/shared/training_problem.hpp>
#include <tka/form.hpp>
#include <tka/mask.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp32.hpp>
#include <tka/saved_selection.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// Tensors of one backward pass; names and shapes as in `attention_tensors`. Outputs that are null
/// are not made, and overlap nothing. Keys and rows of no sequence are not written.
template <class Precision, class Gradients, class Form>
struct backward_tensors {
  tensor_view<typename Precision::query_type const> q{};
  tensor_view<typename Precision::key_type const> k{};
  tensor_view<typename Precision::value_type const> v{};
  tensor_view<typename Precision::output_type const> o{};    ///< as the forward pass wrote it
  tensor_view<typename Precision::output_type const> d_o{};  ///< [batch, q_heads, q_len, v_dim]
  tensor_view<float const> lse{};  ///< [batch, q_heads, q_len] over the selected, without the sink

  typename Form::kv_source::tensors kv{};
  typename Form::query_source::tensors query{};
  saved_selection saved{};                       ///< in the form that was planned for
  mask_tensors mask{};                           ///< as in the forward pass; not with positions
  std::int32_t const* k_per_sequence = nullptr;  ///< [batch] only with thresholds
  float const* sink_logits = nullptr;            ///< [q_heads] as in the forward pass

  tensor_view<typename Gradients::query_type> dq{};  ///< [batch, q_heads, q_len, qk_dim] written
  tensor_view<typename Gradients::key_type> dk{};    ///< [batch, kv_heads, kv_len, qk_dim] written
  tensor_view<typename Gradients::value_type> dv{};  ///< [batch, kv_heads, kv_len, v_dim] written
  float* d_sink_logits = nullptr;                    ///< [q_heads] written
  std::uint32_t* error = nullptr;                    ///< bits of `data_error` are or-ed in
};

namespace detail {

template <class Precision, class Gradients, class Form>
struct arguments<backward_problem<Precision, Gradients, Form>>
    : backward_tensors<Precision, Gradients, Form> {
  template <class Function>
  void each_view(Function&& function) noexcept {
    function(this->q), function(this->k), function(this->v), function(this->o);
    function(this->d_o), function(this->lse), function(this->dq), function(this->dk);
    function(this->dv), this->saved.each_view(function);
  }
};

}  // namespace detail

}  // namespace tka::inline TKA_ABI

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

template <class Precision, class Backend, class Form, class Gradients,
          bool = checked<task::backward, given_positions, Precision, Backend, Form>::ok&&
              checked<task::backward, given_positions, Gradients, Backend, Form>::ok>
struct backward_call {};

template <class Precision, class Backend, class Form, class Gradients>
  requires(compatible<backward_problem<Precision, Gradients, Form>>::ok)
struct backward_call<Precision, Backend, Form, Gradients, true>
    : call<Backend, backward_problem<Precision, Gradients, Form>,
           backward_tensors<Precision, Gradients, Form>> {};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD

namespace tka::inline TKA_ABI::inline TKA_BUILD {

/// Gradients of `sparse_attention` with its selection held constant, from o, d_o, lse and the saved
/// selection: through softmax, soft-cap, scale and sink logits, in fp32, rounded once to the types
/// of `Gradients`, which is a precision (default: that of the inputs; fp32 keeps the sums).
///
///     constexpr auto backward = tka::sparse_attention_backward<tka::bf16, tka::cpu>;
///     tka::plan const plan = backward.plan(shape, options, device,
///                                          {.form = tka::saved_form::threshold});
///     tka::status const s = backward(plan, {.q = q, ..., .dq = dq, .dk = dk, .dv = dv},
///     workspace);
///
/// - plan's last argument: `form`, what names the sets (positions with
///   `options.budget = top_k(capacity)`; thresholds with the options of the forward pass; visible,
///   which is dense attention's backward); `order`, a `gradient_order`: by_row is the default.
/// - Every key of a sequence is written: gradients of keys never selected are exactly 0. A NaN
/// stays
///   in the row, and in the keys that the row selected. An empty row has gradients 0.
/// - Scratch holds sums for the keys and a float a row and head: nothing of q_len * kv_len.
/// - by_row: the sum of a key is a chain over rows, then heads, in order; bits depend on nothing
///   else. Where key heads are fewer than threads, scores are made twice for it; unordered makes
///   them once, and bits then depend on `plan.schedule.splits`.
/// - A shard of a sequence gives its keys' whole gradients and its part of dq, from the o and lse
///   that were merged over all shards; each gives the whole of d_sink_logits.
/// - Gradients of fp32, fp16, bf16 in layout::plain over contiguous or ragged keys, on the CPU;
///   else `status::unsupported_call`.
template <class Precision, class Backend, class Form = form<>, class Gradients = Precision>
inline constexpr detail::backward_call<Precision, Backend, Form, Gradients>
    sparse_attention_backward{};

}  // namespace tka::inline TKA_ABI::inline TKA_BUILD
