// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stages of the first wave as kernels of their own, each with the threads and the shared
/// memory that it needs. Usually there is no other wave.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/attend.cuh>
#include <tka/detail/cuda/agent/bucket.cuh>
#include <tka/detail/cuda/agent/finish.cuh>
#include <tka/detail/cuda/agent/prepare.cuh>
#include <tka/detail/cuda/agent/scan.cuh>
#include <tka/detail/cuda/agent/score.cuh>
#include <tka/detail/cuda/agent/select.cuh>
#include <tka/detail/cuda/agent/sum_values.cuh>
#include <tka/detail/cuda/kernel/attention_kernel.cuh>
#include <tka/detail/cuda/kernel/launch_order.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>

namespace tka::inline TKA_ABI::detail::cuda {

/// Blocks that a multiprocessor holds at once, by stage.
template <int Rows>
inline constexpr int score_blocks = Rows == few_rows ? 3 : 2;
inline constexpr int bucket_blocks = 4;
inline constexpr int most_select_blocks = 4;
inline constexpr int finish_blocks = 4;

/// Blocks whose warps have little in common: small, so that they also fit where a multiprocessor
/// has less shared memory.
inline constexpr int warps_threads = 128;
inline constexpr int warps_blocks = 4;
inline constexpr int warps_stages = 3;
template <class Problem>
using scan = scan_agent<Problem, warps_threads / 32, warps_stages>;
template <class Problem>
using sum_values = sum_values_agent<Problem, warps_threads / 32, warps_stages>;

template <class Problem>
__global__ void __launch_bounds__(block_threads, 1)
    prepare_kernel(__grid_constant__ launch_arguments<Problem> const l) {
  follow_earlier_kernels();
  schedule_table const table{l.scratch, l.p.shape.batch};
  prepare_agent<Problem>{l.p, l.a, table, pool_words(l), l.scan_blocks}.run();
}

/// Shared memory without which rows are not selected.
template <class Problem>
inline constexpr int least_select_bytes = shares_bytes + select_agent<Problem>::least_bytes;

/// What every stage begins with: its shares, and the shared memory behind them.
struct stage_memory {
  wave_shares& shares;
  char* rest;

  __device__ explicit stage_memory(char* shared) noexcept
      : shares(*reinterpret_cast<wave_shares*>(shared)), rest(shared + shares_bytes) {}
};

template <class Problem>
__global__ void __launch_bounds__(warps_threads, warps_blocks)
    scan_kernel(__grid_constant__ launch_arguments<Problem> const l) {
  extern __shared__ __align__(128) char shared[];
  stage_memory const memory{shared};
  context<Problem> const c = context_of(l, memory.shares);
  // `prepare_kernel` does not touch them, and no kernel before it runs any more.
  clear_teams(c);
  follow_earlier_kernels();
  memory.shares.find_first<count_of::pieces>(c.table);
  cut_teams(c, l.select_blocks);
  scan<Problem>{c, memory.rest}.run();
}

template <class Problem, int Rows>
__global__ void __launch_bounds__(block_threads, score_blocks<Rows>)
    score_kernel(__grid_constant__ launch_arguments<Problem> const l) {
  extern __shared__ __align__(128) char shared[];
  stage_memory const memory{shared};
  context<Problem> const c = context_of(l, memory.shares);
  // `prepare_kernel` does not touch them, and no kernel before it runs any more.
  clear_teams(c);
  follow_earlier_kernels();
  memory.shares.find_first<count_of::pieces>(c.table);
  cut_teams(c, l.select_blocks);
  score_agent<Problem, Rows>{c, memory.rest, Problem::by_given ? 0 : l.stages}.run();
}

template <class Problem>
__global__ void __launch_bounds__(block_threads, bucket_blocks)
    bucket_kernel(__grid_constant__ launch_arguments<Problem> const l) {
  extern __shared__ __align__(128) char shared[];
  look_ahead();
  stage_memory const memory{shared};
  context<Problem> const c = context_of(l, memory.shares);
  memory.shares.find_first<count_of::chunks>(c.table);
  follow_earlier_kernels();
  bucket_agent<Problem>{c}.run();
}

/// Cooperative: blocks of a team wait for one another.
template <class Problem>
__global__ void __launch_bounds__(block_threads, most_select_blocks)
    select_kernel(__grid_constant__ launch_arguments<Problem> const l) {
  extern __shared__ __align__(128) char shared[];
  follow_earlier_kernels();
  stage_memory const memory{shared};
  context<Problem> const c = context_of(l, memory.shares);
  memory.shares.find_totals(c.table);
  select_agent<Problem>{c, memory.rest, l.p.select_bytes - shares_bytes}.run();
}

template <class Problem>
__global__ void __launch_bounds__(block_threads, attend_agent<Problem>::resident_blocks)
    attend_kernel(__grid_constant__ launch_arguments<Problem> const l) {
  extern __shared__ __align__(128) char shared[];
  look_ahead();
  stage_memory const memory{shared};
  context<Problem> const c = context_of(l, memory.shares);
  memory.shares.find_first<count_of::attends>(c.table);
  using agent = attend_agent<Problem>;
  agent{c, memory.rest, agent::stages_of(l.stages)}.run([] { follow_earlier_kernels(); });
}

template <class Problem>
__global__ void __launch_bounds__(warps_threads, warps_blocks)
    sum_values_kernel(__grid_constant__ launch_arguments<Problem> const l) {
  extern __shared__ __align__(128) char shared[];
  look_ahead();
  stage_memory const memory{shared};
  context<Problem> const c = context_of(l, memory.shares);
  memory.shares.find_totals(c.table);
  sum_values<Problem>{c, memory.rest}.run([] { follow_earlier_kernels(); });
}

template <class Problem>
__global__ void __launch_bounds__(block_threads, finish_blocks)
    finish_kernel(__grid_constant__ launch_arguments<Problem> const l) {
  extern __shared__ __align__(128) char shared[];
  follow_earlier_kernels();
  stage_memory const memory{shared};
  context<Problem> const c = context_of(l, memory.shares);
  memory.shares.find_first<count_of::rows>(c.table);
  finish_agent<Problem>{c}.run();
}

}  // namespace tka::inline TKA_ABI::detail::cuda
