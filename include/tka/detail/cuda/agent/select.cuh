// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The second stage: the keys that each row keeps. Short rows are selected by a block each, long
/// ones by teams of blocks.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/list_writer.cuh>
#include <tka/detail/cuda/block/find_bin.cuh>
#include <tka/detail/cuda/block/survivors.cuh>
#include <tka/detail/cuda/block/team.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/row_record.cuh>
#include <tka/detail/cuda/row_rules.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/shared_memory.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Shared memory of this stage; the stream and the survivors stand behind it.
template <class Problem>
struct alignas(16) select_memory {
  std::uint32_t histogram[most_bins];
  digit_memory search;
  list_memory list;
  std::uint32_t forced;
  /// Rows next to one another that are selected by a team, or short ones by this block alone. What
  /// is the same for all threads stands here: registers are few, and the stack is far away.
  struct {
    std::uint32_t next;
    std::uint32_t end;
    bool are_long;
    team blocks;
  } rows;
  /// Of the rows that are selected next, one behind the other: each warp reads one.
  row_record<Problem> next[block_warps];
};

/// The k largest keys of a row, exactly, the same whatever the team. The first digit of the
/// threshold is counted over all keys. Those that may be kept then stand in shared memory, where
/// the other digits are counted and the list is made; where there is no room for them, all passes
/// go over the keys.
template <class Problem>
class select_agent {
 public:
  /// Shared memory for rows of which little survives.
  static constexpr int least_bytes =
      static_cast<int>(sizeof(select_memory<Problem>)) + key_stream::bytes + survivors::least_bytes;

  __device__ select_agent(context<Problem> const& c, char* memory, int bytes) noexcept
      : c_(c),
        memory_(reinterpret_cast<select_memory<Problem>*>(memory)),
        stream_(memory + stream_at),
        survivors_(memory + survivors_at, bytes - survivors_at) {}

  /// For a wave's long rows, if there are any: enough for all `blocks` to have work.
  [[nodiscard]] __device__ static team_cut cut(context<Problem> const& c,
                                               std::uint32_t blocks) noexcept {
    // In 32 bits: longer divisions are slow. There are no more keys, and more rows change nothing.
    std::int64_t const rows = c.shares[count_of::long_rows].all;
    auto const longest = static_cast<std::uint32_t>(c.table.totals->longest);
    auto const count = static_cast<std::uint32_t>(smaller(rows, std::int64_t{1} << 30));
    std::uint32_t const most = (longest + least_keys_of_a_block - 1) / least_keys_of_a_block;
    std::uint32_t const wanted = smaller(blocks / count, most);
    std::uint32_t const size =
        larger(1u, smaller(wanted, smaller<std::uint32_t>(most_team, blocks)));
    // Blocks alone need no memory.
    std::int64_t const teams = size == 1 ? rows : smaller(rows, most_teams<Problem>(c.p));
    return {size, static_cast<std::uint32_t>(smaller(std::int64_t{blocks / size}, teams))};
  }

  __device__ void run() noexcept {
    clear_histogram();
    if (all_rows() != c_.shares[count_of::long_rows].all) {
      find_short_rows();
      select_rows();
    }
    if (c_.shares[count_of::long_rows].all > 0) {
      find_long_rows();
      select_rows();
    }
  }

 private:
  static constexpr int stream_at = static_cast<int>(sizeof(select_memory<Problem>));
  static constexpr int survivors_at = stream_at + key_stream::bytes;
  static_assert(stream_at % 16 == 0);

  /// This block's share of all rows, of which it selects the short ones.
  __device__ void find_short_rows() noexcept {
    std::int64_t const rows = all_rows();
    set_rows(part(rows, blockIdx.x, gridDim.x), part(rows, blockIdx.x + 1, gridDim.x), false,
             {1, 0, nullptr, 0, 0});
  }

