// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stage that selects: of the keys that compete in a slot the k largest, exactly.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/select.cuh>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/tuning/block.cuh>
#include <tka/detail/cuda/tuning/select.cuh>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// A block a short slot, a team of blocks a long one.
template <class Problem>
struct select {
  using problem = Problem;
  using agent = select_agent<Problem>;
  static constexpr char const* name = "select";
  static constexpr count_of items = count_of::slots;
  static constexpr known shares = known::totals;
  static constexpr starts start = starts::after_all;
  static constexpr int threads = block_threads;
  static constexpr int resident_blocks = max_select_blocks;
  static constexpr bool cooperative = true;
  /// Of shared memory, for slots of which little survives.
  static constexpr int min_bytes = agent::min_bytes;

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool serves(plan const&) noexcept { return true; }
  [[nodiscard]] static constexpr int blocks(plan const&, plan_numbers const& n) noexcept {
    return n.multiprocessors * n.select_blocks;
  }
  [[nodiscard]] static constexpr int bytes(plan const&, plan_numbers const& n) noexcept {
    return n.select_bytes - shares_bytes;
  }

  /// Teams begin with nothing counted. All blocks of the grid.
  __device__ static void clear(work_arguments<Problem> const& w) noexcept {
    std::int64_t const words = w.layout.places - w.layout.teams;
    auto* const memory = reinterpret_cast<uint4*>(w.teams());
    for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < words / 4;
         i += std::int64_t{gridDim.x} * blockDim.x) {
      memory[i] = uint4{};
    }
  }
  /// Forms teams for the wave's long slots among `blocks` that will select. All blocks of the grid.
  __device__ static void arrange(work_arguments<Problem> const& w, wave_view<Problem> const& view,
                                 int blocks) noexcept {
    if (view.shares[count_of::long_slots].all > 0 && blockIdx.x + 1 == gridDim.x &&
        threadIdx.x == 0) {
      w.cut() = agent::cut(view, w.n.select, (w.layout.places - w.layout.teams) / team_words,
                           static_cast<std::uint32_t>(blocks));
    }
  }

  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == block_threads);
    ready();
    agent{s.view, s.w.teams(), s.w.cut(), s.shared, s.bytes}.run();
  }

 private:
  static constexpr std::int64_t team_words = sizeof(team_memory) / 4;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
