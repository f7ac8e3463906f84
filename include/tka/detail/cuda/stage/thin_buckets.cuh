// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stage of `bucketed`: of each bucket of a slot's keys all but the largest leave.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/thin_buckets.cuh>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/tuning/block.cuh>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class Problem>
struct thin_buckets {
  using problem = Problem;
  static constexpr char const* name = "thin_buckets";
  static constexpr count_of items = count_of::chunks;
  static constexpr known shares = known::own;
  static constexpr starts start = starts::after_schedule;
  static constexpr int threads = block_threads;
  static constexpr int resident_blocks = 4;
  static constexpr bool cooperative = false;

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool serves(plan const&) noexcept { return true; }
  [[nodiscard]] static constexpr int blocks(plan const&, plan_numbers const& n) noexcept {
    return n.multiprocessors * resident_blocks;
  }
  [[nodiscard]] static constexpr int bytes(plan const&, plan_numbers const&) noexcept { return 0; }

  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == block_threads);
    ready();
    thin_buckets_agent<Problem>{s.view, s.w.selector}.run();
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
