// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stage of `synthetic_fidelity`: of a slot's keys all leave the competition but those drawn
/// from the true top and those that fill up; the selection stage then meets these alone.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/stage/stage.cuh>
#include <tka/detail/cuda/tuning/block.cuh>
#include <tka/detail/cuda/work/geometry.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/schedule.cuh>
#include <tka/detail/cuda/work/selection_rules.cuh>
#include <tka/detail/cuda/work/slot.cuh>
#include <tka/detail/cuda/work/slot_record.cuh>
#include <tka/detail/cuda/work/view.cuh>
#include <tka/detail/cuda/work/wave.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/select/fidelity.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// A rank as one number, larger first: its order, then the earlier key. 0: not in the ranking.
using rank_word = std::uint64_t;

/// A block a slot. Every draw is an exact radix select over unique ranks: no ties are left.
template <class Problem>
class draw_fidelity_agent {
 public:
  /// In shared memory.
  struct memory {
    std::uint32_t histogram[256];
    std::uint32_t bin;
    std::uint32_t wanted;
    std::uint32_t competing;
    std::uint32_t forced;
  };

  __device__ draw_fidelity_agent(wave_view<Problem> const& c, fidelity_numbers const& numbers,
                                 memory& shared) noexcept
      : c_(c), numbers_(numbers), memory_(shared) {}

