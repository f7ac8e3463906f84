// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The compile-time side of a call, and its tensors as one aggregate for the engines.

#pragma once

#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/form.hpp>
#include <tka/mask.hpp>
#include <tka/plan.hpp>
#include <tka/saved_selection.hpp>
#include <tka/scale_view.hpp>
#include <tka/select/selection_tensors.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>
#include <initializer_list>
#include <type_traits>

namespace tka::inline TKA_ABI::detail {

/// What a call does with its selection.
enum class task : std::int32_t {
  select,         ///< emit it
  select_attend,  ///< emit it if asked for, and attend
  attend,         ///< it is given: attend
  backward,       ///< it is given: gradients of attention
  indexer_loss    ///< it is given: the loss of an indexer, and its gradients
};

/// A call that selects for itself.
[[nodiscard]] constexpr bool makes_selection(task t) noexcept {
  return t == task::select || t == task::select_attend;
}

/// The selection of a call that is given its positions, or what names them.
struct given_positions {
  using selector = given_positions;
  using score_source = no_tensors;
  using tensors = no_tensors;
  using row_numbers = saved_form;
  static constexpr bool is_exact = false;

  saved_form form = saved_form::positions;

  [[nodiscard]] TKA_INLINE constexpr status check() const noexcept {
    bool const known = form == saved_form::positions || form == saved_form::threshold;
    return known ? status::ok : status::invalid_selection;
  }
  [[nodiscard]] TKA_INLINE constexpr row_numbers derive() const noexcept { return form; }
};

/// The selector of a selection, with its numbers.
template <selection_policy Selection>
[[nodiscard]] TKA_INLINE constexpr auto const& selector_of(Selection const& s) noexcept {
  if constexpr (selector_policy<Selection>) {
    return s;
  } else {
    return s.by;
  }
}

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
  static constexpr bool attends = Task != task::select && Task != task::indexer_loss;
  static constexpr bool selects = makes_selection(Task);
  static constexpr bool by_query_key = std::is_same_v<score_source, query_key_scores>;
  static constexpr bool by_index = std::is_same_v<score_source, index_scores>;
  static constexpr bool by_given = std::is_same_v<score_source, given_scores>;
  /// q and k are read.
  static constexpr bool reads_keys = attends || by_query_key;

  /// An indexer scores for all heads unless a scope is named.
  using scope = std::conditional_t<by_index && !Form::scope_given, tka::scope::all_heads,
                                   typename Form::scope>;
  static constexpr bool per_query_head = std::is_same_v<scope, tka::scope::query_head>;
  static constexpr bool per_kv_group = std::is_same_v<scope, tka::scope::kv_group>;
  static constexpr bool per_token = std::is_same_v<scope, tka::scope::all_heads>;

  /// Selections of one query token.
  [[nodiscard]] TKA_INLINE static constexpr std::int32_t scope_heads(shape const& s) noexcept {
    return per_query_head ? s.q_heads : per_kv_group ? s.kv_heads : 1;
  }

  static constexpr bool scope_exists =
      (by_query_key && !per_token) || (by_index && per_token) || by_given || !selects;
  static constexpr bool is_exact = Selection::is_exact;
  /// Every visible key's attention score is computed on the way.
  static constexpr bool sees_all_scores = by_query_key;
};

/// Tells instances of calls apart, so that a plan is not run by another one. Files of one program
/// agree on it, however each is compiled.
template <class Problem>
[[nodiscard]] consteval std::uint64_t instance_of(char const* backend) noexcept {
  std::uint64_t hash = 14695981039346656037ull;
  for (char const* text : {backend, __PRETTY_FUNCTION__}) {
    for (; *text != '\0'; ++text) {
      hash = (hash ^ static_cast<unsigned char>(*text)) * 1099511628211ull;
    }
  }
  return hash;
}

/// Dequantisation scales of k and v.
struct scaled_tensors {
  scale_view k{};
  scale_view v{};
};

