// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a pass over the keys of a unit knows: which tiles its tokens see, and where keys, queries
/// and scores lie.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/prepare.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/row_record.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/form.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// Shared memory of the unit under way.
template <int Rows>
struct unit_memory {
  visible_range range[Rows];  ///< of each token
  std::uint32_t* row[Rows];   ///< scratch of each selection
};

template <class Problem, int Rows>
class unit_scan {
 public:
  using query_type = typename scored<Problem>::query;

  __device__ unit_scan(context<Problem> const& c, unit_memory<Rows>& memory) noexcept
      : c_(c), memory_(memory), kv_(c.a.kv), page_size_(c.p.shape.page_size) {}

  /// use(first tile, behind the last one) for each unit of this block's share, entered.
  template <class Use>
  __device__ void each(Use&& use) noexcept {
    share const s = c_.shares[count_of::pieces];
    for (std::int64_t n = s.begin; n < s.end;) {
      item const at = c_.at(count_of::pieces, n);
      std::int64_t const pieces = c_.table.per_unit(count_of::pieces, at.b);
      std::int64_t const count = smaller(pieces - at.rest, s.end - n);
      enter(at.b, at.unit);
      auto const from = static_cast<std::int32_t>(at.rest);
      auto const to = static_cast<std::int32_t>(at.rest + count);
      has_first_ = from == 0;
      use(border(from, pieces), border(to, pieces));
      n += count;
    }
  }

  /// Whether this block has the first piece of the unit.
  [[nodiscard]] __device__ bool has_first() const noexcept { return has_first_; }

  /// Leaves the records of the unit's rows, a lane a row. A warp of the block that has its first
  /// piece.
  __device__ void describe_rows() const noexcept {
    std::int32_t const each = c_.g.selections();
    std::int32_t const rows = entry_->tokens * each;
    std::int32_t const first_head =
        geometry<Problem>::heads_are_units ? place_.head_block * c_.g.head_block : 0;
    std::uint32_t* const places = c_.places + c_.first_row(entry_->of.b, unit_);
    bool const is_long = c_.table.per_unit(count_of::long_rows, entry_->of.b) > 0;
    for (auto r = static_cast<std::int32_t>(threadIdx.x % 32); r < rows; r += 32) {
      std::int32_t const token = r / each;
      std::int32_t const head = first_head + r - token * each;
      std::uint32_t* const memory = memory_.row[0] + r * entry_->row.words;
      cuda::row<Problem> const own{
          entry_,
          memory,
          place_.first_token + token,
          place_.head,
          geometry<Problem>::heads_are_units ? place_.head * c_.g.heads + head : place_.head,
          token < place_.tokens && (!geometry<Problem>::heads_are_units || head < c_.g.heads)};
      *reinterpret_cast<row_record<Problem>*>(memory + record) = {
          own, own.scores(),
          own.exists ? rules_of<Problem>(c_, own, {memory_.range[token]}) : row_rules{}, is_long};
      places[r] = static_cast<std::uint32_t>((memory - c_.pool) / 32);
    }
  }

  [[nodiscard]] __device__ sequence_entry const& entry() const noexcept { return *entry_; }
  [[nodiscard]] __device__ unit_place const& place() const noexcept { return place_; }
  [[nodiscard]] __device__ visible_range const& range(std::int32_t token) const noexcept {
    return memory_.range[token];
  }
  [[nodiscard]] __device__ std::uint32_t* row(std::int32_t selection) const noexcept {
    return memory_.row[selection];
  }
  [[nodiscard]] __device__ ordered_key* scores(std::int32_t selection) const noexcept {
    return reinterpret_cast<ordered_key*>(memory_.row[selection] + entry_->row.scores);
  }
  /// No token sees a key behind it.
  [[nodiscard]] __device__ std::int32_t end() const noexcept { return seen_.end; }
  /// Whether every token sees all of these keys, and none of them is a sink.
  [[nodiscard]] __device__ bool all_see(std::int32_t first, std::int32_t keys) const noexcept {
    return first >= all_from_ && first + keys <= all_to_;
  }

  /// The first tile of [t, to) that any token of the unit sees, or `to`.
  [[nodiscard]] __device__ std::int32_t next_tile(std::int32_t t, std::int32_t to) const noexcept {
    std::int32_t const main = seen_.main_begin / tile_keys;
    if (t < main && std::int64_t{t} * tile_keys >= seen_.sinks_end) t = main;
    return t < to && std::int64_t{t} * tile_keys < seen_.end ? t : to;
  }

