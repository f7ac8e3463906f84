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

  template <bool Short>
  __device__ void write_as(key_run const& run, team& blocks, list_memory& shared) noexcept {
    auto const warp = static_cast<int>(threadIdx.x / 32);
    auto const each = static_cast<std::int32_t>(
        (static_cast<std::uint32_t>(run.count) + warp_keys * block_warps - 1) /
        (warp_keys * block_warps) * warp_keys);
    std::int32_t const begin = smaller(run.count, each * warp);
    std::int32_t const end = smaller(run.count, begin + each);
    kept_counts const own = count<Short>(run, begin, end);
    if (threadIdx.x % 32 == 0) shared.of_warp[warp] = own;
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
    if (own.above + own.equal > 0) put_kept<Short>(run, begin, end, before);
    if constexpr (!Short) note_last();
  }

  __device__ static void add(kept_counts& sum, kept_counts const& n) noexcept {
    sum.above += n.above;
    sum.equal += n.equal;
  }

  /// Bit j stands for key j of a lane.
  struct kept_bits {
    unsigned above = 0;
    unsigned equal = 0;
  };

  /// Of keys [i, end) at most four, where i is a multiple of four.
  template <bool Short>
  [[nodiscard]] __device__ kept_bits judge(key_run const& run, std::int32_t i, std::int32_t end,
                                           ordered_key (&key)[together]) const noexcept {
    kept_bits bits{};
    if (i >= end) return bits;
    int4 const four = *reinterpret_cast<int4 const*>(run.keys + i);
    key[0] = four.x;
    key[1] = four.y;
    key[2] = four.z;
    key[3] = four.w;
#pragma unroll
    for (int j = 0; j < together; ++j) {
      if (j > 0 && i + j >= end) key[j] = key_of_nothing;
      kept const k = rules_.template judge<Short>(limit_, run.first + i + j, key[j]);
      bits.above |= k == kept::surely ? 1u << j : 0u;
      bits.equal |= k == kept::tie ? 1u << j : 0u;
    }
    return bits;
  }

  /// `count` and `put_kept` look at [begin, end) with a warp.
  template <bool Short>
  [[nodiscard]] __device__ kept_counts count(key_run const& run, std::int32_t begin,
                                             std::int32_t end) const noexcept {
    kept_counts n{};
#pragma unroll 1
    for (std::int32_t i = begin + lane() * together; i < end; i += warp_keys) {
      ordered_key key[together];
      kept_bits const bits = judge<Short>(run, i, end, key);
      n.above += __popc(bits.above);
      n.equal += __popc(bits.equal);
    }
    return {__reduce_add_sync(all_lanes, n.above), __reduce_add_sync(all_lanes, n.equal)};
  }

  template <bool Short>
  __device__ void put_kept(key_run const& run, std::int32_t begin, std::int32_t end,
                           kept_counts const& before) noexcept {
    // Of the keys that equal the threshold the first stay.
    std::uint32_t ties = limit_.ties - smaller(before.equal, limit_.ties);
    std::uint32_t slot = before.above + limit_.ties - ties;
#pragma unroll 1
    for (std::int32_t first = begin; first < end; first += warp_keys) {
      std::int32_t const i = first + lane() * together;
      ordered_key key[together];
      kept_bits bits = judge<Short>(run, i, end, key);
      if (ties > 0 && __any_sync(all_lanes, bits.equal != 0)) {
        warp_prefix const equal{__popc(bits.equal)};
        bits.above |= first_bits(bits.equal, ties - smaller(ties, equal.before()));
        ties -= smaller(ties, equal.all());
      }
      warp_prefix const kept_here{__popc(bits.above)};
      if (kept_here.all() == 0) continue;
      std::uint32_t at = slot + kept_here.before();
#pragma unroll
      for (int j = 0; j < together; ++j) {
        if ((bits.above >> j & 1u) != 0) put<Short>(at++, run.first + i + j, key[j]);
      }
      slot += kept_here.all();
    }
  }

  /// Sums over a warp of numbers up to 7, bit by bit.
  class warp_prefix {
   public:
    __device__ explicit warp_prefix(int n) noexcept
        : bit_{__ballot_sync(all_lanes, (n & 1) != 0), __ballot_sync(all_lanes, (n & 2) != 0),
               __ballot_sync(all_lanes, (n & 4) != 0)} {}
    [[nodiscard]] __device__ std::uint32_t all() const noexcept { return sum(all_lanes); }
    /// Over earlier lanes.
    [[nodiscard]] __device__ std::uint32_t before() const noexcept {
      return sum((1u << lane()) - 1);
    }

   private:
    [[nodiscard]] __device__ std::uint32_t sum(unsigned lanes) const noexcept {
      return static_cast<std::uint32_t>(__popc(bit_[0] & lanes) + 2 * __popc(bit_[1] & lanes) +
                                        4 * __popc(bit_[2] & lanes));
    }
    unsigned bit_[3];
  };

  [[nodiscard]] __device__ static int lane() noexcept {
    return static_cast<int>(threadIdx.x % 32);
  }
  /// The lowest `n` bits of those set.
  [[nodiscard]] __device__ static unsigned first_bits(unsigned bits, std::uint32_t n) noexcept {
    unsigned first = 0;
    for (; bits != 0 && n > 0; --n) {
      first |= bits & (0u - bits);
      bits &= bits - 1;
    }
    return first;
  }

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
    auto& counts = blocks.memory().counts;
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
