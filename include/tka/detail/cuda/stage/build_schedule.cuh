// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stage before all others: the schedule of a call, from the lengths of its sequences.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/build_schedule.cuh>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/tuning/block.cuh>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// One block.
template <class Problem>
struct build_schedule {
  using problem = Problem;
  static constexpr char const* name = "build_schedule";
  static constexpr count_of items = count_of::units;
  static constexpr known shares = known::nothing;
  static constexpr starts start = starts::after_all;
  static constexpr int threads = block_threads;
  static constexpr int resident_blocks = 1;
  static constexpr bool cooperative = false;

  [[nodiscard]] static constexpr bool serves(plan const&) noexcept { return true; }
  [[nodiscard]] static constexpr int blocks(plan const&, plan_numbers const&) noexcept { return 1; }
  [[nodiscard]] static constexpr int bytes(plan const&, plan_numbers const&) noexcept { return 0; }

  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == block_threads);
    ready();
    work_arguments<Problem> const& w = s.w;
    build_schedule_agent<Problem>{w.p, w.n, w.a, w.schedule(), w.pool_words(), w.score_blocks}
        .run();
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
