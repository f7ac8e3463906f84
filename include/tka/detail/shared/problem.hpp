// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The compile-time side of a call, and its tensors as one aggregate for the engines.

#pragma once

#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/form.hpp>
#include <tka/plan.hpp>
#include <tka/scale_view.hpp>
#include <tka/select/selection_tensors.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail {

/// What a call does with its selection.
enum class task : std::int32_t {
  select,         ///< emit it
  select_attend,  ///< emit it if asked for, and attend
  attend          ///< it is given: attend
};

/// The selection of a call that is given its positions.
struct given_positions {
  using selector = given_positions;
  using score_source = no_tensors;
  using tensors = no_tensors;
  static constexpr bool is_exact = false;
};

template <class Selection, class Precision, class Form, task Task>
struct problem {
  using selection = Selection;
  using selector = typename Selection::selector;
  using score_source = typename Selection::score_source;
  using precision = Precision;
  using form = Form;
  using query_source = typename Form::query_source;
  using kv_source = typename Form::kv_source;
  using visibility = typename Form::visibility;
  using cache_layout = typename Form::cache_layout;

  static constexpr task what = Task;
  static constexpr bool attends = Task != task::select;
  static constexpr bool selects = Task != task::attend;
  static constexpr bool by_query_key = std::is_same_v<score_source, query_key_scores>;
  static constexpr bool by_index = std::is_same_v<score_source, index_scores>;
  static constexpr bool by_given = std::is_same_v<score_source, given_scores>;

  /// An indexer scores for all heads unless a scope is named.
  using scope = std::conditional_t<by_index && !Form::scope_given, tka::scope::all_heads,
                                   typename Form::scope>;
  static constexpr bool per_query_head = std::is_same_v<scope, tka::scope::query_head>;
  static constexpr bool per_kv_group = std::is_same_v<scope, tka::scope::kv_group>;
  static constexpr bool per_token = std::is_same_v<scope, tka::scope::all_heads>;

  /// Selections of one query token.
  [[nodiscard]] static constexpr std::int32_t scope_heads(shape const& s) noexcept {
    return per_query_head ? s.q_heads : per_kv_group ? s.kv_heads : 1;
  }

  static constexpr bool scope_exists =
      (by_query_key && !per_token) || (by_index && per_token) || by_given || !selects;
  static constexpr bool is_exact = Selection::is_exact;
  /// Every visible key's attention score is computed on the way.
  static constexpr bool sees_all_scores = by_query_key;
};

/// Dequantisation scales of k and v.
struct scaled_tensors {
  scale_view k{};
  scale_view v{};
};

template <class Layout>
using layout_tensors =
    std::conditional_t<std::is_same_v<Layout, layout::scaled>, scaled_tensors, no_tensors>;

/// Everything that any call can be given; what one call lacks stays null.
template <class Problem>
struct arguments {
  using precision = typename Problem::precision;

  tensor_view<typename precision::query_type const> q{};
  tensor_view<typename precision::key_type const> k{};
  tensor_view<typename precision::value_type const> v{};
  tensor_view<typename precision::output_type> o{};
  typename Problem::query_source::tensors query{};
  typename Problem::kv_source::tensors kv{};
  layout_tensors<typename Problem::cache_layout> scales{};
  typename Problem::selection::tensors index{};

  std::int32_t const* k_per_sequence = nullptr;
  float const* sink_logits = nullptr;
  tensor_view<std::int32_t const> given_positions{};
  tensor_view<std::int32_t const> given_count{};
  tensor_view<float const> given_threshold_score{};
  tensor_view<std::int32_t const> given_threshold_position{};

  tensor_view<float> lse{};
  tensor_view<float> entropy{};
  tensor_view<float> lse_visible{};
  tensor_view<float> entropy_visible{};
  tensor_view<float> retained_mass{};
  tensor_view<std::int32_t> positions{};
  tensor_view<std::int32_t> count{};
  tensor_view<float> scores{};
  tensor_view<float> threshold_score{};
  tensor_view<std::int32_t> threshold_position{};
  std::uint32_t* error = nullptr;
};

/// The public tensors of a call, by its task.
template <class Problem, class Tensors>
[[nodiscard]] arguments<Problem> arguments_of(Tensors const& t) noexcept {
  arguments<Problem> a{};
  a.q = t.q;
  a.k = t.k;
  a.query = t.query;
  a.kv = t.kv;
  a.scales = t.scales;
  a.error = t.error;
  if constexpr (Problem::attends) {
    a.v = t.v;
    a.o = t.o;
    a.sink_logits = t.sink_logits;
    a.lse = t.lse;
    a.entropy = t.entropy;
  }
  if constexpr (Problem::selects) {
    a.index = t.index;
    a.k_per_sequence = t.k_per_sequence;
    a.positions = t.positions;
    a.count = t.count;
    a.scores = t.scores;
    a.threshold_score = t.threshold_score;
    a.threshold_position = t.threshold_position;
  }
  if constexpr (Problem::what == task::select_attend) {
    a.lse_visible = t.lse_visible;
    a.entropy_visible = t.entropy_visible;
    a.retained_mass = t.retained_mass;
  }
  if constexpr (Problem::what == task::select) {
    a.given_threshold_score = t.given_threshold_score;
    a.given_threshold_position = t.given_threshold_position;
  }
  if constexpr (Problem::what == task::attend) {
    a.given_positions = t.positions;
    a.given_count = t.count;
  }
  return a;
}

}  // namespace tka::inline TKA_ABI::detail
