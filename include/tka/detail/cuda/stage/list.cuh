// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stages of a problem, in order; the only place that says so. A new selector is a line in
/// `selector_stages`.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/stage/attend.cuh>
#include <tka/detail/cuda/stage/build_schedule.cuh>
#include <tka/detail/cuda/stage/draw_fidelity.cuh>
#include <tka/detail/cuda/stage/finish_lists.cuh>
#include <tka/detail/cuda/stage/import_positions.cuh>
#include <tka/detail/cuda/stage/join_heads.cuh>
#include <tka/detail/cuda/stage/score.cuh>
#include <tka/detail/cuda/stage/select.cuh>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/stage/thin_buckets.cuh>
#include <tka/select/bucketed.hpp>
#include <tka/select/exact_radix.hpp>
#include <tka/select/fidelity.hpp>

#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// From scores to lists, by selector.
template <class Selector, class Problem>
struct selector_stages;  // no CUDA stage exists for this selector
// clang-format off
template <class P> struct selector_stages<exact_radix, P> { using type = stage_list<select<P>>; };
template <class P> struct selector_stages<bucketed, P> { using type = stage_list<thin_buckets<P>, select<P>>; };
template <class P> struct selector_stages<synthetic_fidelity, P> { using type = stage_list<draw_fidelity<P>, select<P>>; };
// clang-format on

/// From lists to outputs.
template <class Problem>
using last_stages = std::conditional_t<Problem::attends, stage_list<attend<Problem>>,
                                       stage_list<finish_lists<Problem>>>;

/// After `build_schedule`, which comes once a call, the stages of each wave.
template <class Problem>
struct wave_stages {
  using type = typename joined_lists<
      stage_list<score<Problem>>,
      std::conditional_t<joins_heads<Problem>,
                         stage_list<measure_heads<Problem>, join_heads<Problem>>, stage_list<>>,
      typename selector_stages<typename Problem::selector, Problem>::type,
      last_stages<Problem>>::type;
};
template <class Problem>
  requires(!Problem::selects)
struct wave_stages<Problem> {
  using type =
      typename joined_lists<stage_list<import_positions<Problem>>, last_stages<Problem>>::type;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