  /// The long ones of this block's team.
  __device__ void find_long_rows() noexcept {
    std::int64_t const rows = c_.shares[count_of::long_rows].all;
    team_cut const cut = c_.table.totals->cut;
    std::uint32_t const index = blockIdx.x / cut.size;
    std::uint32_t begin = index;
    std::uint32_t end = index + 1;
    if (index >= cut.teams) {
      end = begin;
    } else if (rows != cut.teams) {
      begin = part(rows, index, cut.teams);
      end = part(rows, index + 1, cut.teams);
    }
    set_rows(begin, end, true,
             {static_cast<std::int32_t>(cut.size),
              static_cast<std::int32_t>(blockIdx.x - index * cut.size), c_.teams + index, 0, 0});
  }

  __device__ void set_rows(std::uint32_t next, std::uint32_t end, bool are_long,
                           team const& blocks) noexcept {
    __syncthreads();
    if (threadIdx.x == 0) memory_->rows = {next, end, are_long, blocks};
    __syncthreads();
  }

  [[nodiscard]] __device__ std::int64_t all_rows() const noexcept {
    return c_.shares[count_of::rows].all / attend_blocks<Problem>(c_.p.shape);
  }
  /// Where part i of n begins. Rows of a wave are counted in 32 bits: scratch has no more.
  [[nodiscard]] __device__ static std::uint32_t part(std::int64_t rows, std::uint32_t i,
                                                     std::uint32_t n) noexcept {
    return static_cast<std::uint32_t>(rows * i / n);
  }

  __device__ void select_rows() noexcept {
    auto& rows = memory_->rows;
#pragma unroll 1
    while (rows.next < rows.end) {
      if (std::uint32_t const own = rows.next + threadIdx.x / 32; own < rows.end) {
        memory_->next[threadIdx.x / 32].load(
            row_record<Problem>::of(c_, rows.are_long ? number_of_long(own) : own));
      }
      __syncthreads();
#pragma unroll 1
      for (std::uint32_t i = 0; i < block_warps && rows.next + i < rows.end; ++i) {
        auto const& next = memory_->next[i];
        if (next.own.exists && next.is_long == rows.are_long) select(next);
      }
      __syncthreads();
      if (threadIdx.x == 0) rows.next += block_warps;
      __syncthreads();
    }
  }

  /// The number among all rows of the wave's long row n. A warp.
  [[nodiscard]] __device__ std::int64_t number_of_long(std::uint32_t n) const noexcept {
    share const& rows = c_.shares[count_of::long_rows];
    if (rows.all == all_rows()) return n;
    item const at = find_item(c_.table, count_of::long_rows, rows.from + n);
    return c_.first_row(at.b, at.unit) + at.rest;
  }

  __device__ void select(row_record<Problem> const& next) noexcept {
    row<Problem> const& own = next.own;
    row_rules const& rules = next.rules;
    team& blocks = memory_->rows.blocks;
    std::int32_t const each = round_up_keys(rules.visible, blocks.size);
    std::int32_t const first = smaller(rules.visible, each * blocks.rank);
    key_run const run{next.scores + first, first, smaller(each, rules.visible - first)};
    if (threadIdx.x == 0) memory_->forced = 0;
    __syncthreads();  // the last row is done with its memory
    if (threadIdx.x == 0) blocks.turn ^= 1;
    if (blocks.rank == 0 && threadIdx.x == 0) {
      *reinterpret_cast<std::uint64_t*>(own.state() + last_kept) = ~std::uint64_t{0};
      own.state()[parts_done] = 0;
    }
    found at{{key_of_minus_infinity, 0}, false, -1};
    if (!rules.keeps_all()) at = find_threshold(run, rules, blocks);
    if (at.few) {
      list_writer<Problem>{c_, own, rules, at.limit}.write(survivors_, blocks, memory_->list);
    } else {
      write_from_all(c_, own, rules, at.limit, run, blocks, memory_->list);
    }
    // Behind the writers' exchange, so all are done with it.
    if (at.digit >= 0 && !blocks.alone()) {
      clear(at.digit, blocks);
      if (at.digit == 0) blocks.wait();  // the next row begins with this one
    }
  }

