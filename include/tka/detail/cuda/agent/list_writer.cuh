// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// From a threshold to the list of what a row keeps.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/block/team.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/row_rules.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// How many of each there are.
struct kept_counts {
  std::uint32_t above = 0;
  std::uint32_t equal = 0;
};

/// Keys of a row next to one another: `keys[i]` is compact index `first` + i.
struct key_run {
  ordered_key const* keys;
  std::int32_t first;
  std::int32_t count;
};

/// Shared memory of a list writer.
struct list_memory {
  kept_counts of_warp[block_warps];
};

/// Writes the kept keys of a row, ascending. Each warp of each block of the team has keys next to
/// one another: all are counted, then all are written, with one exchange between.
template <class Problem>
class list_writer {
 public:
  __device__ list_writer(context<Problem> const& c, row<Problem> const& own, row_rules const& rules,
                         threshold const& limit) noexcept
      : rules_(rules), limit_(limit), state_(own.state()) {
    location const at = own.query(c);
    if constexpr (Problem::attends) {
      index_ = own.index();
      key_ = own.key();
    }
    if (c.a.positions) positions_ = c.a.positions.at(at.outer, own.scope_head, at.token);
    if (c.a.scores) scores_ = c.a.scores.at(at.outer, own.scope_head, at.token);
    wants_last_ = c.a.threshold_score || c.a.threshold_position;
  }

  /// All threads of the team.
  __device__ void write(key_run const& run, team& blocks, list_memory& shared) noexcept {
    // Usually a threshold decides alone, and the list stays here.
    bool const asked = positions_ != nullptr || scores_ != nullptr || wants_last_;
    if (Problem::attends && rules_.plain && !asked) {
      write_as<true>(run, blocks, shared);
    } else {
      write_as<false>(run, blocks, shared);
    }
  }

 private:
  static constexpr int together = 4;  // keys that a lane looks at in one go
  static constexpr int warp_keys = 32 * together;
  static constexpr unsigned all_lanes = 0xffffffffu;

  /// Short: the threshold decides alone, and the list stays in scratch.
  template <bool Short>
  __device__ void write_as(key_run const& run, team& blocks, list_memory& shared) noexcept {
    auto const warp = static_cast<int>(threadIdx.x / 32);
    auto const each = static_cast<std::int32_t>(
        (static_cast<std::uint32_t>(run.count) + warp_keys * block_warps - 1) /
        (warp_keys * block_warps) * warp_keys);
    std::int32_t const begin = smaller(run.count, each * warp);
    std::int32_t const end = smaller(run.count, begin + each);
    kept_counts const own = count<Short>(run, begin, end);
    if (lane() == 0) shared.of_warp[warp] = own;
    __syncthreads();
    kept_counts before{};
    kept_counts all{};
#pragma unroll
    for (int w = 0; w < block_warps; ++w) {
      kept_counts const n = shared.of_warp[w];
      if (w < warp) add(before, n);
      add(all, n);
    }
    if (!blocks.alone()) {
      kept_counts const earlier = of_earlier_blocks(all, blocks);
      add(before, earlier);
      add(all, earlier);
    }
    if (blocks.rank() + 1 == blocks.size() && threadIdx.x == 0) {
      state_[selected_count] = all.above + smaller(all.equal, limit_.ties);
    }
    if (own.above + own.equal == 0) return;
    if constexpr (Short) {
      put_above(run, begin, end, last_tie(run, begin, end, before.equal, own.equal),
                before.above + smaller(before.equal, limit_.ties));
    } else {
      put_kept(run, begin, end, before);
      note_last();
    }
  }

  __device__ static void add(kept_counts& sum, kept_counts const& n) noexcept {
    sum.above += n.above;
    sum.equal += n.equal;
  }

  /// Keys i, i + 32, ... below `end`; those behind it are below all.
  __device__ static void load(key_run const& run, std::int32_t i, std::int32_t end,
                              ordered_key (&key)[together]) noexcept {
#pragma unroll
    for (int j = 0; j < together; ++j) {
      key[j] = i + 32 * j < end ? run.keys[i + 32 * j] : key_of_nothing;
    }
  }

  /// `count` and `put_...` look at [begin, end) with a warp.
  template <bool Short>
  [[nodiscard]] __device__ kept_counts count(key_run const& run, std::int32_t begin,
                                             std::int32_t end) const noexcept {
    kept_counts n{};
#pragma unroll 1
    for (std::int32_t i = begin + lane(); i < end; i += warp_keys) {
      ordered_key key[together];
      load(run, i, end, key);
#pragma unroll
      for (int j = 0; j < together; ++j) {
        kept const k = rules_.template judge<Short>(limit_, run.first + i + 32 * j, key[j]);
        n.above += k == kept::surely ? 1 : 0;
        n.equal += k == kept::tie ? 1 : 0;
      }
    }
    return {__reduce_add_sync(all_lanes, n.above), __reduce_add_sync(all_lanes, n.equal)};
  }

