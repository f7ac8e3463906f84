// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The second stage: the keys that each row keeps. Short rows are selected by a block each, long
/// ones by teams of blocks.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/list_writer.cuh>
#include <tka/detail/cuda/block/find_bin.cuh>
#include <tka/detail/cuda/block/team.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/row_rules.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/async_copy.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Shared memory of this stage; keys stand behind it.
template <class Problem>
struct select_memory {
  alignas(16) std::uint32_t histogram[most_bins];
  digit_memory search;
  list_memory list;
  std::uint32_t forced;
  /// Rows that are selected next, one behind the other. Looking one up is a long chain of reads, so
  /// each warp does it for another.
  struct job {
    row<Problem> own;
    row_rules rules;
    bool there;
  };
  job next[block_warps];
};

/// The k largest keys of a row, exactly: three counts, the same keys whatever the team, and a list.
/// Keys that fit stay in shared memory meanwhile. No buffer can overflow, and time hardly depends
/// on the scores.
template <class Problem>
class select_agent {
 public:
  __device__ select_agent(context<Problem> const& c, char* memory, int bytes) noexcept
      : c_(c),
        memory_(reinterpret_cast<select_memory<Problem>*>(memory)),
        kept_(reinterpret_cast<ordered_key*>(memory + keys_at)),
        room_((bytes - keys_at) / 128 * 32) {}

  /// `ready()` is called once, before the first access to what earlier stages leave for rows.
  template <class Ready>
  __device__ void run(Ready&& ready) noexcept {
    run_of_rows rows = own_rows();
    bool begun = false;
#pragma unroll 1
    for (int turn = 0; turn < 2; ++turn) {
#pragma unroll 1
      for (std::int64_t n = rows.begin; n < rows.end; n += block_warps) {
        look_up(rows, n + threadIdx.x / 32);
        if (!begun) ready();
        begun = true;
        __syncthreads();
        auto const count = static_cast<int>(smaller<std::int64_t>(block_warps, rows.end - n));
#pragma unroll 1
        for (int i = 0; i < count; ++i) {
          auto const& job = memory_->next[i];
          if (job.there) select(job.own, job.rules, rows.blocks);
        }
        __syncthreads();
      }
      rows = team_rows();
    }
    if (!begun) ready();
  }

 private:
  static constexpr int keys_at = (static_cast<int>(sizeof(select_memory<Problem>)) + 15) / 16 * 16;

  /// Rows next to one another, and who selects them.
  struct run_of_rows {
    count_of kind;
    std::int64_t begin;
    std::int64_t end;
    team blocks;
  };

  /// The short ones among this block's rows.
  [[nodiscard]] __device__ run_of_rows own_rows() const noexcept {
    share const& own = c_.shares[count_of::rows];
    return {count_of::rows, own.begin, own.end, {}};
  }

  /// The long ones of this block's team.
  [[nodiscard]] __device__ run_of_rows team_rows() const noexcept {
    share const& rows = c_.shares[count_of::long_rows];
    if (rows.all == 0) return {count_of::long_rows, 0, 0, {}};
    std::uint32_t const size = team_size(rows.all);
    std::uint32_t const index = blockIdx.x / size;
    // Blocks alone need no memory.
    std::int64_t const most = size == 1 ? rows.all : smaller(rows.all, most_teams<Problem>(c_.p));
    auto const teams = static_cast<std::uint32_t>(smaller(std::int64_t{gridDim.x / size}, most));
    if (index >= teams) return {count_of::long_rows, 0, 0, {}};
    return {count_of::long_rows,
            rows.from + rows.all * index / teams,
            rows.from + rows.all * (index + 1) / teams,
            {static_cast<int>(size), static_cast<int>(blockIdx.x % size), c_.teams + index}};
  }

  /// Blocks a long row: enough for all blocks to have work and for the keys to fit.
  [[nodiscard]] __device__ std::uint32_t team_size(std::int64_t rows) const noexcept {
    // In 32 bits: longer divisions are slow. There are no more keys, and more rows change nothing.
    auto const longest = static_cast<std::uint32_t>(*c_.table.longest);
    auto const count = static_cast<std::uint32_t>(smaller(rows, std::int64_t{1} << 30));
    auto const room = static_cast<std::uint32_t>(room_);
    std::uint32_t const fit = (longest + room - 1) / room;
    std::uint32_t const most = (longest + least_keys_of_a_block - 1) / least_keys_of_a_block;
    std::uint32_t const size = larger(gridDim.x / count, fit);
    return larger(1u, smaller(smaller(size, most), smaller<std::uint32_t>(most_team, gridDim.x)));
  }