template <class View>
struct strided_part;
template <class T>
struct strided_part<tka::tensor_view<T>> {
  using type = strided_view<T>;
};
/// The view that the backends take of a public one.
template <class View>
using strided_of = typename strided_part<View>::type;

template <class Layout>
using layout_tensors =
    std::conditional_t<std::is_same_v<Layout, layout::scaled>, scaled_tensors, no_tensors>;

/// What a selection reads beside q and k, without extents.
template <class Tensors>
struct index_arguments {};
template <class Tensors>
  requires requires(Tensors t) { t.weights; }
struct index_arguments<Tensors> {
  strided_of<decltype(Tensors::q)> q{};
  strided_of<decltype(Tensors::k)> k{};
  strided_of<decltype(Tensors::k_scales)> k_scales{};
  strided_of<decltype(Tensors::weights)> weights{};
};
template <class Tensors>
  requires requires(Tensors t) { t.scores; }
struct index_arguments<Tensors> {
  strided_of<decltype(Tensors::scores)> scores{};
};

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
  index_arguments<typename Problem::selection::tensors> index{};

  mask_tensors mask{};
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

}  // namespace tka::inline TKA_ABI::detail

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// A view for the backends. What was never set counts as 0: it has been checked that it has an
/// extent of 1.
template <class T>
[[nodiscard]] constexpr strided_view<T> strided(strided_view<T> const& v) noexcept {
  auto const set = [](std::int64_t stride) { return stride == unset_stride ? 0 : stride; };
  return {v.data, set(v.batch), set(v.head), set(v.token)};
}

/// The public tensors of a call, by its task.
template <class Problem, class Tensors>
[[nodiscard]] arguments<Problem> arguments_of(Tensors const& t) noexcept {
  arguments<Problem> a{};
  a.q = strided(t.q);
  a.k = strided(t.k);
  a.query = t.query;
  a.kv = t.kv;
  a.scales = t.scales;
  a.error = t.error;
  if constexpr (Problem::attends) {
    a.v = strided(t.v);
    a.o = strided(t.o);
    a.sink_logits = t.sink_logits;
    a.lse = strided(t.lse);
    a.entropy = strided(t.entropy);
  }
  if constexpr (Problem::by_index) {
    a.index = {strided(t.index.q), strided(t.index.k), strided(t.index.k_scales),
               strided(t.index.weights)};
  }
  if constexpr (Problem::by_given) a.index = {strided(t.index.scores)};
  if constexpr (Problem::selects) {
    a.mask = t.mask;
    a.k_per_sequence = t.k_per_sequence;
    a.positions = strided(t.positions);
    a.count = strided(t.count);
    a.scores = strided(t.scores);
    a.threshold_score = strided(t.threshold_score);
    a.threshold_position = strided(t.threshold_position);
  }
  if constexpr (Problem::what == task::select_attend) {
    a.lse_visible = strided(t.lse_visible);
    a.entropy_visible = strided(t.entropy_visible);
    a.retained_mass = strided(t.retained_mass);
  }
  if constexpr (Problem::what == task::select) {
    a.given_threshold_score = strided(t.given_threshold_score);
    a.given_threshold_position = strided(t.given_threshold_position);
  }
  if constexpr (Problem::what == task::attend) {
    a.given_positions = strided(t.positions);
    a.given_count = strided(t.count);
    a.given_threshold_score = strided(t.threshold_score);
    a.given_threshold_position = strided(t.threshold_position);
    a.mask = t.mask;
    a.k_per_sequence = t.k_per_sequence;
  }
  return a;
}

/// Of a call whose tensors are what its engine reads.
template <class Problem, class Tensors>
  requires std::is_base_of_v<Tensors, arguments<Problem>>
[[nodiscard]] arguments<Problem> arguments_of(Tensors const& t) noexcept {
  arguments<Problem> a{t};
  a.each_view([](auto& v) {
    for (std::int64_t* const stride : {&v.batch, &v.head, &v.token}) {
      if (*stride == unset_stride) *stride = 0;
    }
  });
  return a;
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