  __device__ __noinline__ static void write_from_all(context<Problem> c, row<Problem> const& own,
                                                     row_rules const& rules, threshold limit,
                                                     key_run run, team& blocks,
                                                     list_memory& memory) noexcept {
    list_writer<Problem>{c, own, rules, limit}.write(run, blocks, memory);
  }

  /// A block's share of a row: whole lines, so that four keys may be read at once.
  [[nodiscard]] __device__ static std::int32_t round_up_keys(std::int32_t keys,
                                                             int blocks) noexcept {
    auto const n = static_cast<std::uint32_t>(keys);
    auto const all = static_cast<std::uint32_t>(blocks) * 32;
    return static_cast<std::int32_t>((n + all - 1) / all * 32);
  }

  /// Counts a digit of a key that shares those above it with the threshold.
  struct counter {
    int shift;
    std::uint32_t least;  ///< of the keys that share the digits known
    std::uint32_t most;   ///< what a key may have above it
    std::uint32_t histogram;

    __device__ counter(int digit, digit_state const& known, std::uint32_t histogram_) noexcept
        : shift(shift_of(digit)),
          least(digit == 0 ? 0x80000000u : known.prefix << shift_of(digit - 1) ^ 0x80000000u),
          most(digit == 0 ? 0xffffffffu : (1u << shift_of(digit - 1)) - 1),
          histogram(histogram_) {}
    __device__ void operator()(ordered_key key) const noexcept {
      std::uint32_t const rest = static_cast<std::uint32_t>(key) - least;
      if (rest <= most) count_shared(histogram + (rest >> shift) * 4);
    }
  };

  // What is not done for most rows is not inlined, and told nothing of the agent by its address:
  // all of it would stand on the stack.

  struct found {
    threshold limit;
    bool few;   ///< what may be kept is among the survivors
    int digit;  ///< the last that was counted, or -1
  };

  /// Meets a histogram of zeros and leaves one.
  [[nodiscard]] __device__ found find_threshold(key_run const& run, row_rules const& rules,
                                                team& blocks) noexcept {
    if (rules.plain) {
      count_first(run);
    } else {
      count_forced(run, rules, memory_->forced);
      count(stream_, counter{0, {}, shared_address(memory_->histogram)}, run, rules);
    }
    digit_state known{};
    bool few = false;
#pragma unroll 1
    for (int digit = 0; digit < digits; ++digit) {
      if (digit > 0 && few) {
        count_survivors(digit, known, rules);
      } else if (digit > 0) {
        count(stream_, counter{digit, known, shared_address(memory_->histogram)}, run, rules);
      }
      std::uint32_t const* histogram = memory_->histogram;
      std::uint32_t const* forced = &memory_->forced;
      if (!blocks.alone()) {
        join(digit, blocks);
        histogram = blocks.memory->histogram[digit];
        forced = &blocks.memory->forced;
      }
      if (digit == 0) {
        known.wanted = static_cast<std::uint32_t>(rules.keep) - *forced;
        // Forced keys fill the budget.
        if (known.wanted == 0) {
          clear_histogram();
          return {{key_of_nan, 0}, false, 0};
        }
      }
      known = find_bin(histogram, digit, known, memory_->search);
      clear_histogram();
      if (digit == 0) {
        // The bin of -inf has no other keys.
        constexpr std::uint32_t least = radix_bits(key_of_minus_infinity) >> shift_of(0);
        if (known.prefix <= least) return {{key_of_minus_infinity, 0}, false, 0};
        take_survivors(run, rules, known);
        few = survivors_.complete();
      }
    }
    return {{static_cast<ordered_key>(known.prefix ^ 0x80000000u), known.wanted}, few, digits - 1};
  }