  [[nodiscard]] __device__ location locate(std::int32_t local) const noexcept {
    if (local >= seen_.end) return {-1, 0};
    return Problem::kv_source::locate(kv_, entry_->of.b, local, page_size_);
  }
  /// A key that is not there is an error, unless no token sees it: such pages may be gone.
  __device__ void check(std::int32_t local, location const& l) const noexcept {
    if (l.outer >= 0 || local >= seen_.end) return;
    for (std::int32_t i = 0; i < place_.tokens; ++i) {
      if (memory_.range[i].visible(local)) report(c_.a.error, data_error::page_out_of_range);
    }
  }

  [[nodiscard]] __device__ location query(std::int32_t token) const noexcept {
    return Problem::query_source::locate(c_.a.query, entry_->of.b, place_.first_token + token);
  }
  /// The row of q of a token and one of the heads that are scored.
  [[nodiscard]] __device__ query_type const* query_row(std::int32_t token,
                                                       std::int32_t head) const noexcept {
    location const at = query(token);
    if constexpr (Problem::by_index) {
      return c_.a.index.q.at(at.outer, head, at.token);
    } else {
      return c_.a.q.at(at.outer, place_.head * c_.g.heads + head, at.token);
    }
  }

 private:
  /// The tile with which a piece of the unit begins; behind the last piece one that is behind all.
  [[nodiscard]] __device__ std::int32_t border(std::int32_t piece,
                                               std::int64_t pieces) const noexcept {
    std::int32_t const all = larger(entry_->extent.tiles, 1);
    if (piece == pieces) return all;
    std::int32_t const tiles = tiles_of_unit<Problem>(c_.p.options, *entry_);
    auto tile = piece;
    if (pieces != tiles) {
      tile = static_cast<std::int32_t>(static_cast<std::uint32_t>(tiles * piece) /
                                       static_cast<std::uint32_t>(pieces));
    }
    if constexpr (std::is_same_v<typename Problem::visibility, visibility::sliding_window>) {
      // Between sinks and windows there is nothing to scan.
      auto const sinks = static_cast<std::int32_t>(ceil_div(seen_.sinks_end, tile_keys));
      std::int32_t const gap = seen_.main_begin / tile_keys - sinks;
      if (tile > sinks && gap > 0) tile = smaller(tile + gap, all);
    }
    return tile;
  }

  __device__ void enter(std::int32_t b, std::int64_t unit) noexcept {
    entry_ = &c_.table.entries[b];
    unit_ = unit;
    place_ = place_of<Problem>(c_, b, unit);
    auto const thread = static_cast<std::int32_t>(threadIdx.x);
    __syncthreads();  // the last unit is done with its memory
    if (thread < place_.tokens) {
      memory_.range[thread] =
          range_of<Problem>(c_.p, c_.a, entry_->of, place_.first_token + thread);
    }
    if (thread < place_.tokens * c_.g.selections()) {
      memory_.row[thread] = c_.unit_memory(b, unit) + thread * entry_->row.words;
    }
    __syncthreads();
    seen_ = {};
    seen_.main_begin = memory_.range[0].main_begin;
    all_from_ = 0;
    all_to_ = memory_.range[0].end;
#pragma unroll 1
    for (std::int32_t i = 0; i < place_.tokens; ++i) {
      visible_range const& r = memory_.range[i];
      seen_.sinks_end = larger(seen_.sinks_end, r.sinks_end);
      seen_.main_begin = smaller(seen_.main_begin, r.main_begin);
      seen_.end = larger(seen_.end, r.end);
      all_from_ = larger(all_from_, r.main_begin);
      all_to_ = smaller(all_to_, r.end);
    }
  }

  context<Problem> const& c_;
  unit_memory<Rows>& memory_;
  // Read for every tile, so kept in registers:
  typename Problem::kv_source::tensors const kv_;
  std::int32_t const page_size_;
  // Of the unit under way:
  sequence_entry const* entry_ = nullptr;
  std::int64_t unit_ = 0;
  bool has_first_ = false;
  unit_place place_{};
  visible_range seen_{};       ///< what any token of it sees
  std::int32_t all_from_ = 0;  ///< [all_from_, all_to_) is seen by every token
  std::int32_t all_to_ = 0;
};

/// Scores of several heads become one, joined in head order.
[[nodiscard]] __device__ inline float first_of_heads(options const& o) noexcept {
  return o.combine == combine::max ? minus_infinity() : 0.0f;
}
[[nodiscard]] __device__ inline float join_heads(options const& o, float s, float next,
                                                 std::int32_t head) noexcept {
  if (o.combine == combine::max) return (next > s || next != next) ? next : s;
  return head == 0 ? next : s + next;
}

}  // namespace tka::inline TKA_ABI::detail::cuda
