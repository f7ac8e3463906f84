// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The score source of a problem: the one place that asks which it is.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/score/given.hpp>
#include <tka/detail/shared/score/index.hpp>
#include <tka/detail/shared/score/query_key.hpp>
#include <tka/select/selection_tensors.hpp>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

template <class Problem, class Scores>
struct score_source;
template <class Problem>
struct score_source<Problem, query_key_scores> {
  using type = query_key_source<Problem>;
};
template <class Problem>
struct score_source<Problem, index_scores> {
  using type = index_source<Problem>;
};
template <class Problem>
struct score_source<Problem, given_scores> {
  using type = given_source<Problem>;
};
template <class Problem>
struct score_source<Problem, no_tensors> {
  using type = no_source<Problem>;
};

template <class Problem>
using score_source_t = typename score_source<Problem, typename Problem::score_source>::type;

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
