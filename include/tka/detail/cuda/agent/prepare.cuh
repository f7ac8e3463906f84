// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The first thing a call does: one block makes the schedule from the real lengths.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/unit.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

__device__ inline void report(std::uint32_t* word, data_error bit) noexcept {
  if (word != nullptr) atomicOr(word, static_cast<std::uint32_t>(bit));
}

template <class Problem>
struct prepare_agent {
  plan const& p;
  arguments<Problem> const& a;
  schedule_table table;
  std::int64_t pool_words;  ///< scratch for rows
  std::int64_t long_from = 0;

  /// All threads of one block.
  __device__ void run() noexcept {
    __shared__ unsigned long long rows;
    if (threadIdx.x == 0) rows = 0;
    __syncthreads();
    for (std::int32_t b = static_cast<std::int32_t>(threadIdx.x); b < table.batch;
         b += block_threads) {
      sequence_entry const e = entry_of(b);
      atomicAdd(&rows, static_cast<unsigned long long>(e.token_tiles * rows_of(e)));
      table.entries[b] = e;
    }
    __syncthreads();
    // Where there are rows for all blocks, fewer of them are long.
    bool const many = rows * geometry<Problem>{p}.units_of_tile() * 2 >=
                      static_cast<unsigned long long>(p.schedule.workers);
    long_from = many ? most_keys_of_a_block : least_keys_of_a_block;
    // A warp a kind: running sums over the sequences.
    int const kind = static_cast<int>(threadIdx.x / 32);
    if (kind < kinds) scan(static_cast<count_of>(kind));
    if (kind == kinds) find_largest();
    __syncthreads();
    if (kind < item_kinds) {
      std::int64_t const span = pool_words - *table.unit_words;
      std::int64_t const items =
          items_before(table, static_cast<count_of>(kind), unit_from_word(table, span));
      if (threadIdx.x % 32 == 0) table.first_wave[kind] = items;
    }
  }

 private:
  /// Of one unit.
  [[nodiscard]] __device__ std::int64_t rows_of(sequence_entry const& e) const noexcept {
    return std::int64_t{e.tokens} * geometry<Problem>{p}.selections();
  }
  [[nodiscard]] __device__ sequence_entry entry_of(std::int32_t b) const noexcept {
    geometry<Problem> const g{p};
    sequence_entry e{};
    e.of = sequence_of<Problem>(p, a, b, [this](data_error bit) { report(a.error, bit); });
    e.extent = extent_of<Problem>(p, e.of.length);
    e.row = layout_of<Problem>(p, e.extent);
    // Fewer tokens a unit where the rows are so long that a few units would fill the scratch.
    e.tokens = larger(smaller(g.tokens, e.of.queries), 1);
    while (e.tokens > 1 && e.tokens * g.selections() * e.row.words > pool_words / 4) e.tokens /= 2;
    e.token_tiles = static_cast<std::int32_t>(ceil_div(e.of.queries, e.tokens));
    std::int64_t const rows = rows_of(e);
    std::int64_t const blocks = Problem::attends ? attend_blocks<Problem>(p.shape) : 1;
    auto const set = [&e](count_of kind, std::int64_t n) {
      e.per_unit[static_cast<int>(kind)] = n;
    };
    set(count_of::units, 1);
    set(count_of::words, rows * e.row.words);
    set(count_of::tiles, e.extent.tiles);
    set(count_of::chunks, rows * e.extent.chunks);
    set(count_of::attends, rows * blocks * e.extent.parts);
    set(count_of::rows, rows * blocks);
    return e;
  }

  __device__ void scan(count_of kind) const noexcept {
    geometry<Problem> const g{p};
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    std::int64_t before = 0;
    for (std::int32_t first = 0; first < table.batch; first += 32) {
      std::int32_t const b = first + lane;
      std::int64_t own = 0;
      if (b < table.batch) {
        if (kind == count_of::long_rows) {
          sequence_entry& e = table.entries[b];
          e.per_unit[static_cast<int>(kind)] = e.extent.visible > long_from ? rows_of(e) : 0;
        }
        own = std::int64_t{table.entries[b].token_tiles} * g.units_of_tile() *
              table.per_unit(kind, b);
      }
      std::int64_t sum = own;
#pragma unroll
      for (int step = 1; step < 32; step *= 2) {
        std::int64_t const other = __shfl_up_sync(0xffffffffu, sum, step);
        if (lane >= step) sum += other;
      }
      if (b < table.batch) table.at(kind, b) = before + sum - own;
      before += __shfl_sync(0xffffffffu, sum, 31);
    }
    if (lane == 0) table.at(kind, table.batch) = before;
  }

  __device__ void find_largest() const noexcept {
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    std::int64_t most = 1;
    std::int64_t longest = 0;
    for (std::int32_t b = lane; b < table.batch; b += 32) {
      if (table.entries[b].token_tiles > 0) {
        most = larger(most, table.per_unit(count_of::words, b));
        longest = larger(longest, table.entries[b].extent.visible);
      }
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
      most = larger(most, __shfl_xor_sync(0xffffffffu, most, step));
      longest = larger(longest, __shfl_xor_sync(0xffffffffu, longest, step));
    }
    if (lane == 0) {
      *table.unit_words = most;
      *table.longest = longest;
    }
  }
};

}  // namespace tka::inline TKA_ABI::detail::cuda