  /// Of the keys that equal the threshold the first of a row stay: up to which index. `before` lie
  /// in front of this warp's, which has `own`.
  [[nodiscard]] __device__ std::int32_t last_tie(key_run const& run, std::int32_t begin,
                                                 std::int32_t end, std::uint32_t before,
                                                 std::uint32_t own) const noexcept {
    if (limit_.ties == 0) return -1;
    if (before + own <= limit_.ties) return end;
    if (before >= limit_.ties) return -1;
    // One warp of a row comes here.
    std::uint32_t left = limit_.ties - before;
#pragma unroll 1
    for (std::int32_t first = begin; first < end; first += 32) {
      std::int32_t const i = first + lane();
      unsigned const equal = __ballot_sync(all_lanes, i < end && run.keys[i] == limit_.key);
      auto const n = static_cast<std::uint32_t>(__popc(equal));
      if (n >= left)
        return first + static_cast<std::int32_t>(__fns(equal, 0, static_cast<int>(left)));
      left -= n;
    }
    return end;
  }

  /// Keys above the threshold, and those equal to it up to `last_tie`; the first to `slot`.
  __device__ void put_above(key_run const& run, std::int32_t begin, std::int32_t end,
                            std::int32_t last_tie, std::uint32_t slot) noexcept {
    unsigned const lower = (1u << lane()) - 1;
#pragma unroll 1
    for (std::int32_t first = begin; first < end; first += warp_keys) {
      ordered_key key[together];
      load(run, first + lane(), end, key);
#pragma unroll
      for (int j = 0; j < together; ++j) {
        std::int32_t const i = first + lane() + 32 * j;
        bool const stays = key[j] > limit_.key || (key[j] == limit_.key && i <= last_tie);
        unsigned const kept_here = __ballot_sync(all_lanes, stays);
        if (stays) put<true>(slot + __popc(kept_here & lower), run.first + i, key[j]);
        slot += __popc(kept_here);
      }
    }
  }

  __device__ void put_kept(key_run const& run, std::int32_t begin, std::int32_t end,
                           kept_counts before) noexcept {
    unsigned const lower = (1u << lane()) - 1;
#pragma unroll 1
    for (std::int32_t first = begin; first < end; first += 32) {
      std::int32_t const i = first + lane();
      ordered_key const key = i < end ? run.keys[i] : key_of_nothing;
      kept const k = rules_.template judge<false>(limit_, run.first + i, key);
      unsigned const above = __ballot_sync(all_lanes, k == kept::surely);
      unsigned const equal = __ballot_sync(all_lanes, k == kept::tie);
      std::uint32_t const tie = before.equal + __popc(equal & lower);
      if (k == kept::surely || (k == kept::tie && tie < limit_.ties)) {
        put<false>(before.above + __popc(above & lower) + smaller(tie, limit_.ties), run.first + i,
                   key);
      }
      before.above += __popc(above);
      before.equal += __popc(equal);
    }
  }

  [[nodiscard]] __device__ static int lane() noexcept { return static_cast<int>(threadIdx.x % 32); }

  template <bool Short>
  __device__ void put(std::uint32_t slot, std::int32_t c, ordered_key key) noexcept {
    std::int32_t const local = rules_.local(c);
    if constexpr (Problem::attends) {
      index_[slot] = local;
      key_[slot] = key;
    }
    if constexpr (!Short) {
      if (positions_ != nullptr) {
        positions_[slot] = static_cast<std::int32_t>(global_position(rules_.shard, local));
      }
      if (scores_ != nullptr) scores_[slot] = from_ordered(key);
      if (wants_last_ && !rules_.forced(c)) {
        // Smaller means later in the order: a smaller key, or an equal one at a larger position.
        last_ = smaller(last_, std::uint64_t{radix_bits(key)} << 32 |
                                   (0x7fffffffu - static_cast<std::uint32_t>(local)));
      }
    }
  }

  /// Tells the row which of its keys is the last in the order, if the caller asks for it.
  __device__ void note_last() noexcept {
    if (last_ != ~std::uint64_t{0}) {
      atomicMin(reinterpret_cast<unsigned long long*>(state_ + last_kept),
                static_cast<unsigned long long>(last_));
    }
  }

  /// What blocks of a lower rank keep; `own` is told to the others.
  [[nodiscard]] __device__ static kept_counts of_earlier_blocks(kept_counts const& own,
                                                                team& blocks) noexcept {
    static_assert(most_team <= 64);
    auto& counts = blocks.memory().counts[blocks.turn()];
    if (threadIdx.x == 0) {
      counts[blocks.rank()][0] = own.above;
      counts[blocks.rank()][1] = own.equal;
    }
    blocks.wait();
    kept_counts sum{};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      int const rank = lane() + 32 * i;
      if (rank < blocks.rank()) add(sum, {counts[rank][0], counts[rank][1]});
    }
    return {__reduce_add_sync(all_lanes, sum.above), __reduce_add_sync(all_lanes, sum.equal)};
  }

  row_rules const& rules_;
  threshold const limit_;
  std::uint32_t* state_;
  std::int32_t* index_ = nullptr;
  ordered_key* key_ = nullptr;
  std::int32_t* positions_ = nullptr;
  float* scores_ = nullptr;
  bool wants_last_ = false;
  std::uint64_t last_ = ~std::uint64_t{0};
};

}  // namespace tka::inline TKA_ABI::detail::cuda
