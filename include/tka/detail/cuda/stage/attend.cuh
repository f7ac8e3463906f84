// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stage that attends: softmax over lists and sums of their values, part by part. Who comes
/// last to a slot writes its outputs.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/attend.cuh>
#include <tka/detail/cuda/agent/sum_values.cuh>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/tuning/block.cuh>

#include <type_traits>
#include <utility>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class Problem>
struct attend_variant {
  using problem = Problem;
  static constexpr count_of items = count_of::attends;
  static constexpr starts start = starts::after_schedule;
  static constexpr bool cooperative = false;

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool serves(plan const&) noexcept { return true; }
};

/// The block works on one part: keys are scored again where their scores were not kept.
template <class Problem>
struct attend_by_block : attend_variant<Problem> {
  using agent = attend_agent<Problem>;
  static constexpr char const* name = "attend";
  static constexpr known shares = known::own;
  static constexpr int threads = block_threads;
  static constexpr int resident_blocks = agent::resident_blocks;

  [[nodiscard]] static constexpr int blocks(plan const&, plan_numbers const& n) noexcept {
    return n.multiprocessors * resident_blocks;
  }
  [[nodiscard]] static constexpr int bytes(plan const&, plan_numbers const& n) noexcept {
    return agent::bytes(agent::buffers_of(n.buffers));
  }
  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == threads);
    agent{s.view, *reinterpret_cast<typename agent::memory*>(s.shared),
          agent::buffers_of(s.w.n.buffers)}
        .run(std::forward<Ready>(ready));
  }
};

/// Warps work alone, each on parts of its own: only the second product remains.
template <class Problem, int Threads_, int Depth>
struct sum_values : attend_variant<Problem> {
  using agent = sum_values_agent<Problem, Threads_ / 32, Depth>;
  static constexpr char const* name = "sum_values";
  static constexpr known shares = known::totals;
  static constexpr int threads = Threads_;
  static constexpr int resident_blocks = 4;

  [[nodiscard]] static constexpr int blocks(plan const&, plan_numbers const& n) noexcept {
    return n.multiprocessors * resident_blocks;
  }
  [[nodiscard]] static constexpr int bytes(plan const&, plan_numbers const&) noexcept {
    return agent::bytes;
  }
  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == threads);
    agent{s.view, s.shared}.run(std::forward<Ready>(ready));
  }
};

template <class Problem>
struct attend {
  using problem = Problem;
  using variants =
      std::conditional_t<sums_values_alone<Problem>,
                         stage_list<sum_values<Problem, small_block_threads, ring_depth>>,
                         stage_list<attend_by_block<Problem>>>;
  /// With no more shared memory than scoring takes anyway.
  using in_loop = std::conditional_t<sums_values_alone<Problem>,
                                     sum_values<Problem, block_threads, short_ring_depth>,
                                     attend_by_block<Problem>>;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
