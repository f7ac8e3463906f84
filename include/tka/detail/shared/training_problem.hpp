// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The compile-time side of the calls that training adds.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/form.hpp>
#include <tka/layout/page_132.hpp>
#include <tka/options.hpp>
#include <tka/saved_selection.hpp>
#include <tka/select/exact_radix.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/status.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail {

/// How a training call meets its selection, as a plan carries it.
struct training_rules {
  using selector = training_rules;
  using score_source = no_tensors;
  using tensors = no_tensors;
  struct row_numbers {
    saved_form form = saved_form::positions;
    gradient_order order = gradient_order::by_row;
    friend constexpr bool operator==(row_numbers const&, row_numbers const&) = default;
  };
  static constexpr bool is_exact = false;

  saved_form form = saved_form::positions;
  gradient_order order = gradient_order::by_row;

  [[nodiscard]] TKA_INLINE constexpr status check() const noexcept {
    bool const known = form >= saved_form::positions && form <= saved_form::visible &&
                       order >= gradient_order::by_row && order <= gradient_order::unordered;
    return known ? status::ok : status::invalid_selection;
  }
  [[nodiscard]] TKA_INLINE constexpr row_numbers derive() const noexcept { return {form, order}; }
};

/// Gradients of attention. `Gradients` is a precision: the types of dq, dk and dv.
template <class Precision, class Gradients, class Form>
struct backward_problem : problem<given_positions, Precision, Form, task::backward> {
  using selection = training_rules;
  using selector = training_rules;
  using gradients = Gradients;
  /// The call whose thresholds it may be given.
  using saved_by = problem<exact_radix, Precision, Form, task::select_attend>;
  static constexpr bool takes_thresholds = saved_by::scope_exists;

  static constexpr bool has_gradients =
      std::is_same_v<typename Form::cache_layout, layout::plain> && !Form::kv_source::has_pages &&
      sizeof(typename Precision::key_type) > 1 && sizeof(typename Precision::value_type) > 1 &&
      sizeof(typename Gradients::query_type) > 1 && sizeof(typename Gradients::key_type) > 1 &&
      sizeof(typename Gradients::value_type) > 1;
};

/// The loss of a lightning indexer and its gradients.
template <class Precision, class IndexPrecision, class Form>
struct indexer_loss_problem
    : problem<lightning_indexer<exact_radix, IndexPrecision>, Precision, Form, task::indexer_loss> {
  using selection = training_rules;
  using selector = training_rules;
  using index_precision = IndexPrecision;
  using saved_by =
      problem<lightning_indexer<exact_radix, IndexPrecision>, Precision, Form, task::select>;
  static constexpr bool takes_thresholds = true;

  static constexpr bool has_gradients =
      std::is_same_v<typename Form::cache_layout, layout::plain> && !Form::kv_source::has_pages &&
      sizeof(typename Precision::key_type) > 1 && sizeof(typename IndexPrecision::key_type) > 1;
};

}  // namespace tka::inline TKA_ABI::detail
