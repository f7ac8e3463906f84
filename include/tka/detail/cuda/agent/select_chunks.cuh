// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The second stage where a wave has few, long rows: all blocks count and list chunks of them, with
/// a barrier over the grid behind each step.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/select_rows.cuh>
#include <tka/detail/cuda/block/find_bin.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/row_rules.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// The same set as `select_rows_agent`, by the same counts.
template <class Problem>
class select_chunks_agent {
 public:
  __device__ select_chunks_agent(context<Problem> const& c, char* memory) noexcept
      : c_(c), memory_(reinterpret_cast<select_memory*>(memory)) {}

  /// Steps 0, 1 and 2: counts a digit of the keys that share the digits above with the threshold.
  __device__ void count_digit(int digit) noexcept {
    each_run(
        [&](row<Problem> const& own, row_rules const& rules, std::int32_t from, std::int32_t to) {
          // All visible keys are kept: there is nothing to find.
          if (rules.keeps_all()) return;
          count(own, rules, digit, from, to);
        });
  }

  /// Step 3: in each chunk, how many keys are kept for sure and how many equal the threshold.
  __device__ void count_kept() noexcept {
    each_run(
        [&](row<Problem> const& own, row_rules const& rules, std::int32_t from, std::int32_t to) {
          threshold const limit = find_threshold(own, rules, from == 0);
          for (std::int32_t chunk = from; chunk < to; ++chunk) {
            std::uint32_t counts = 0;
            own_keys const keys{own.scores(), chunk, rules.visible};
            keys.each([&](std::int32_t c, ordered_key key, int) {
              kept const k = rules.judge(limit, c, key);
              counts += k == kept::surely ? 1u << 16 : k == kept::tie ? 1u : 0u;
            });
            std::uint32_t total = 0;
            (void)sum_of_warps_before(counts, memory_->search.sums, total);
            if (threadIdx.x == 0) {
              own.counts(chunk)[0] = total >> 16;
              own.counts(chunk)[1] = total & 0xffffu;
            }
          }
        });
  }

  /// Step 4: writes the lists.
  __device__ void list() noexcept {
    each_run(
        [&](row<Problem> const& own, row_rules const& rules, std::int32_t from, std::int32_t to) {
          threshold const limit{static_cast<ordered_key>(own.state()[threshold_key]),
                                own.state()[threshold_ties]};
          kept_counts before = counts_before(own, from);
          list_writer<Problem> writer{c_, own, rules, limit, memory_->search.sums};
          for (std::int32_t chunk = from; chunk < to; ++chunk) {
            writer.write(own_keys{own.scores(), chunk, rules.visible}, before);
          }
          writer.note_last();
          if (threadIdx.x == 0 && to == own.entry->extent.chunks) writer.end(before);
        });
  }

 private:
  /// use(row, rules, first chunk, last chunk) for this block's chunks, a run of each row.
  template <class Use>
  __device__ void each_run(Use&& use) noexcept {
    share const s = c_.shares[count_of::chunks];
    for (std::int64_t n = s.begin; n < s.end;) {
      item const at = c_.at(count_of::chunks, n);
      std::int32_t const chunks = c_.table.entries[at.b].extent.chunks;
      auto const from = static_cast<std::int32_t>(at.rest % chunks);
      auto const to = static_cast<std::int32_t>(smaller<std::int64_t>(chunks, from + (s.end - n)));
      n += to - from;
      row<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / chunks)};
      if (!own.exists) continue;
      __syncthreads();  // the last run is done with its memory
      use(own, rules_of<Problem>(c_, own), from, to);
    }
  }

  __device__ void count(row<Problem> const& own, row_rules const& rules, int digit,
                        std::int32_t from, std::int32_t to) noexcept {
    auto const thread = static_cast<int>(threadIdx.x);
    digit_state known{};
    if (digit > 0) {
      known = known_after(own, rules, digit - 1, from == 0);
      if (known.ended()) return;
    }
    __syncthreads();
    for (int i = thread; i < bins_of(digit); i += block_threads) memory_->histogram[i] = 0;
    __syncthreads();
    digit_counter counter{rules, digit, known, memory_->histogram};
#pragma unroll 1
    for (std::int32_t chunk = from; chunk < to; ++chunk) {
      own_keys{own.scores(), chunk, rules.visible}.each(
          [&](std::int32_t c, ordered_key key, int) { counter.look(c, key); });
    }
    __syncthreads();
    for (int i = thread; i < bins_of(digit); i += block_threads) {
      std::uint32_t const n = memory_->histogram[i];
      if (n > 0) atomicAdd(&own.histogram(digit)[i], n);
    }
    if (digit == 0 && counter.forced > 0) {
      atomicAdd(&own.state()[forced_count], counter.forced);
    }
  }

  /// What is known of the threshold after digit `digit`, which all blocks have counted. `notes`:
  /// this block leaves it in the row's state for the next step.
  [[nodiscard]] __device__ digit_state known_after(row<Problem> const& own, row_rules const& rules,
                                                   int digit, bool notes) noexcept {
    std::uint32_t* const state = own.state();
    digit_state known{};
    if (digit == 0) {
      known.wanted = static_cast<std::uint32_t>(rules.keep) - state[forced_count];
    } else {
      known = {state[digit_prefix + digit - 1], state[digit_wanted + digit - 1]};
    }
    known = find_bin(own.histogram(digit), digit, known, memory_->search);
    if (notes && threadIdx.x == 0 && digit < 2) {
      state[digit_prefix + digit] = known.prefix;
      state[digit_wanted + digit] = known.wanted;
    }
    return known;
  }

  [[nodiscard]] __device__ threshold find_threshold(row<Problem> const& own, row_rules const& rules,
                                                    bool notes) noexcept {
    threshold limit{key_of_minus_infinity, 0};
    if (!rules.keeps_all()) {
      digit_state const known = known_after(own, rules, 2, false);
      if (!known.ended()) {
        limit = {static_cast<ordered_key>(known.prefix ^ 0x80000000u), known.wanted};
      } else if (known.wanted == 0) {
        limit.key = key_of_nan;  // forced keys fill the budget
      }
    }
    if (notes && threadIdx.x == 0) {
      own.state()[threshold_key] = static_cast<std::uint32_t>(limit.key);
      own.state()[threshold_ties] = limit.ties;
    }
    return limit;
  }

  [[nodiscard]] __device__ kept_counts counts_before(row<Problem> const& own,
                                                     std::int32_t chunk) noexcept {
    kept_counts own_share{};
    for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < chunk; i += block_threads) {
      own_share.above += own.counts(i)[0];
      own_share.equal += own.counts(i)[1];
    }
    kept_counts all{};
    (void)sum_of_warps_before(own_share.above, memory_->search.sums, all.above);
    (void)sum_of_warps_before(own_share.equal, memory_->search.sums, all.equal);
    return all;
  }

  context<Problem> const& c_;
  select_memory* memory_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
