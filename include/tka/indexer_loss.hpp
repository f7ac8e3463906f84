// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How a lightning indexer learns: its loss against the attention that it selects for.

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

/// Tensors of one call; names and shapes as in `attention_tensors`. Outputs that are null are not
/// made. Keys and rows of no sequence are not written.
template <class Precision, class IndexPrecision, class Form>
struct indexer_loss_tensors {
  /// Inputs of the indexer; names as in `lightning_indexer`, scales folded in.
  struct index_tensors {
    tensor_view<typename IndexPrecision::query_type const>
        q{};  ///< [batch, index_heads, q_len, index_dim]
    tensor_view<typename IndexPrecision::key_type const> k{};  ///< [batch, 1, kv_len, index_dim]
    tensor_view<float const> weights{};                        ///< [batch, index_heads, q_len]
  };

  tensor_view<typename Precision::query_type const> q{};  ///< of the attention
  tensor_view<typename Precision::key_type const> k{};
  /// [batch, q_heads, q_len] of the attention over the same sets: `lse` of a forward pass over the
  /// saved selection, `lse_visible` for saved_form::visible.
  tensor_view<float const> lse{};
  index_tensors index{};

  typename Form::kv_source::tensors kv{};
  typename Form::query_source::tensors query{};
  saved_selection saved{};  ///< of one scope head, in the form that was planned for
  mask_tensors mask{};      ///< as in the forward pass; not with positions
  std::int32_t const* k_per_sequence = nullptr;  ///< [batch] only with thresholds
  float const* sink_logits = nullptr;            ///< [q_heads] as in the forward pass
  tensor_view<float const> d_loss{};  ///< [batch, 1, q_len] what follows the loss; null: 1

  tensor_view<float> loss{};       ///< [batch, 1, q_len] in nats, written
  tensor_view<float> d_index_q{};  ///< [batch, index_heads, q_len, index_dim] written
  tensor_view<float> d_index_k{};  ///< [batch, 1, kv_len, index_dim] written
  tensor_view<float> d_weights{};  ///< [batch, index_heads, q_len] written
  std::uint32_t* error = nullptr;  ///< bits of `data_error` are or-ed in
};

namespace detail {

template <class Precision, class IndexPrecision, class Form>
struct arguments<indexer_loss_problem<Precision, IndexPrecision, Form>>
    : indexer_loss_tensors<Precision, IndexPrecision, Form> {
  template <class Function>
  void each_view(Function&& function) noexcept {
    function(this->q), function(this->k), function(this->lse), function(this->index.q);
    function(this->index.k), function(this->index.weights), function(this->d_loss);
    function(this->loss), function(this->d_index_q), function(this->d_index_k);
    function(this->d_weights), this->saved.each_view(function);
  }
};

}  // namespace detail

}  // namespace tka::inline TKA_ABI

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

template <class Precision, class IndexPrecision, class Backend, class Form,
          bool = checked<task::indexer_loss, given_positions, Precision, Backend, Form>::ok>
struct indexer_loss_call {};

template <class Precision, class IndexPrecision, class Backend, class Form>
struct indexer_loss_call<Precision, IndexPrecision, Backend, Form, true>
    : call<Backend, indexer_loss_problem<Precision, IndexPrecision, Form>,
           indexer_loss_tensors<Precision, IndexPrecision, Form>> {};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD

namespace tka::inline TKA_ABI::inline TKA_BUILD {

/// The loss of a lightning indexer, row by row, and its gradients (DeepSeek-V3.2, formulas 3 and
/// 4): loss = KL(p || softmax(I)) over the keys of the row's set, where I are the scores of
/// `lightning_indexer` without key scales, and p the attention of all heads, summed and normalised.
/// The attention is held constant.
///
///     constexpr auto loss = tka::indexer_loss<tka::bf16, tka::fp32, tka::cpu>;
///     tka::plan const plan = loss.plan(shape, options, device,
///                                      {.form = tka::saved_form::visible});  // warm-up: dense
///
/// - `options`: scale and soft_cap of the attention; with thresholds, which are of index scores,
///   those of the call that selected; with positions `budget = top_k(capacity)`.
/// - plan's last argument: as in `sparse_attention_backward`.
/// - A row without keys has loss 0 and gradients 0. A key that is in no set has gradient exactly 0.
/// - Two scores a row and pair are made, none is kept: nothing of q_len * kv_len.
/// - Keys of the index in fp32, fp16, bf16, layout::plain over contiguous or ragged keys, on the
///   CPU; else `status::unsupported_call`.
template <class Precision, class IndexPrecision, class Backend, class Form = form<>>
inline constexpr detail::indexer_loss_call<Precision, IndexPrecision, Backend, Form> indexer_loss{};

}  // namespace tka::inline TKA_ABI::inline TKA_BUILD
