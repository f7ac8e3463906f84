// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Every pointer in the tensors of a call. One that is forgotten here stays a pointer of the host,
/// and the kernel faults on it.

#pragma once

#include <tka/tensor_view.hpp>

namespace support {

/// The borders, lengths and tables of queries and keys.
template <class Sources, class Function>
void each_source_pointer(Sources& t, Function const& function) {
  if constexpr (requires { t.lengths; }) function(t.lengths);
  if constexpr (requires { t.block_table; }) function(t.block_table);
  if constexpr (requires { t.table_begin; }) function(t.table_begin);
  if constexpr (requires { t.cumulative; }) function(t.cumulative);
  if constexpr (requires { t.positions; }) function(t.positions);
}

/// What a selection reads beside q and k.
template <class Index, class Function>
void each_index_pointer(Index& t, Function const& function) {
  if constexpr (requires { t.q; }) function(t.q.data);
  if constexpr (requires { t.k; }) function(t.k.data);
  if constexpr (requires { t.k_scales; }) function(t.k_scales.data);
  if constexpr (requires { t.weights; }) function(t.weights.data);
  if constexpr (requires { t.scores; }) function(t.scores.data);
}

/// Calls `function(pointer&)` for every pointer of `t`, the tensors of any call.
template <class Tensors, class Function>
void each_pointer(Tensors& t, Function const& function) {
  function(t.q.data);
  function(t.k.data);
  if constexpr (requires { t.v; }) function(t.v.data);
  if constexpr (requires { t.o; }) function(t.o.data);
  each_source_pointer(t.kv, function);
  each_source_pointer(t.query, function);
  if constexpr (requires { t.scales.k; }) {
    function(t.scales.k.data);
    function(t.scales.v.data);
  }
  if constexpr (requires { t.index; }) each_index_pointer(t.index, function);
  if constexpr (requires { t.k_per_sequence; }) function(t.k_per_sequence);
  if constexpr (requires { t.sink_logits; }) function(t.sink_logits);
  if constexpr (requires { t.given_threshold_score; }) {
    function(t.given_threshold_score.data);
    function(t.given_threshold_position.data);
  }
  if constexpr (requires { t.lse; }) {
    function(t.lse.data);
    function(t.entropy.data);
  }
  if constexpr (requires { t.lse_visible; }) {
    function(t.lse_visible.data);
    function(t.entropy_visible.data);
    function(t.retained_mass.data);
  }
  function(t.positions.data);
  function(t.count.data);
  if constexpr (requires { t.scores; }) {
    function(t.scores.data);
    function(t.threshold_score.data);
    function(t.threshold_position.data);
  }
  function(t.error);
}

}  // namespace support
