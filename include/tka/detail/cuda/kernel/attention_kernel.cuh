// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// All stages of a call in one kernel, one behind the other, with a barrier over the grid between
/// them. Rows go through in waves, as many at a time as scratch holds.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/attend.cuh>
#include <tka/detail/cuda/agent/bucket.cuh>
#include <tka/detail/cuda/agent/combine.cuh>
#include <tka/detail/cuda/agent/finish.cuh>
#include <tka/detail/cuda/agent/prepare.cuh>
#include <tka/detail/cuda/agent/score.cuh>
#include <tka/detail/cuda/agent/select.cuh>
#include <tka/detail/cuda/agent/sum_values.cuh>
#include <tka/detail/cuda/agent/take_list.cuh>
#include <tka/detail/cuda/kernel/launch_order.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/select/bucketed.hpp>

#include <cooperative_groups.h>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

template <class Problem>
struct launch_arguments {
  plan p;
  arguments<Problem> a;
  geometry<Problem> g;  ///< here and below: what the host knows, kernels need not compute
  scratch_layout layout;
  std::uint32_t* scratch;
  std::int64_t scratch_words;
  std::int32_t stages;
  std::int32_t scan_blocks;
  std::int32_t select_blocks;
  bool lists;
  bool first_wave_done;  ///< by stages that are kernels of their own
};

/// What the agents of a launch share. `shares` is in shared memory.
template <class Problem>
[[nodiscard]] __device__ context<Problem> context_of(launch_arguments<Problem> const& l,
                                                     wave_shares const& shares) noexcept {
  return {l.p,
          l.a,
          l.g,
          schedule_table{l.scratch, l.p.shape.batch},
          reinterpret_cast<team_memory*>(l.scratch + l.layout.teams),
          l.scratch + l.layout.places,
          l.scratch + l.layout.rows,
          shares,
          l.lists,
          {}};
}
template <class Problem>
[[nodiscard]] __device__ std::int64_t pool_words(launch_arguments<Problem> const& l) noexcept {
  return (l.scratch_words - l.layout.rows) / 32 * 32;  // places are counted in lines
}

inline constexpr int shares_bytes = (static_cast<int>(sizeof(wave_shares)) + 127) / 128 * 128;

/// With no more shared memory than scoring takes anyway.
template <class Problem>
using later_sum_values = sum_values_agent<Problem, block_warps, 2>;

/// Shared memory of one block behind its shares: stages use it one after the other.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE constexpr int shared_bytes(int stages) noexcept {
  int most = static_cast<int>(sizeof(select_memory<Problem>));
  if constexpr (Problem::selects && !Problem::by_given) {
    most = larger(most, score_memory<most_rows>::bytes(stages));
  }
  if constexpr (Problem::selects && Problem::by_given) {
    most = larger(most, score_memory<most_rows>::bytes(0));
  }
  if constexpr (sums_values_alone<Problem>) {
    most = larger(most, later_sum_values<Problem>::bytes);
  } else if constexpr (Problem::attends) {
    most = larger(most, attend_agent<Problem>::bytes(stages));
  }
  return most;
}

/// Teams for the wave's long rows among `blocks` that will select. All blocks of the grid.
template <class Problem>
__device__ void cut_teams(context<Problem> const& c, int blocks) noexcept {
  if (c.shares[count_of::long_rows].all > 0 && blockIdx.x + 1 == gridDim.x && threadIdx.x == 0) {
    c.table.totals->cut = select_agent<Problem>::cut(c, static_cast<std::uint32_t>(blocks));
  }
}

/// Teams begin with nothing counted. All blocks of the grid, before rows are selected.
template <class Problem>
__device__ void clear_teams(context<Problem> const& c) noexcept {
  std::int64_t const words = most_teams<Problem>(c.p) * std::int64_t{sizeof(team_memory) / 4};
  auto* const memory = reinterpret_cast<uint4*>(c.teams);
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < words / 4;
       i += std::int64_t{gridDim.x} * blockDim.x) {
    memory[i] = uint4{};
  }
}

/// Selection of one wave: from scores to lists.
template <class Problem, class Barrier>
__device__ void select_wave(context<Problem> const& c, char* shared, int stages,
                            Barrier const& barrier) noexcept {
  cut_teams(c, static_cast<int>(gridDim.x));
  if (c.shares[count_of::long_rows].all > 0) clear_teams(c);
  score_agent<Problem, most_rows>{c, shared, Problem::by_given ? 0 : stages}.run();
  barrier();
  if constexpr (Problem::by_query_key && Problem::per_kv_group) {
    if (c.p.options.combine == combine::softmax_sum) {
      combine_agent<Problem> combines{c};
      combines.measure();
      barrier();
      combines.combine();
      barrier();
    }
  }
  if constexpr (std::is_same_v<typename Problem::selector, bucketed>) {
    bucket_agent<Problem>{c}.run();
    barrier();
  }
  select_agent<Problem>{c, shared, shared_bytes<Problem>(stages)}.run();
  barrier();
}

/// All stages of all waves from the first on: for what needs more stages than there are kernels,
/// and for what does not fit one wave.
template <class Problem>
__global__ void __launch_bounds__(block_threads, blocks_per_multiprocessor)
    attention_kernel(__grid_constant__ launch_arguments<Problem> const l) {
  extern __shared__ __align__(128) char all_shared[];
  auto& shares = *reinterpret_cast<wave_shares*>(all_shared);
  char* const shared = all_shared + shares_bytes;
  auto const barrier = [] { cooperative_groups::this_grid().sync(); };
  follow_earlier_kernels();
  context<Problem> c = context_of(l, shares);
  if (!l.first_wave_done) {
    if (blockIdx.x == 0)
      prepare_agent<Problem>{l.p, l.a, c.table, pool_words(l), static_cast<std::int32_t>(gridDim.x)}
          .run();
    barrier();
  }
  std::int64_t const pool = pool_words(l);
  if (l.first_wave_done) {
    if (c.table.totals->words <= pool) return;  // usually
    c.now = wave_from(c.table, 0, pool);
  }
  std::int64_t const units = c.table.at(count_of::units, c.table.batch);
  while (c.now.last_unit < units) {
    c.now = wave_from(c.table, c.now.last_unit, pool);
    shares.find(c.table, c.now);
    if constexpr (Problem::selects) {
      select_wave(c, shared, l.stages, barrier);
    } else {
      take_list_agent<Problem>{c, shared}.run();
      barrier();
    }
    if constexpr (Problem::attends) {
      if constexpr (sums_values_alone<Problem>) {
        later_sum_values<Problem>{c, shared}.run([] {});
      } else {
        attend_agent<Problem>{c, shared, l.stages}.run([] {});
      }
    } else {
      finish_agent<Problem>{c}.run();
    }
    barrier();
  }
}

}  // namespace tka::inline TKA_ABI::detail::cuda
