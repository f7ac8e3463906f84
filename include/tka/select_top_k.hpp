// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Scoring and selecting without attending.

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

/// Tensors of `select_top_k`; names and shapes as in `attention_tensors`. Outputs that are null
/// are not made. The plan asks for a qk_dim that the backend serves, also where q and k are not
/// read.
template <class Selection, class Precision, class Form>
struct selection_tensors {
  tensor_view<typename Precision::query_type const> q{};  ///< not read with an indexer or
  tensor_view<typename Precision::key_type const> k{};    ///< stored scores; may be null then

  typename Form::kv_source::tensors kv{};
  typename Form::query_source::tensors query{};
  detail::layout_tensors<typename Form::cache_layout> scales{};
  typename Selection::tensors index{};

  std::int32_t const* k_per_sequence = nullptr;
  /// [batch, scope_heads, q_len] both or none: only keys at or before (score, position) in the
  /// order compete. What one shard must keep of a selection that was settled over all shards.
  tensor_view<float const> given_threshold_score{};
  tensor_view<std::int32_t const> given_threshold_position{};

  tensor_view<std::int32_t> positions{};
  tensor_view<std::int32_t> count{};
  tensor_view<float> scores{};
  tensor_view<float> threshold_score{};
  tensor_view<std::int32_t> threshold_position{};
  std::uint32_t* error = nullptr;
};

namespace detail {

template <class Selection, class Precision, class Backend, class Form,
          bool = checked<task::select, Selection, Precision, Backend, Form>::ok>
struct select_top_k_call {};

template <class Selection, class Precision, class Backend, class Form>
  requires(compatible<problem<Selection, Precision, Form, task::select>>::ok)
struct select_top_k_call<Selection, Precision, Backend, Form, true>
    : call<Backend, problem<Selection, Precision, Form, task::select>,
           selection_tensors<Selection, Precision, Form>> {};

}  // namespace detail

/// The selection of `sparse_attention` with the same policies, alone: the same set, bit for bit.
/// `options.scale` is not needed unless heads are combined by softmax.
template <class Selection, class Precision, class Backend, class Form = form<>>
inline constexpr detail::select_top_k_call<Selection, Precision, Backend, Form> select_top_k{};

}  // namespace tka::inline TKA_ABI
