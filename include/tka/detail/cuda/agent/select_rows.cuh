// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The second stage where a wave has many rows: a block selects a whole row on its own.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/find_bin.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/row_rules.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Shared memory of this stage.
struct select_memory {
  std::uint32_t histogram[most_bins];
  digit_memory search;
  std::uint32_t forced;
};

/// Counts one digit of the keys of a row that compete and share the digits above with the
/// threshold, and, with the first digit, the forced keys.
struct digit_counter {
  row_rules const rules;
  int shift;
  int above;
  std::uint32_t mask;
  bool first;
  std::uint32_t prefix;
  std::uint32_t* histogram;
  std::uint32_t forced = 0;

  __device__ digit_counter(row_rules const& of, int digit, digit_state const& known,
                           std::uint32_t* counts) noexcept
      : rules(of),
        shift(shift_of(digit)),
        above(digit == 0 ? 0 : shift_of(digit - 1)),
        mask(bins_of(digit) - 1u),
        first(digit == 0),
        prefix(known.prefix),
        histogram(counts) {}

  __device__ void look(std::int32_t c, ordered_key key) noexcept {
    std::uint32_t const bits = radix_bits(key);
    if (!first && bits >> above != prefix) return;
    if (key <= key_of_minus_infinity) return;
    if (rules.plain) {
      atomicAdd(&histogram[bits >> shift & mask], 1u);
    } else if (rules.forced(c)) {
      ++forced;
    } else if (rules.passes(c, key)) {
      atomicAdd(&histogram[bits >> shift & mask], 1u);
    }
  }
};

/// The k largest keys of a row, exactly: three counts and a list. A row that fits stays in shared
/// memory meanwhile. No buffer can overflow, and time does not depend on the scores.
template <class Problem>
class select_rows_agent {
 public:
  __device__ select_rows_agent(context<Problem> const& c, char* memory, int bytes) noexcept
      : c_(c),
        memory_(reinterpret_cast<select_memory*>(memory)),
        kept_(reinterpret_cast<int4*>(memory + sizeof(select_memory))),
        room_((bytes - static_cast<int>(sizeof(select_memory))) / 4) {
    static_assert(sizeof(select_memory) % 16 == 0);
  }

  __device__ void run() noexcept {
    std::int32_t const blocks = Problem::attends ? attend_blocks<Problem>(c_.p.shape) : 1;
    share const s = c_.shares[count_of::rows];
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = c_.at(count_of::rows, n);
      if (at.rest % blocks != 0) continue;
      row<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / blocks)};
      if (!own.exists) continue;
      select(own, rules_of<Problem>(c_, own));
    }
  }

 private:
  __device__ void select(row<Problem> const& own, row_rules const& rules) noexcept {
    std::int32_t const visible = rules.visible;
    ordered_key const* keys = own.scores();
    __syncthreads();  // the last row is done with its memory
    threshold limit{key_of_minus_infinity, 0};
    if (!rules.keeps_all()) {
      bool const fits = visible + 3 <= room_;
      if (threadIdx.x == 0) memory_->forced = 0;
      clear_histogram(0);
      count(0, keys, fits ? kept_ : nullptr, rules, {});
      if (fits) keys = reinterpret_cast<ordered_key const*>(kept_);
      digit_state known{0, static_cast<std::uint32_t>(rules.keep) - memory_->forced};
      known = find_bin(memory_->histogram, 0, known, memory_->search);
#pragma unroll 1
      for (int digit = 1; digit < digits && !known.ended(); ++digit) {
        __syncthreads();
        clear_histogram(digit);
        count(digit, keys, nullptr, rules, known);
        known = find_bin(memory_->histogram, digit, known, memory_->search);
      }
      if (!known.ended()) {
        limit = {static_cast<ordered_key>(known.prefix ^ 0x80000000u), known.wanted};
      } else if (known.wanted == 0) {
        limit.key = key_of_nan;  // forced keys fill the budget
      }
    }
    list_writer<Problem> writer{c_, own, rules, limit, memory_->search.sums};
    kept_counts all{};
    std::int32_t const chunks = static_cast<std::int32_t>(ceil_div(visible, chunk_keys));
    for (std::int32_t chunk = 0; chunk < chunks; ++chunk) {
      writer.write(own_keys{keys, chunk, visible}, all);
    }
    writer.note_last();
    if (threadIdx.x == 0) writer.end(all);
  }

  __device__ void clear_histogram(int digit) noexcept {
    for (int i = static_cast<int>(threadIdx.x); i < bins_of(digit); i += block_threads) {
      memory_->histogram[i] = 0;
    }
    __syncthreads();
  }

  /// Counts a digit of the keys that share the digits above with the threshold; the first count
  /// also copies the row. Ends with a barrier.
  __device__ __noinline__ void count(int digit, ordered_key const* keys, int4* copy,
                                     row_rules const& rules, digit_state const& known) noexcept {
    digit_counter counter{rules, digit, known, memory_->histogram};
    std::int32_t const visible = rules.visible;
    auto const fours = static_cast<std::int32_t>(ceil_div(visible, 4));
    auto const* const from = reinterpret_cast<int4 const*>(keys);
    auto at = static_cast<std::int32_t>(threadIdx.x);
    // Two loads are under way while a third is looked at.
    int4 next = at < fours ? from[at] : int4{};
    int4 behind = at + block_threads < fours ? from[at + block_threads] : int4{};
#pragma unroll 1
    for (; at < fours; at += block_threads) {
      int4 const four = next;
      next = behind;
      if (at + 2 * block_threads < fours) behind = from[at + 2 * block_threads];
      if (copy != nullptr) copy[at] = four;
      std::int32_t const c = 4 * at;
      counter.look(c, four.x);
      if (c + 1 < visible) counter.look(c + 1, four.y);
      if (c + 2 < visible) counter.look(c + 2, four.z);
      if (c + 3 < visible) counter.look(c + 3, four.w);
    }
    if (digit == 0 && counter.forced > 0) atomicAdd(&memory_->forced, counter.forced);
    __syncthreads();
  }

  context<Problem> const& c_;
  select_memory* memory_;
  int4* kept_;
  std::int32_t room_;  ///< keys that may stay in shared memory
};

}  // namespace tka::inline TKA_ABI::detail::cuda
