// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stages that make one score of a group's heads by their attention probabilities.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/join_heads.cuh>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/tuning/block.cuh>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Problems that may be asked for it.
template <class Problem>
inline constexpr bool joins_heads =
    score_source_t<Problem>::is_attention_score && Problem::per_kv_group;

template <class Problem>
struct join_variant {
  using problem = Problem;
  static constexpr known shares = known::own;
  static constexpr starts start = starts::after_all;
  static constexpr int threads = block_threads;
  static constexpr int resident_blocks = 4;
  static constexpr bool cooperative = false;

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool serves(plan const& p) noexcept {
    return keeps_raw<Problem>(p.options);
  }
  [[nodiscard]] static constexpr int blocks(plan const&, plan_numbers const& n) noexcept {
    return n.multiprocessors * resident_blocks;
  }
  [[nodiscard]] static constexpr int bytes(plan const&, plan_numbers const&) noexcept { return 0; }
};

/// First: lse of each head.
template <class Problem>
struct measure_heads : join_variant<Problem> {
  static constexpr char const* name = "measure_heads";
  static constexpr count_of items = count_of::slots;
  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == block_threads);
    ready();
    join_heads_agent<Problem>{s.view}.measure();
  }
};

/// Then the sum of the heads' probabilities.
template <class Problem>
struct join_heads : join_variant<Problem> {
  static constexpr char const* name = "join_heads";
  static constexpr count_of items = count_of::chunks;
  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == block_threads);
    ready();
    join_heads_agent<Problem>{s.view}.join();
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
