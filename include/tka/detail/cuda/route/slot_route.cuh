// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What routes over stages and slots have in common: their arguments, their kernels' prologues, and
/// the sizes of their scratch.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/stage/list.cuh>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/work/geometry.cuh>
#include <tka/detail/cuda/work/plan_numbers.cuh>
#include <tka/detail/cuda/work/scratch.cuh>
#include <tka/detail/cuda/work/wave.cuh>
#include <tka/plan.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// What the kernels of a call are given; the route adds how many blocks score and select.
template <class Problem>
[[nodiscard]] work_arguments<Problem> work_of(plan const& p, plan_numbers const& n,
                                              arguments<Problem> const& a,
                                              void* scratch) noexcept {
  return {.p = p,
          .a = a,
          .g = geometry<Problem>{p},
          .n = n,
          .selector = selector_numbers_of<Problem>(p),
          .layout = scratch_layout_of<Problem>(p, n),
          .scratch = static_cast<std::uint32_t*>(scratch),
          .scratch_words = static_cast<std::int64_t>(p.scratch_bytes / 4),
          .score_blocks = 0,
          .select_blocks = 0,
          .loop_bytes = loop_bytes<Problem>(p, n),
          .lists = a.positions || a.scores || a.count || a.threshold_score || a.threshold_position,
          .first_wave_done = false};
}

/// Whatever the lengths are, scratch holds all slots at once.
template <class Problem>
[[nodiscard]] constexpr bool one_wave(plan const& p, plan_numbers const& n) noexcept {
  auto const words = static_cast<std::int64_t>(p.scratch_bytes / 4);
  return max_words_of_slots<Problem>(p) <=
         static_cast<double>(words - scratch_layout_of<Problem>(p, n).slots);
}

/// use(tag of Stage) for each stage of a list, in order.
template <class T>
struct tag {
  using type = T;
};
template <class... Stages, class Use>
TKA_HOST_DEVICE constexpr void each_stage(stage_list<Stages...>, Use&& use) noexcept {
  (use(tag<Stages>{}), ...);
}

/// Clears what the later stages of a wave need clear; nothing of the call may have run before in
/// the kernels that still run, but `build_schedule`.
template <class... Stages, class Problem>
__device__ void clear_for(stage_list<Stages...>, work_arguments<Problem> const& w) noexcept {
  auto const one = [&](auto t) {
    using stage = typename decltype(t)::type;
    if constexpr (needs_arranging<stage>) stage::clear(w);
  };
  (one(tag<Stages>{}), ...);
}
/// Makes ready what they need; `blocks` will select.
template <class... Stages, class Problem>
__device__ void arrange_for(stage_list<Stages...>, work_arguments<Problem> const& w,
                            wave_view<Problem> const& view, int blocks) noexcept {
  auto const one = [&](auto t) {
    using stage = typename decltype(t)::type;
    if constexpr (needs_arranging<stage>) stage::arrange(w, view, blocks);
  };
  (one(tag<Stages>{}), ...);
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
