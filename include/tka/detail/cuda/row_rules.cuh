// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Which keys of a row compete, which are forced, and which a threshold keeps: the rules of
/// selection, apart from how a threshold is found.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/visible_range.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Keys above `key` are kept, and the first `ties` of those equal to it.
struct threshold {
  ordered_key key;
  std::uint32_t ties;
};

enum class kept { no, tie, surely };

/// How many of each there are.
struct kept_counts {
  std::uint32_t above = 0;
  std::uint32_t equal = 0;
};

/// The rules for one row, as plain numbers: loops keep them in registers.
struct row_rules {
  std::int32_t visible;
  std::int32_t keep;
  std::int32_t head;  ///< [0, head) and [tail, visible) are forced
  std::int32_t tail;
  std::int32_t sinks_end;  ///< compact index c is local index c below it, else c + gap
  std::int32_t gap;
  bool given;  ///< a threshold of the caller's
  bool plain;  ///< every key above -inf competes
  ordered_key given_key;
  std::int64_t given_position;
  tka::shard shard;

  [[nodiscard]] __device__ bool keeps_all() const noexcept { return visible <= keep; }
  [[nodiscard]] __device__ std::int32_t local(std::int32_t c) const noexcept {
    return c < sinks_end ? c : c + gap;
  }
  [[nodiscard]] __device__ bool forced(std::int32_t c) const noexcept {
    return c < head || c >= tail;
  }
  /// Not behind a threshold of the caller's.
  [[nodiscard]] __device__ bool passes(std::int32_t c, ordered_key key) const noexcept {
    if (!given || key > given_key) return true;
    return key == given_key && global_position(shard, local(c)) <= given_position;
  }
  [[nodiscard]] __device__ kept judge(threshold const& limit, std::int32_t c,
                                      ordered_key key) const noexcept {
    if (plain) {
      // No limit is below -inf, and one of -inf has no ties.
      return key > limit.key                       ? kept::surely
             : key == limit.key && limit.ties != 0 ? kept::tie
                                                   : kept::no;
    }
    if (key <= key_of_minus_infinity) return kept::no;
    if (forced(c)) return kept::surely;
    if (key < limit.key || !passes(c, key)) return kept::no;
    return key > limit.key ? kept::surely : kept::tie;
  }
};

template <class Problem>
[[nodiscard]] __device__ __noinline__ row_rules rules_of(context<Problem> const& c,
                                                         row<Problem> const& own) noexcept {
  compact_range const range = own.range(c);
  row_rules r{};
  r.visible = range.visible();
  r.keep = range.range.keep;
  r.head = range.head();
  r.tail = range.tail();
  r.sinks_end = range.range.sinks_end;
  r.gap = range.gap();
  r.shard = c.p.options.shard;
  r.given = static_cast<bool>(c.a.given_threshold_score);
  if (r.given) {
    location const at = own.query(c);
    r.given_key = to_ordered(*c.a.given_threshold_score.at(at.outer, own.scope_head, at.token));
    r.given_position = *c.a.given_threshold_position.at(at.outer, own.scope_head, at.token);
  }
  r.plain = !r.given && r.head <= 0 && r.tail >= r.visible;
  return r;
}

/// The keys of a chunk that are a thread's: a warp has 512 neighbours, in four rounds of four a
/// lane. Rows are padded to whole lines, so four may be read at once.
struct own_keys {
  static constexpr int rounds = chunk_keys / block_threads / 4;
  ordered_key const* row;
  std::int32_t first;  ///< of the first round; the next is 128 keys on
  std::int32_t visible;

  __device__ own_keys(ordered_key const* of, std::int32_t chunk, std::int32_t seen) noexcept
      : row(of),
        first(chunk * chunk_keys +
              static_cast<std::int32_t>(threadIdx.x / 32 * (rounds * 128) + threadIdx.x % 32 * 4)),
        visible(seen) {}

  [[nodiscard]] __device__ std::int32_t at(int round) const noexcept { return first + 128 * round; }

  /// use(c, key, bit): `bit` numbers the thread's keys, ascending. A loop, not a copy of the code
  /// for each key.
  template <class Use>
  __device__ void each(Use&& use) const noexcept {
    int4 four[rounds];
#pragma unroll
    for (int i = 0; i < rounds; ++i) {
      four[i] = at(i) < visible ? *reinterpret_cast<int4 const*>(row + at(i)) : int4{};
    }
#pragma unroll
    for (int i = 0; i < rounds; ++i) {
      std::int32_t const c = at(i);
      if (c >= visible) continue;
      use(c, four[i].x, 4 * i);
      if (c + 1 < visible) use(c + 1, four[i].y, 4 * i + 1);
      if (c + 2 < visible) use(c + 2, four[i].z, 4 * i + 2);
      if (c + 3 < visible) use(c + 3, four[i].w, 4 * i + 3);
    }
  }
};

