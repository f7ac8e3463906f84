// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a selection reads beside q and k, laid out for an arranged problem.

#pragma once

#include <tka/options.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/select/stored_scores.hpp>

#include <oracle/oracle.hpp>
#include <support/arranged.hpp>
#include <support/buffers.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace support {

/// What a selection reads beside q and k.
template <class Selection>
struct index_inputs {
  template <class Arranged>
  explicit index_inputs(Arranged const&) {}
  typename Selection::tensors tensors() const { return {}; }
};

template <class Selector>
struct index_inputs<tka::stored_scores<Selector>> {
  template <class Arranged>
  explicit index_inputs(Arranged const& a) {
    auto const& p = a.problem();
    std::int64_t longest = 1;
    for (std::size_t b = 0; b < p.sequences.size(); ++b) {
      longest = std::max(longest, static_cast<std::int64_t>(a.local_keys(b).size()));
    }
    scores = tensor<float>(a.q_places(), p.rules.scope_heads(), longest, order::hnd);
    for (std::size_t b = 0; b < p.sequences.size(); ++b) {
      auto const& s = p.sequences[b];
      for (int h = 0; h < p.rules.scope_heads(); ++h) {
        for (int i = 0; i < s.q_len; ++i) {
          float* row = scores.at(a.q_places().at[b][static_cast<std::size_t>(i)], h);
          for (int const j : a.local_keys(b)) {
            *row++ =
                s.stored[static_cast<std::size_t>((std::int64_t{h} * s.q_len + i) * s.kv_len + j)];
          }
        }
      }
    }
  }
  typename tka::stored_scores<Selector>::tensors tensors() const { return {scores.view()}; }
  tensor<float> scores;
};

template <class Selector, class IndexPrecision>
struct index_inputs<tka::lightning_indexer<Selector, IndexPrecision>> {
  template <class Arranged>
  explicit index_inputs(Arranged const& a) {
    auto const& p = a.problem();
    auto const& r = p.rules;
    q = tensor<typename IndexPrecision::query_type>(a.q_places(), r.index_heads, r.index_dim,
                                                    a.how().q);
    k = tensor<typename IndexPrecision::key_type>(a.kv_places(), 1, r.index_dim, a.how().kv);
    k_scales = tensor<float>(a.kv_places(), 1, 1, order::hnd);
    weights = tensor<float>(a.q_places(), r.index_heads, 1, order::hnd);
    for (std::size_t b = 0; b < p.sequences.size(); ++b) {
      auto const& s = p.sequences[b];
      auto const all = Arranged::all_tokens(s.q_len);
      auto const& q_at = a.q_places().at[b];
      auto const& kv_at = a.kv_places().at[b];
      auto const& own = a.local_keys(b);
      Arranged::put(s.index_q, r.index_heads, s.q_len, r.index_dim, q_at, all, q);
      Arranged::put(s.index_k, 1, s.kv_len, r.index_dim, kv_at, own, k);
      Arranged::put(s.index_k_scale, 1, s.kv_len, 1, kv_at, own, k_scales);
      Arranged::put(s.index_weight, r.index_heads, s.q_len, 1, q_at, all, weights);
    }
  }
  typename tka::lightning_indexer<Selector, IndexPrecision>::tensors tensors() const {
    return {q.view(), k.view(), k_scales.view(), weights.view()};
  }
  tensor<typename IndexPrecision::query_type> q;
  tensor<typename IndexPrecision::key_type> k;
  tensor<float> k_scales;
  tensor<float> weights;
};

/// Pages of 132 bytes a token (with 128 dimensions): rows first, then their scales.
template <class Selector, class IndexPrecision>
struct index_inputs<tka::lightning_indexer<Selector, IndexPrecision, tka::index_layout::page_132>> {
  using key_type = typename IndexPrecision::key_type;
  static_assert(sizeof(key_type) == 1);

  template <class Arranged>
  explicit index_inputs(Arranged const& a) : plain(a) {
    auto const& p = a.problem();
    dim = p.rules.index_dim;
    page_bytes = a.how().page_size * (dim + 4);
    k = buffer<key_type>(static_cast<std::size_t>(a.kv_places().outer_count * page_bytes));
    for (std::size_t b = 0; b < p.sequences.size(); ++b) {
      for (tka::location const at : a.kv_places().at[b]) {
        key_type* const page = k.data() + at.outer * page_bytes;
        std::memcpy(static_cast<void*>(page + at.token * dim), plain.k.at(at, 0),
                    static_cast<std::size_t>(dim));
        std::memcpy(static_cast<void*>(page + a.how().page_size * dim + 4 * at.token),
                    plain.k_scales.at(at, 0), 4);
      }
    }
  }
  typename tka::lightning_indexer<Selector, IndexPrecision, tka::index_layout::page_132>::tensors
  tensors() const {
    return {
        .q = plain.q.view(), .k = {k.data(), page_bytes, 0, dim}, .weights = plain.weights.view()};
  }
  index_inputs<tka::lightning_indexer<Selector, IndexPrecision>> plain;
  std::int64_t dim = 0;
  std::int64_t page_bytes = 0;
  buffer<key_type> k;
};

}  // namespace support
