// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The kernel: the stages of a call one behind the other, with a barrier over the grid between
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
#include <tka/detail/cuda/agent/take_list.cuh>
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
  std::uint32_t* scratch;
  std::int64_t scratch_words;
  std::int32_t stages;
};

/// Shared memory of one block: stages use it one after the other.
template <class Problem>
[[nodiscard]] constexpr int shared_bytes(int stages) noexcept {
  int most = static_cast<int>(sizeof(select_memory));
  if constexpr (Problem::selects && !Problem::by_given) {
    most = larger(most, score_memory::bytes(stages));
  }
  if constexpr (Problem::selects && Problem::by_given) {
    most = larger(most, score_memory::bytes(0));
  }
  if constexpr (Problem::attends) most = larger(most, attend_agent<Problem>::bytes(stages));
  return most;
}

/// Selection of one wave: from scores to lists.
template <class Problem, class Barrier>
__device__ void select_wave(context<Problem> const& c, char* shared, int stages,
                            Barrier const& barrier) noexcept {
  score_agent<Problem>{c, shared, Problem::by_given ? 0 : stages}.run();
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
  select_agent<Problem> selects{c, shared};
  for (int digit = 0; digit < 3; ++digit) {
    selects.count_digit(digit);
    barrier();
  }
  selects.count_kept();
  barrier();
  selects.list();
  barrier();
}

template <class Problem>
__global__ void __launch_bounds__(block_threads, blocks_per_multiprocessor)
    attention_kernel(__grid_constant__ launch_arguments<Problem> const l) {
  extern __shared__ __align__(128) char shared[];
  auto const barrier = [] { cooperative_groups::this_grid().sync(); };
  std::int32_t const batch = l.p.shape.batch;
  std::int64_t const head = schedule_table::words(batch);
  std::int64_t const pool_words = l.scratch_words - head;
  context<Problem> c{
      l.p, l.a, geometry<Problem>{l.p}, schedule_table{l.scratch, batch}, l.scratch + head, {}};
  if (blockIdx.x == 0) prepare_agent<Problem>{l.p, l.a, c.table, pool_words}.run();
  barrier();

  std::int64_t const all = c.table.at(count_of::words, batch);
  // A wave takes the units that begin in its span; the last of them may reach beyond.
  std::int64_t const span = pool_words - *c.table.unit_words;
  for (std::int64_t word = 0; word < all; word += span) {
    c.now = {unit_from_word(c.table, word), unit_from_word(c.table, word + span), word};
    if constexpr (Problem::selects) {
      select_wave(c, shared, l.stages, barrier);
    } else {
      take_list_agent<Problem>{c, shared}.run();
      barrier();
    }
    if constexpr (Problem::attends) {
      attend_agent<Problem>{c, shared, l.stages}.run();
      barrier();
    }
    finish_agent<Problem>{c}.run();
    barrier();
  }
}

}  // namespace tka::inline TKA_ABI::detail::cuda
