// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stage of a call that is given its selection: entries of lists are checked and moved
/// together.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/import_positions.cuh>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/tuning/block.cuh>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// A block a slot.
template <class Problem>
struct import_positions {
  using problem = Problem;
  using agent = import_positions_agent<Problem>;
  static constexpr char const* name = "import_positions";
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
  [[nodiscard]] static constexpr int bytes(plan const&, plan_numbers const&) noexcept {
    return static_cast<int>(sizeof(typename agent::memory));
  }

  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == block_threads);
    ready();
    agent{s.view, *reinterpret_cast<typename agent::memory*>(s.shared)}.run();
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