  __device__ void run() noexcept {
    std::int32_t const blocks = attend_blocks<Problem>(c_.p.shape);
    share const s = c_.shares[count_of::slots];
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = c_.at(count_of::slots, n);
      if (at.rest % blocks != 0) continue;
      auto const& record =
          slot_record<Problem>::of(c_, c_.first_slot(at.b, at.unit) + at.rest / blocks);
      if (record.own.exists && !record.rules.keeps_all()) thin_out(record);
    }
  }

 private:
  static constexpr rank_word none_reaches = ~rank_word{0};

  /// The two rankings of a slot's keys: by score, and by draw.
  struct ranking {
    ordered_key const* scores;
    selection_rules const& rules;
    std::uint64_t stream;

    [[nodiscard]] __device__ rank_word by_key(std::int32_t c) const noexcept {
      ordered_key const key = rules.competing(c, scores[c]);
      return key <= key_of_minus_infinity ? 0 : word(radix_bits(key), c);
    }
    [[nodiscard]] __device__ rank_word by_draw(std::int32_t c) const noexcept {
      std::int64_t const position = global_position(rules.shard, rules.local(c));
      return word(static_cast<std::uint32_t>(fidelity_numbers::draw(stream, position)), c);
    }

   private:
    [[nodiscard]] __device__ static rank_word word(std::uint32_t order, std::int32_t c) noexcept {
      return rank_word{order} << 32 | ~static_cast<std::uint32_t>(c);
    }
  };

  __device__ void thin_out(slot_record<Problem> const& record) noexcept {
    selection_rules const& rules = record.rules;
    auto const& own = record.own;
    std::int64_t const position = position_of_query<Problem>(c_.a, own.entry->of, own.token);
    ranking const rank{record.scores, rules, numbers_.stream(position, own.scope_head)};
    count(rank);
    auto const keys = static_cast<std::int32_t>(memory_.competing);
    std::int32_t const top = rules.keep - static_cast<std::int32_t>(memory_.forced);
    if (keys <= top || top <= 0) return;
    std::int32_t const kept = numbers_.kept(top, keys);
    bool const random = numbers_.fill == fill::random;

    rank_word const top_limit =
        nth_largest(rules.visible, top, [&](std::int32_t c) { return rank.by_key(c); });
    rank_word const kept_limit = nth_largest(rules.visible, kept, [&](std::int32_t c) {
      return rank.by_key(c) >= top_limit ? rank.by_draw(c) : 0;
    });
    rank_word const fill_limit = nth_largest(rules.visible, top - kept, [&](std::int32_t c) {
      rank_word const word = rank.by_key(c);
      return word == 0 || word >= top_limit ? 0 : random ? rank.by_draw(c) : word;
    });
    for (auto c = static_cast<std::int32_t>(threadIdx.x); c < rules.visible; c += block_threads) {
      rank_word const word = rank.by_key(c);
      if (word == 0) continue;
      bool const stays = word >= top_limit ? rank.by_draw(c) >= kept_limit
                                           : (random ? rank.by_draw(c) : word) >= fill_limit;
      if (!stays) record.scores[c] = key_of_nothing;
    }
  }

  /// Keys that compete, and those that are forced and there.
  __device__ void count(ranking const& rank) noexcept {
    __syncthreads();  // the last slot is done with the memory
    if (threadIdx.x == 0) memory_.competing = memory_.forced = 0;
    __syncthreads();
    std::uint32_t competing = 0;
    std::uint32_t forced = 0;
    for (auto c = static_cast<std::int32_t>(threadIdx.x); c < rank.rules.visible;
         c += block_threads) {
      competing += rank.by_key(c) != 0 ? 1 : 0;
      forced += rank.rules.forced(c) && rank.scores[c] > key_of_minus_infinity ? 1 : 0;
    }
    if (competing > 0) atomicAdd(&memory_.competing, competing);
    if (forced > 0) atomicAdd(&memory_.forced, forced);
    __syncthreads();
  }

  /// The n-th largest of rank(c), c < count, that are not 0; there are as many. With n = 0 what
  /// none reaches. All threads; ends with a barrier.
  template <class Rank>
  [[nodiscard]] __device__ rank_word nth_largest(std::int32_t count, std::int32_t n,
                                                 Rank const& rank) noexcept {
    if (n == 0) return none_reaches;
    auto wanted = static_cast<std::uint32_t>(n);
    rank_word known = 0;
#pragma unroll 1
    for (int shift = 56; shift >= 0; shift -= 8) {
      for (int i = static_cast<int>(threadIdx.x); i < 256; i += block_threads) {
        memory_.histogram[i] = 0;
      }
      __syncthreads();
      for (auto c = static_cast<std::int32_t>(threadIdx.x); c < count; c += block_threads) {
        rank_word const word = rank(c);
        bool const counts = word != 0 && (shift == 56 || word >> (shift + 8) == known);
        if (counts) atomicAdd(&memory_.histogram[(word >> shift) & 255], 1u);
      }
      __syncthreads();
      if (threadIdx.x == 0) {
        std::uint32_t bin = 255;
        while (bin > 0 && memory_.histogram[bin] < wanted) wanted -= memory_.histogram[bin--];
        memory_.bin = bin;
        memory_.wanted = wanted;
      }
      __syncthreads();
      known = known << 8 | memory_.bin;
      wanted = memory_.wanted;
    }
    return known;
  }

  wave_view<Problem> const& c_;
  fidelity_numbers const& numbers_;
  memory& memory_;
};

template <class Problem>
struct draw_fidelity {
  using problem = Problem;
  using agent = draw_fidelity_agent<Problem>;
  static constexpr char const* name = "draw_fidelity";
  static constexpr count_of items = count_of::slots;
  static constexpr known shares = known::own;
  static constexpr starts start = starts::after_all;
  static constexpr int threads = block_threads;
  static constexpr int resident_blocks = 4;
  static constexpr bool cooperative = false;

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool serves(plan const&) noexcept { return true; }
  [[nodiscard]] static constexpr int blocks(plan const&, plan_numbers const& n) noexcept {
    return n.multiprocessors * resident_blocks;
  }
  [[nodiscard]] static constexpr int bytes(plan const&, plan_numbers const&) noexcept {
    return static_cast<int>(sizeof(typename agent::memory));
  }

  template <int Threads, class Ready>
  __device__ static void run(stage_call<Problem> const& s, Ready&& ready) noexcept {
    static_assert(Threads == block_threads);
    ready();
    agent{s.view, s.w.selector, *reinterpret_cast<typename agent::memory*>(s.shared)}.run();
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
