// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// DeepSeek's lightning indexer as a selection policy.

#pragma once

#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/select/selection_tensors.hpp>
#include <tka/tensor_view.hpp>

namespace tka::inline TKA_ABI {

/// Index queries and keys in e4m3.
struct index_fp8 {
  using query_type = float8_e4m3_t;
  using key_type = float8_e4m3_t;
};

/// What stands at the address of an index key.
namespace index_layout {
struct plain {};  ///< rows of the index precision, scales in a view of their own
/// DeepSeek's 132-byte cache: a page holds page_size rows of index_dim e4m3, then page_size fp32
/// scales. `k` is a view of pages (token stride index_dim); needs kv::paged.
struct page_132 {};
}  // namespace index_layout

/// score(t, s) = (sum over index heads j of weight(t, j) * max(q(t, j) . k(s), 0)) * k_scale(s),
/// summed in head order in fp32; one score for all attention heads (scope::all_heads). From
/// DeepSeek-V3.2-Exp, formula (1); there the query's scale and head_dim^-0.5 are folded into the
/// weights, and so they must be here. `Selector` keeps the largest. NaN passes the ReLU.
/// `append` and `quantize_rows` write index keys and queries, with Hadamard rotation and
/// power-of-two scales where asked for.
template <class Selector, class IndexPrecision = index_fp8, class Layout = index_layout::plain>
struct lightning_indexer {
  static_assert(selector_policy<Selector>,
                "tka::lightning_indexer: its first argument must select; use exact_radix or "
                "bucketed");
  using selector = Selector;
  using score_source = detail::index_scores;
  using precision = IndexPrecision;
  using cache_layout = Layout;
  static constexpr bool is_exact = Selector::is_exact;

  struct tensors {
    /// [batch, index_heads, q_len, index_dim]
    tensor_view<typename IndexPrecision::query_type const> q{};
    /// [batch, 1, kv_len, index_dim], located by the kv source
    tensor_view<typename IndexPrecision::key_type const> k{};
    /// [batch, 1, kv_len] one scale a token, located by the kv source; null: 1. Not for page_132.
    tensor_view<float const> k_scales{};
    /// [batch, index_heads, q_len] of any sign; required
    tensor_view<float const> weights{};
  };
};

}  // namespace tka::inline TKA_ABI
