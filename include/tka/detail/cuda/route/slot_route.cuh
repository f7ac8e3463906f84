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
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/plan_numbers.cuh>
#include <tka/detail/cuda/work/scratch.cuh>
#include <tka/detail/cuda/work/wave.cuh>
#include <tka/plan.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class T>
struct tag {
  using type = T;
};

/// Shared memory that a stage wants in the kernel of all stages.
template <class Stage>
[[nodiscard]] constexpr int bytes_in_loop(plan const& p, plan_numbers const& n) noexcept {
  using stage = general_variant<Stage>;
  if constexpr (requires { stage::min_bytes; }) {
    return stage::min_bytes;
  } else {
    return stage::bytes(p, n);
  }
}
template <class... Stages>
[[nodiscard]] constexpr int bytes_of_all(stage_list<Stages...>, plan const& p,
                                         plan_numbers const& n) noexcept {
  int most = 0;
  ((most = larger(most, bytes_in_loop<Stages>(p, n))), ...);
  return most;
}
/// Stages use it one after the other.
template <class Problem>
[[nodiscard]] constexpr int loop_bytes(plan const& p, plan_numbers const& n) noexcept {
  return bytes_of_all(typename wave_stages<Problem>::type{}, p, n);
}

/// What the kernels of a call are given; the route adds how many blocks score and select.
template <class Problem>
[[nodiscard]] work_arguments<Problem> work_of(plan const& p, plan_numbers const& n,
                                              arguments<Problem> const& a, void* scratch) noexcept {
  return {.p = p,
          .a = a,
          .g = geometry<Problem>{p},
          .n = n,
          .selector = p.selection.get<typename Problem::selector::row_numbers>(),
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

/// Clears what the later stages of a wave need clear; nothing of the call may have run before in
/// the kernels that still run, but `build_schedule`.
template <class Stage, class Problem>
__device__ void clear_for_one(work_arguments<Problem> const& w) noexcept {
  if constexpr (needs_arranging<Stage>) Stage::clear(w);
}
template <class... Stages, class Problem>
__device__ void clear_for(stage_list<Stages...>, work_arguments<Problem> const& w) noexcept {
  (clear_for_one<Stages>(w), ...);
}
/// Makes ready what they need; `blocks` will select.
template <class Stage, class Problem>
__device__ void arrange_for_one(work_arguments<Problem> const& w, wave_view<Problem> const& view,
                                int blocks) noexcept {
  if constexpr (needs_arranging<Stage>) Stage::arrange(w, view, blocks);
}
template <class... Stages, class Problem>
__device__ void arrange_for(stage_list<Stages...>, work_arguments<Problem> const& w,
                            wave_view<Problem> const& view, int blocks) noexcept {
  (arrange_for_one<Stages>(w, view, blocks), ...);
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