/// Writes the kept keys of a row, ascending, chunk by chunk.
template <class Problem>
class list_writer {
 public:
  __device__ list_writer(context<Problem> const& c, row<Problem> const& own, row_rules const& rules,
                         threshold const& limit, std::uint32_t* shared) noexcept
      : rules_(rules), limit_(limit), shared_(shared), state_(own.state()) {
    location const at = own.query(c);
    if constexpr (Problem::attends) {
      index_ = own.index();
      key_ = own.key();
    }
    if (c.a.positions) positions_ = c.a.positions.at(at.outer, own.scope_head, at.token);
    if (c.a.scores) scores_ = c.a.scores.at(at.outer, own.scope_head, at.token);
    wants_last_ = c.a.threshold_score || c.a.threshold_position;
  }

  /// `before`: what earlier chunks have kept; becomes what stands before the next.
  __device__ void write(own_keys const& keys, kept_counts& before) noexcept {
    std::uint32_t surely = 0;  // a bit a key
    std::uint32_t ties = 0;
    keys.each([&](std::int32_t c, ordered_key key, int bit) {
      kept const k = rules_.judge(limit_, c, key);
      surely |= static_cast<std::uint32_t>(k == kept::surely) << bit;
      ties |= static_cast<std::uint32_t>(k == kept::tie) << bit;
    });
    // Sure ones in the upper half, ties in the lower.
    auto const count = [](std::uint32_t above, std::uint32_t equal) {
      return static_cast<std::uint32_t>(__popc(above)) << 16 |
             static_cast<std::uint32_t>(__popc(equal));
    };
    std::uint32_t total = 0;
    std::uint32_t warp_before = sum_of_warps_before(count(surely, ties), shared_, total);
    kept_counts const chunk_before = before;
    before.above += total >> 16;
    before.equal += total & 0xffffu;
    if (!__any_sync(0xffffffffu, (surely | ties) != 0)) return;
#pragma unroll 1
    for (int round = 0; round < own_keys::rounds; ++round) {
      std::uint32_t const above = surely >> 4 * round & 15u;
      std::uint32_t const equal = ties >> 4 * round & 15u;
      std::uint32_t const own = count(above, equal);
      std::uint32_t const upto = inclusive_warp_sum(own);
      std::uint32_t const here = warp_before + upto - own;
      warp_before += __shfl_sync(0xffffffffu, upto, 31);
      std::uint32_t slot = chunk_before.above + (here >> 16);
      std::uint32_t tie = chunk_before.equal + (here & 0xffffu);
      slot += smaller(tie, limit_.ties);
#pragma unroll 1
      for (std::uint32_t left = above | equal; left != 0; left &= left - 1) {
        int const j = __ffs(static_cast<int>(left)) - 1;
        // Of the keys that equal the threshold the first stay.
        if ((equal >> j & 1u) != 0 && tie++ >= limit_.ties) continue;
        put(slot++, keys.at(round) + j, keys.row[keys.at(round) + j]);
      }
    }
  }

  /// After the last chunk: how long the list is. One thread.
  __device__ void end(kept_counts const& all) noexcept {
    state_[selected_count] = all.above + smaller(all.equal, limit_.ties);
  }

  /// Tells the row which of its keys is the last in the order, if the caller asks for it.
  __device__ void note_last() noexcept {
    if (wants_last_ && last_ != ~std::uint64_t{0}) {
      atomicMin(reinterpret_cast<unsigned long long*>(state_ + last_kept),
                static_cast<unsigned long long>(last_));
    }
  }

 private:
  __device__ void put(std::uint32_t slot, std::int32_t c, ordered_key key) noexcept {
    std::int32_t const local = rules_.local(c);
    if constexpr (Problem::attends) {
      index_[slot] = local;
      key_[slot] = key;
    }
    if (positions_ != nullptr) {
      positions_[slot] = static_cast<std::int32_t>(global_position(rules_.shard, local));
    }
    if (scores_ != nullptr) scores_[slot] = from_ordered(key);
    if (!rules_.forced(c)) {
      // Smaller means later in the order: a smaller key, or an equal one at a larger position.
      last_ = smaller(last_, std::uint64_t{radix_bits(key)} << 32 |
                                 (0x7fffffffu - static_cast<std::uint32_t>(local)));
    }
  }

  row_rules const rules_;
  threshold const limit_;
  std::uint32_t* shared_;
  std::uint32_t* state_;
  std::int32_t* index_ = nullptr;
  ordered_key* key_ = nullptr;
  std::int32_t* positions_ = nullptr;
  float* scores_ = nullptr;
  bool wants_last_ = false;
  std::uint64_t last_ = ~std::uint64_t{0};
};

}  // namespace tka::inline TKA_ABI::detail::cuda