  /// Keeps what is forced, or has at least the first digit of the threshold.
  __device__ void take_survivors(key_run const& run, row_rules const& rules,
                                 digit_state const& known) noexcept {
    auto const edge = static_cast<ordered_key>(known.prefix << shift_of(0) ^ 0x80000000u);
    if (rules.plain) {
      survivors_.take(run, stream_, [edge](std::int32_t, ordered_key key) { return key >= edge; });
    } else {
      survivors_ = take_by_rules(survivors_, stream_, run, rules, edge);
    }
  }
  [[nodiscard]] __device__ __noinline__ static survivors take_by_rules(survivors keys,
                                                                       key_stream stream,
                                                                       key_run run,
                                                                       row_rules const& rules,
                                                                       ordered_key edge) noexcept {
    keys.take(run, stream, [&](std::int32_t c, ordered_key key) {
      return rules.forced(c) ? key > key_of_minus_infinity : rules.competing(c, key) >= edge;
    });
    return keys;
  }

  /// For all of them; ends with a barrier.
  __device__ void clear_histogram() noexcept {
    for (int i = 4 * static_cast<int>(threadIdx.x); i < most_bins; i += 4 * block_threads) {
      *reinterpret_cast<uint4*>(memory_->histogram + i) = uint4{};
    }
    __syncthreads();
  }

  /// Forced keys above -inf.
  __device__ __noinline__ static void count_forced(key_run run, row_rules const& rules,
                                                   std::uint32_t& sum) noexcept {
    std::uint32_t n = 0;
    for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < run.count;
         i += block_threads) {
      n += rules.forced(run.first + i) && run.keys[i] > key_of_minus_infinity ? 1 : 0;
    }
    if (n > 0) atomicAdd(&sum, n);
  }

  /// The first digit of keys that all compete. Ends with a barrier.
  __device__ void count_first(key_run const& run) noexcept {
    std::uint32_t const histogram = shared_address(memory_->histogram);
    stream_.each(run, [histogram](std::int32_t, ordered_key const(&key)[4]) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        count_shared(histogram + (radix_bits(key[j]) >> shift_of(0)) * 4);
      }
    });
    __syncthreads();
  }

  /// A digit of the keys that share those above it with the threshold. What does not compete is
  /// counted in the lowest bin, below every threshold. Ends with a barrier.
  __device__ __noinline__ static void count(key_stream stream, counter counts, key_run run,
                                            row_rules const& rules) noexcept {
    stream.each(run, [&](std::int32_t i, ordered_key const(&key)[4]) {
#pragma unroll
      for (int j = 0; j < 4; ++j) counts(rules.competing(run.first + i + j, key[j]));
    });
    __syncthreads();
  }
  __device__ void count_survivors(int digit, digit_state const& known,
                                  row_rules const& rules) noexcept {
    counter const counts{digit, known, shared_address(memory_->histogram)};
    std::int32_t const end = survivors_.own().end;
#pragma unroll 2
    for (auto i = static_cast<std::int32_t>(threadIdx.x % 32); i < end; i += 32) {
      auto const [key, index] = survivors_.at(i);
      if (rules.plain || !rules.forced(index)) counts(key);
    }
    __syncthreads();
  }

  /// Adds this block's histogram to the team's and waits for the others. By then all are done with
  /// the digit before.
  __device__ void join(int digit, team& blocks) noexcept {
    team_memory& all = *blocks.memory;
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
    team_memory& all = *blocks.memory;
    int const first = blocks.rank * block_threads + static_cast<int>(threadIdx.x);
    for (int i = first; i < bins_of(digit); i += blocks.size * block_threads) {
      all.histogram[digit][i] = 0;
    }
    if (digit == 0 && first == 0) all.forced = 0;
  }

  context<Problem> const& c_;
  select_memory<Problem>* memory_;
  key_stream const stream_;
  survivors survivors_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