  /// This warp's job: item n of the rows.
  __device__ void look_up(run_of_rows const& rows, std::int64_t n) noexcept {
    auto& job = memory_->next[threadIdx.x / 32];
    if (n >= rows.end) return;
    item const at = find_item(c_.table, rows.kind, n);
    std::int64_t rest = at.rest;
    bool there = true;
    if (rows.kind == count_of::rows) {
      std::int64_t const blocks = Problem::attends ? attend_blocks<Problem>(c_.p.shape) : 1;
      there = c_.table.per_unit(count_of::long_rows, at.b) == 0 && rest % blocks == 0;
      rest /= blocks;
    }
    row<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(rest)};
    there = there && own.exists;
    row_rules const rules = there ? rules_of<Problem>(c_, own) : row_rules{};
    if (threadIdx.x % 32 == 0) {
      job.own = own;
      job.rules = rules;
      job.there = there;
    }
  }

  __device__ void select(row<Problem> const& own, row_rules const& rules, team& blocks) noexcept {
    std::int32_t const each = round_up_keys(rules.visible, blocks.size());
    std::int32_t const first = smaller(rules.visible, each * blocks.rank());
    key_run run{own.scores() + first, first, smaller(each, rules.visible - first)};
    __syncthreads();  // the last row is done with its memory
    if (blocks.rank() == 0 && threadIdx.x == 0) {
      *reinterpret_cast<std::uint64_t*>(own.state() + last_kept) = ~std::uint64_t{0};
      own.state()[parts_done] = 0;
    }
    threshold limit{key_of_minus_infinity, 0};
    if (!rules.keeps_all()) {
      bool const fits = run.count <= room_;
      if (fits) fetch(run);
      limit = find_threshold(run, fits, rules, blocks);
      if (fits && rules.plain) run.keys = kept_;
    }
    list_writer<Problem>{c_, own, rules, limit}.write(run, blocks, memory_->list);
    // Behind the writers' exchange: the next row comes to this digit after two more.
    if (!rules.keeps_all() && !blocks.alone()) clear(digits - 1, blocks);
  }

  /// A block's share of a row: whole lines, so that four keys may be read at once.
  [[nodiscard]] __device__ static std::int32_t round_up_keys(std::int32_t keys,
                                                             int blocks) noexcept {
    auto const n = static_cast<std::uint32_t>(keys);
    auto const all = static_cast<std::uint32_t>(blocks) * 32;
    return static_cast<std::int32_t>((n + all - 1) / all * 32);
  }

  /// Keys to shared memory; rows are padded to whole lines.
  __device__ void fetch(key_run const& run) noexcept {
    for (std::int32_t i = 4 * static_cast<std::int32_t>(threadIdx.x); i < run.count;
         i += 4 * block_threads) {
      copy_16_async(kept_ + i, run.keys + i, true);
    }
    commit_copies();
  }

  [[nodiscard]] __device__ threshold find_threshold(key_run const& run, bool fits,
                                                    row_rules const& rules, team& blocks) noexcept {
    if (threadIdx.x == 0) memory_->forced = 0;
    clear_histogram();
    wait_for_copies<0>();
    __syncthreads();
    if (!rules.plain) count_forced(run, rules);
    if (fits) {
      // From here on keys stand there as they compete.
      std::int32_t const from = rules.plain ? run.count : 0;
      for (std::int32_t i = from + static_cast<std::int32_t>(threadIdx.x);
           i < round_up_keys(run.count, 1); i += block_threads) {
        kept_[i] = rules.competing(run.first + i, kept_[i]);
      }
      __syncthreads();
    }
    digit_state known{};
    bool full = false;
#pragma unroll 1
    for (int digit = 0; digit < digits; ++digit) {
      if (fits) {
        count(digit, known, run.count, [kept = shared_address(kept_)](std::int32_t i) {
          return load_shared_four(kept + 4 * i);
        });
      } else {
        count(digit, known, run.count, [&](std::int32_t i) {
          int4 const keys = *reinterpret_cast<int4 const*>(run.keys + i);
          std::int32_t const c = run.first + i;
          return int4{rules.competing(c, keys.x), rules.competing(c + 1, keys.y),
                      rules.competing(c + 2, keys.z), rules.competing(c + 3, keys.w)};
        });
      }
      std::uint32_t const* histogram = memory_->histogram;
      std::uint32_t const* forced = &memory_->forced;
      if (!blocks.alone()) {
        join(digit, blocks);
        histogram = blocks.memory().histogram[digit];
        forced = &blocks.memory().forced;
      }
      if (digit == 0) {
        known.wanted = static_cast<std::uint32_t>(rules.keep) - *forced;
        // Where forced keys fill the budget the search goes on for nothing, in step with the team.
        full = known.wanted == 0;
        if (full) known.wanted = 1;
      }
      known = find_bin(histogram, digit, known, memory_->search);
      clear_histogram();
    }
    if (full) return {key_of_nan, 0};
    auto const key = static_cast<ordered_key>(known.prefix ^ 0x80000000u);
    if (key <= key_of_minus_infinity) return {key_of_minus_infinity, 0};
    return {key, known.wanted};
  }

  /// For all of them; ends with a barrier.
  __device__ void clear_histogram() noexcept {
    for (int i = 4 * static_cast<int>(threadIdx.x); i < most_bins; i += 4 * block_threads) {
      *reinterpret_cast<uint4*>(memory_->histogram + i) = uint4{};
    }
    __syncthreads();
  }

  /// Forced keys above -inf.
  __device__ void count_forced(key_run const& run, row_rules const& rules) noexcept {
    std::uint32_t n = 0;
    for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < run.count;
         i += block_threads) {
      n += rules.forced(run.first + i) && run.keys[i] > key_of_minus_infinity ? 1 : 0;
    }
    if (n > 0) atomicAdd(&memory_->forced, n);
  }

  /// Counts a digit of the keys that share the digits above with the threshold. What does not
  /// compete is counted in the lowest bin, below every threshold. Ends with a barrier.
  template <class Load>
  __device__ void count(int digit, digit_state const& known, std::int32_t keys,
                        Load&& load) noexcept {
    std::uint32_t const histogram = shared_address(memory_->histogram);
    if (digit == 0) {
      each_four(keys, load, [&](int4 const& k) {
        constexpr int shift = shift_of(0);
        ordered_key const four[4] = {k.x, k.y, k.z, k.w};
#pragma unroll
        for (int j = 0; j < 4; ++j) count_shared(histogram + (radix_bits(four[j]) >> shift) * 4);
      });
    } else {
      int const shift = shift_of(digit);
      // What a key has above the least that shares the digits known.
      std::uint32_t const least = known.prefix << shift_of(digit - 1) ^ 0x80000000u;
      std::uint32_t const most = (1u << shift_of(digit - 1)) - 1;
      each_four(keys, load, [&](int4 const& k) {
        auto const above = [least](ordered_key key) {
          return static_cast<std::uint32_t>(key) - least;
        };
        std::uint32_t const rest[4] = {above(k.x), above(k.y), above(k.z), above(k.w)};
        if (smaller(smaller(rest[0], rest[1]), smaller(rest[2], rest[3])) > most) return;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          if (rest[j] <= most) count_shared(histogram + (rest[j] >> shift) * 4);
        }
      });
    }
    __syncthreads();
  }

  template <class Load, class Use>
  __device__ static void each_four(std::int32_t keys, Load&& load, Use&& use) noexcept {
#pragma unroll 2
    for (std::int32_t i = 4 * static_cast<std::int32_t>(threadIdx.x); i < keys;
         i += 4 * block_threads) {
      use(load(i));
    }
  }

  /// Adds this block's histogram to the team's and waits for the others. By then all are done with
  /// the digit before.
  __device__ void join(int digit, team& blocks) noexcept {
    team_memory& all = blocks.memory();
    for (int i = static_cast<int>(threadIdx.x); i < bins_of(digit); i += block_threads) {
      std::uint32_t const n = memory_->histogram[i];
      if (n > 0) atomicAdd(&all.histogram[digit][i], n);
    }
    if (digit == 0 && threadIdx.x == 0 && memory_->forced > 0) {
      atomicAdd(&all.forced, memory_->forced);
    }
    blocks.wait();
    if (digit > 0) clear(digit - 1, blocks);
  }

  /// Makes this block's part of a digit zero again, for the next row.
  __device__ void clear(int digit, team& blocks) noexcept {
    team_memory& all = blocks.memory();
    int const first = blocks.rank() * block_threads + static_cast<int>(threadIdx.x);
    for (int i = first; i < bins_of(digit); i += blocks.size() * block_threads) {
      all.histogram[digit][i] = 0;
    }
    if (digit == 0 && first == 0) all.forced = 0;
  }

  context<Problem> const& c_;
  select_memory<Problem>* memory_;
  ordered_key* kept_;
  std::int32_t room_;  ///< keys that may stay in shared memory: whole lines
};

}  // namespace tka::inline TKA_ABI::detail::cuda
