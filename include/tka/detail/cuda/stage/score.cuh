// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stage that scores: pieces of units pass over their keys, and scores go to slots.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/score_by_block.cuh>
#include <tka/detail/cuda/agent/score_by_warps.cuh>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/tuning/block.cuh>
#include <tka/detail/cuda/tuning/score.cuh>

#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// What its variants have in common.
template <class Problem>
struct score_variant {
  using problem = Problem;
  static constexpr count_of items = count_of::pieces;
  static constexpr known shares = known::own;
  static constexpr starts start = starts::after_all;
  static constexpr bool cooperative = false;
};

/// Warps work alone: few score rows, of 16-bit products.
template <class Problem>
struct score_by_warps : score_variant<Problem> {
  using agent = score_by_warps_agent<Problem, small_block_threads / 32, ring_depth>;
  static constexpr char const* name = "score_by_warps";
  static constexpr int threads = small_block_threads;
  static constexpr int resident_blocks = 4;

  [[nodiscard]] static constexpr bool serves(plan const& p) noexcept {
    return may_score_by_warps<Problem>(p);
  }
  [[nodiscard]] static constexpr int blocks(plan const&, plan_numbers const& n) noexcept {
    return n.multiprocessors * resident_blocks;
  }
  [[nodiscard]] static constexpr int bytes(plan const& p, plan_numbers const&) noexcept {
    return agent::bytes(p.shape.qk_dim);
  }
  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == threads);
    ready();
    agent{s.view, s.w.n.score, s.shared}.run();
  }
};

/// The warps of a block share tiles of keys: at most `Rows` score rows.
template <class Problem, int Rows>
struct score_by_block : score_variant<Problem> {
  using agent = score_by_block_agent<Problem, Rows>;
  static constexpr char const* name =
      Rows == few_score_rows ? "score_by_block_few" : "score_by_block";
  static constexpr int threads = block_threads;
  static constexpr int resident_blocks = Rows == few_score_rows ? 3 : 2;

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool serves(plan const& p) noexcept {
    return Rows == max_score_rows || geometry<Problem>{p}.rows(p.shape.q_len) <= Rows;
  }
  [[nodiscard]] static constexpr int blocks(plan const&, plan_numbers const& n) noexcept {
    return n.multiprocessors * resident_blocks;
  }
  [[nodiscard]] static constexpr int bytes(plan const&, plan_numbers const& n) noexcept {
    return agent::bytes(buffers(n));
  }
  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == threads);
    ready();
    agent{s.view, *reinterpret_cast<typename agent::memory*>(s.shared), buffers(s.w.n)}.run();
  }

 private:
  /// Scores that are given pass through none.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr int buffers(plan_numbers const& n) noexcept {
    return score_source_t<Problem>::by_products ? n.buffers : 0;
  }
};

template <class Problem>
struct score {
  using problem = Problem;
  using variants = std::conditional_t<
      scores_by_warps<Problem>,
      stage_list<score_by_warps<Problem>, score_by_block<Problem, max_score_rows>>,
      stage_list<score_by_block<Problem, few_score_rows>, score_by_block<Problem, max_score_rows>>>;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
