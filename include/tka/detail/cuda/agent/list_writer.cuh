// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// From a threshold to the list of what a row keeps.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/block/survivors.cuh>
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

/// Shared memory of a list writer.
struct list_memory {
  kept_counts of_warp[block_warps];
};

/// Writes the kept keys of a row, ascending. Each warp of each block of the team has a share of the
/// row: what is kept of it is counted, then written, with one exchange between.
template <class Problem>
class list_writer {
 public:
  __device__ list_writer(context<Problem> const& c, row<Problem> const& own, row_rules const& rules,
                         threshold const& limit) noexcept
      : rules_(rules), limit_(limit), state_(own.state()) {
    if constexpr (Problem::attends) {
      index_ = own.index();
      key_ = own.key();
    }
    if (!c.lists) return;
    location const at = own.query(c);
    if (c.a.positions) positions_ = c.a.positions.at(at.outer, own.scope_head, at.token);
    if (c.a.scores) scores_ = c.a.scores.at(at.outer, own.scope_head, at.token);
    wants_last_ = c.a.threshold_score || c.a.threshold_position;
  }

  /// All threads of the team; `keys` are among others all that are kept of a block's share.
  __device__ void write(key_run const& keys, team& blocks, list_memory& shared) noexcept {
    write_as<false>(keys, blocks, shared);
  }
  __device__ void write(survivors const& keys, team& blocks, list_memory& shared) noexcept {
    // Usually a threshold decides alone, and the list stays here.
    bool const asked = positions_ != nullptr || scores_ != nullptr || wants_last_;
    if (Problem::attends && rules_.plain && !asked) {
      write_as<true>(keys, blocks, shared);
    } else {
      write_as<false>(keys, blocks, shared);
    }
  }

 private:
  static constexpr unsigned all_lanes = 0xffffffffu;

  /// Short: the threshold decides alone, and the list stays in scratch.
  template <bool Short, class Keys>
  __device__ void write_as(Keys const& keys, team& blocks, list_memory& shared) noexcept {
    auto const warp = static_cast<int>(threadIdx.x / 32);
    kept_counts const own = count<Short>(keys);
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
    if (blocks.rank + 1 == blocks.size && threadIdx.x == 0) {
      state_[selected_count] = all.above + smaller(all.equal, limit_.ties);
    }
    if (own.above + own.equal == 0) return;
    put_kept<Short>(keys, before);
    if constexpr (!Short) note_last();
  }

  __device__ static void add(kept_counts& sum, kept_counts const& n) noexcept {
    sum.above += n.above;
    sum.equal += n.equal;
  }

  /// Of this warp's keys.
  template <bool Short, class Keys>
  [[nodiscard]] __device__ kept_counts count(Keys const& keys) const noexcept {
    kept_counts n{};
    auto const [begin, end] = keys.own();
#pragma unroll 2
    for (std::int32_t i = begin + lane(); i < end; i += 32) {
      auto const [key, index] = keys.at(i);
      kept const k = rules_.template judge<Short>(limit_, index, key);
      n.above += k == kept::surely ? 1 : 0;
      n.equal += k == kept::tie ? 1 : 0;
    }
    return {__reduce_add_sync(all_lanes, n.above), __reduce_add_sync(all_lanes, n.equal)};
  }

  /// `before` lie in front of this warp's. Of the keys that equal the threshold the first of a row
  /// stay.
  template <bool Short, class Keys>
  __device__ void put_kept(Keys const& keys, kept_counts before) noexcept {
    unsigned const lower = (1u << lane()) - 1;
    auto const [begin, end] = keys.own();
#pragma unroll 1
    for (std::int32_t first = begin; first < end; first += 32) {
      std::int32_t const i = first + lane();
      key_place at{key_of_nothing, 0};
      if (i < end) at = keys.at(i);
      kept const k = rules_.template judge<Short>(limit_, at.index, at.key);
      unsigned const above = __ballot_sync(all_lanes, k == kept::surely);
      unsigned const equal = __ballot_sync(all_lanes, k == kept::tie);
      std::uint32_t const tie = before.equal + __popc(equal & lower);
      if (k == kept::surely || (k == kept::tie && tie < limit_.ties)) {
        put<Short>(before.above + __popc(above & lower) + smaller(tie, limit_.ties), at);
      }
      before.above += __popc(above);
      before.equal += __popc(equal);
    }
  }

  [[nodiscard]] __device__ static int lane() noexcept { return static_cast<int>(threadIdx.x % 32); }

  template <bool Short>
  __device__ void put(std::uint32_t slot, key_place const& at) noexcept {
    std::int32_t const local = rules_.local(at.index);
    if constexpr (Problem::attends) {
      index_[slot] = local;
      key_[slot] = at.key;
    }
    if constexpr (!Short) {
      if (positions_ != nullptr) {
        positions_[slot] = static_cast<std::int32_t>(global_position(rules_.shard, local));
      }
      if (scores_ != nullptr) scores_[slot] = from_ordered(at.key);
      if (wants_last_ && !rules_.forced(at.index)) {
        // Smaller means later in the order: a smaller key, or an equal one at a larger position.
        last_ = smaller(last_, std::uint64_t{radix_bits(at.key)} << 32 |
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
    auto& counts = blocks.memory->counts[blocks.turn];
    if (threadIdx.x == 0) {
      counts[blocks.rank][0] = own.above;
      counts[blocks.rank][1] = own.equal;
    }
    blocks.wait();
    kept_counts sum{};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      int const rank = lane() + 32 * i;
      if (rank < blocks.rank) add(sum, {counts[rank][0], counts[rank][1]});
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
