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
  std::int32_t scan_blocks;

  /// All threads of one block.
  __device__ void run() noexcept {
    for (std::int32_t b = static_cast<std::int32_t>(threadIdx.x); b < table.batch;
         b += block_threads) {
      table.entries[b] = entry_of(b);
    }
    __shared__ std::int64_t all[kinds];
    __syncthreads();
    // A warp a kind: running sums over the sequences.
    int const kind = static_cast<int>(threadIdx.x / 32);
    if (kind < kinds) scan(static_cast<count_of>(kind), all[kind]);
    if (kind == kinds) find_longest();
    __syncthreads();
    if (kind < item_kinds) {
      std::int64_t items = all[kind];
      if (all[static_cast<int>(count_of::words)] > pool_words) {
        items = items_before(table, static_cast<count_of>(kind),
                             wave_from(table, 0, pool_words).last_unit);
      }
      if (threadIdx.x % 32 == 0) table.totals->first_wave[kind] = items;
    }
  }

 private:
  /// Of one unit.
  [[nodiscard]] __device__ std::int64_t rows_of(sequence_entry const& e) const noexcept {
    return std::int64_t{e.tokens} * geometry<Problem>{p}.selections();
  }
  /// Of one unit.
  [[nodiscard]] __device__ std::int64_t tiles_of(sequence_entry const& e) const noexcept {
    return tiles_of_unit<Problem>(p.options, e);
  }
  [[nodiscard]] __device__ std::int64_t units_of(sequence_entry const& e) const noexcept {
    return std::int64_t{e.token_tiles} * geometry<Problem>{p}.units_of_tile();
  }

  /// The sum of f(entry) over all sequences. A warp; all lanes get it.
  template <class F>
  [[nodiscard]] __device__ std::int64_t sum_of(F&& f) const noexcept {
    std::int64_t sum = 0;
    for (auto b = static_cast<std::int32_t>(threadIdx.x % 32); b < table.batch; b += 32) {
      sum += f(table.entries[b]);
    }
#pragma unroll 1
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    return sum;
  }

  /// How units are cut to be scanned. To enter a unit is long, so each block gets a piece of one,
  /// if then no block has more than an eighth above its share and all units are in one wave; else
  /// pieces are tiles, and each block gets as many of each wave.
  __device__ void cut_units() const noexcept {
    auto const tiles = static_cast<float>(
        sum_of([this](sequence_entry const& e) { return units_of(e) * tiles_of(e); }));
    float const share = tiles / static_cast<float>(scan_blocks);
    auto const pieces_of = [this, share](sequence_entry const& e) {
      auto const n = static_cast<std::int64_t>(static_cast<float>(tiles_of(e)) / share);
      return larger<std::int64_t>(smaller(n, tiles_of(e)), 1);
    };
    bool fair = true;
    std::int64_t const pieces = sum_of([&](sequence_entry const& e) {
      std::int64_t const n = pieces_of(e);
      // Tiles times pieces are counted in 32 bits.
      bool const own = static_cast<float>(ceil_div(tiles_of(e), n) - 1) <= 1.125f * share &&
                       tiles_of(e) * n <= 0x7fffffff;
      fair = fair && (own || units_of(e) == 0);
      return units_of(e) * n;
    });
    std::int64_t const words = sum_of([this](sequence_entry const& e) {
      return units_of(e) * e.per_unit[static_cast<int>(count_of::words)];
    });
    bool const whole =
        __all_sync(0xffffffffu, fair) && pieces <= scan_blocks && words <= pool_words;
    for (auto b = static_cast<std::int32_t>(threadIdx.x % 32); b < table.batch; b += 32) {
      sequence_entry& e = table.entries[b];
      e.per_unit[static_cast<int>(count_of::pieces)] = whole ? pieces_of(e) : tiles_of(e);
    }
  }

  /// Where there are rows for all multiprocessors, fewer of them are long.
  __device__ void find_long_rows() const noexcept {
    std::int64_t const rows =
        sum_of([this](sequence_entry const& e) { return units_of(e) * rows_of(e); });
    bool const many = rows >= p.multiprocessors;
    std::int64_t const from = many ? most_keys_of_a_block : least_keys_of_a_block;
    for (auto b = static_cast<std::int32_t>(threadIdx.x % 32); b < table.batch; b += 32) {
      sequence_entry& e = table.entries[b];
      e.per_unit[static_cast<int>(count_of::long_rows)] = e.extent.visible > from ? rows_of(e) : 0;
    }
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
    std::int64_t const blocks = attend_blocks<Problem>(p.shape);
    auto const set = [&e](count_of kind, std::int64_t n) {
      e.per_unit[static_cast<int>(kind)] = n;
    };
    set(count_of::units, 1);
    set(count_of::words, rows * e.row.words);
    set(count_of::chunks, rows * e.extent.chunks);
    set(count_of::attends, rows * blocks * e.extent.parts);
    set(count_of::rows, rows * blocks);
    return e;
  }

  __device__ void scan(count_of kind, std::int64_t& all) const noexcept {
    // Each lane comes back to sequences of its own.
    if (kind == count_of::pieces) cut_units();
    if (kind == count_of::long_rows) find_long_rows();
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    std::int64_t before = 0;
    for (std::int32_t first = 0; first < table.batch; first += 32) {
      std::int32_t const b = first + lane;
      std::int64_t own = 0;
      if (b < table.batch) {
        own = units_of(table.entries[b]) * table.per_unit(kind, b);
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
    if (lane == 0) table.at(kind, table.batch) = all = before;
    if (lane == 0 && kind == count_of::words) table.totals->words = before;
  }

  __device__ void find_longest() const noexcept {
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    std::int64_t longest = 0;
    std::int32_t least_parts = 0x7fffffff;
    std::int32_t most_parts = 0;
    for (std::int32_t b = lane; b < table.batch; b += 32) {
      if (table.entries[b].token_tiles > 0) {
        longest = larger(longest, table.entries[b].extent.visible);
        least_parts = smaller(least_parts, table.entries[b].extent.parts);
        most_parts = larger(most_parts, table.entries[b].extent.parts);
      }
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
      longest = larger(longest, __shfl_xor_sync(0xffffffffu, longest, step));
    }
    least_parts = __reduce_min_sync(0xffffffffu, least_parts);
    most_parts = __reduce_max_sync(0xffffffffu, most_parts);
    if (lane == 0) {
      table.totals->longest = longest;
      table.totals->parts = least_parts == most_parts ? most_parts : 0;
    }
  }
};

}  // namespace tka::inline TKA_ABI::detail::cuda
