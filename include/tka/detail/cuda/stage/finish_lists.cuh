// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The last stage of a call that does not attend: what stands after the last entry of a list.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/combine_parts.cuh>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/tuning/block.cuh>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// A warp a slot.
template <class Problem>
struct finish_lists {
  using problem = Problem;
  static constexpr char const* name = "finish_lists";
  static constexpr count_of items = count_of::slots;
  static constexpr known shares = known::own;
  static constexpr starts start = starts::after_all;
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
    combine_parts_agent<Problem>{s.view}.run();
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
