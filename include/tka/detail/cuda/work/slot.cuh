// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Slots: where each lies, whose it is, and what stands in it.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/tuning/attend.cuh>
#include <tka/detail/cuda/work/geometry.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/schedule.cuh>
#include <tka/detail/cuda/work/slot_layout.cuh>
#include <tka/detail/cuda/work/view.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/sequence.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Where a unit stands.
struct unit_place {
  std::int32_t head;        ///< scanning head
  std::int32_t head_block;  ///< only where blocks of heads are units
  std::int32_t first_token;
  std::int32_t tokens;  ///< that exist
};

template <class Problem>
[[nodiscard]] __device__ TKA_OUT_OF_LINE inline unit_place place_of(wave_view<Problem> const& c,
                                                                    std::int32_t b,
                                                                    std::int64_t unit) noexcept {
  sequence_entry const& e = c.table.entries[b];
  auto const tile = static_cast<std::int32_t>(unit % e.token_tiles);
  auto const rest = static_cast<std::int32_t>(unit / e.token_tiles);
  std::int32_t const blocks = geometry<Problem>::heads_are_units ? c.g.head_blocks : 1;
  unit_place u{};
  u.head = rest / blocks;
  u.head_block = rest % blocks;
  u.first_token = tile * e.tokens;
  u.tokens = smaller(e.tokens, e.of.queries - u.first_token);
  return u;
}

/// The position in the whole sequence of a local index; the division is out of line.
[[nodiscard]] __device__ TKA_OUT_OF_LINE inline std::int64_t position_in_shards(
    shard const& s, std::int32_t local) noexcept {
  return position_of(s, local);
}
[[nodiscard]] __device__ inline std::int64_t global_position(shard const& s,
                                                             std::int32_t local) noexcept {
  return s.count == 1 ? local : position_in_shards(s, local);
}

/// The keys that a row spans, counted from the first without the gap: compact index c is local
/// index c + first, or c + first + gap.
struct compact_range {
  visible_range range;

  [[nodiscard]] __device__ std::int32_t gap() const noexcept {
    return range.main_begin - range.sinks_end;
  }
  [[nodiscard]] __device__ std::int32_t visible() const noexcept { return range.keys(); }
  /// Of these the sinks.
  [[nodiscard]] __device__ std::int32_t sinks() const noexcept {
    return range.sinks_end - range.first;
  }
  [[nodiscard]] __device__ std::int32_t compact(std::int32_t local) const noexcept {
    return (local < range.sinks_end ? local : local - gap()) - range.first;
  }
  /// Compact indices [0, head()) and [tail(), visible()) are forced.
  [[nodiscard]] __device__ std::int32_t head() const noexcept {
    return range.forced_head - range.first;
  }
  [[nodiscard]] __device__ std::int32_t tail() const noexcept {
    return range.forced_tail - gap() - range.first;
  }
};

/// Query heads that attend together over one selection.
struct head_range {
  std::int32_t kv_head;
  std::int32_t first;         ///< over all query heads
  std::int32_t count;         ///< <= attend_heads
  std::int32_t in_selection;  ///< the first, counted within the selection
};

template <class Problem>
[[nodiscard]] __device__ head_range heads_of(wave_view<Problem> const& c, std::int32_t scope_head,
                                             std::int32_t block) noexcept {
  std::int32_t const group = c.p.shape.group();
  if constexpr (Problem::per_query_head) return {scope_head / group, scope_head, 1, 0};
  auto const blocks = static_cast<std::int32_t>(ceil_div(group, attend_heads));
  std::int32_t const kv_head = Problem::per_kv_group ? scope_head : block / blocks;
  std::int32_t const begin = block % blocks * attend_heads;
  std::int32_t const first = kv_head * group + begin;
  return {kv_head, first, smaller(attend_heads, group - begin),
          Problem::per_kv_group ? begin : first};
}

/// The scratch of one selection: of a query token and a scope head.
template <class Problem>
struct slot {
  sequence_entry const* entry;
  std::uint32_t* memory;
  std::int32_t token;       ///< of its sequence
  std::int32_t unit_head;   ///< scanning head of its unit
  std::int32_t scope_head;  ///< over all heads of the scope
  bool exists;              ///< false: after the last token, or head, of its unit

  __device__ slot(sequence_entry const* entry_, std::uint32_t* memory_, std::int32_t token_,
                  std::int32_t unit_head_, std::int32_t scope_head_, bool exists_) noexcept
      : entry(entry_),
        memory(memory_),
        token(token_),
        unit_head(unit_head_),
        scope_head(scope_head_),
        exists(exists_) {}
  /// Not inlined, like all that is done once an item: code that runs once is paid by its length.
  __device__ TKA_OUT_OF_LINE slot(wave_view<Problem> const& c, std::int32_t b, std::int64_t unit,
                                  std::int32_t r) noexcept {
    entry = &c.table.entries[b];
    unit_place const u = place_of<Problem>(c, b, unit);
    memory = c.unit_memory(b, unit) + r * entry->slot.words;
    std::int32_t const each = c.g.selections();
    token = u.first_token + r / each;
    unit_head = u.head;
    std::int32_t const head = u.head_block * c.g.head_block + r % each;
    exists = r / each < u.tokens && (!geometry<Problem>::heads_are_units || head < c.g.heads);
    scope_head = geometry<Problem>::heads_are_units ? u.head * c.g.heads + head : u.head;
  }

  [[nodiscard]] __device__ compact_range range(wave_view<Problem> const& c) const noexcept {
    return {range_of<Problem>(c.p, c.a, entry->of, token)};
  }
  [[nodiscard]] __device__ location query(wave_view<Problem> const& c) const noexcept {
    return Problem::query_source::locate(c.a.query, entry->of.b, token);
  }
  [[nodiscard]] __device__ slot_state* state() const noexcept {
    return reinterpret_cast<slot_state*>(memory + entry->slot.state);
  }
  [[nodiscard]] __device__ ordered_key* scores() const noexcept {
    return reinterpret_cast<ordered_key*>(memory + entry->slot.scores);
  }
  [[nodiscard]] __device__ float* raw(std::int32_t head) const noexcept {
    return reinterpret_cast<float*>(memory + entry->slot.raw +
                                    head * round_up(entry->extent.visible, 32));
  }
  [[nodiscard]] __device__ float* sums(std::int32_t head, std::int32_t tile) const noexcept {
    return reinterpret_cast<float*>(memory + entry->slot.sums) +
           (std::int64_t{head} * entry->extent.tiles + tile) * 3;
  }
  [[nodiscard]] __device__ float* lse() const noexcept {
    return reinterpret_cast<float*>(memory + entry->slot.lse);
  }
  /// Of its list's parts, how many are done, with `count` more. One thread; who is told of all of
  /// them may read what others wrote before they counted theirs.
  [[nodiscard]] __device__ std::int32_t count_parts(std::int32_t count) const noexcept {
    std::uint32_t before = 0;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
                 : "=r"(before)
                 : "l"(__cvta_generic_to_global(&state()->parts_done)), "r"(count)
                 : "memory");
    return static_cast<std::int32_t>(before) + count;
  }
  /// Length of its list.
  [[nodiscard]] __device__ std::int32_t entries() const noexcept {
    return static_cast<std::int32_t>(state()->selected_count);
  }
  [[nodiscard]] __device__ std::int32_t* index() const noexcept {
    return reinterpret_cast<std::int32_t*>(memory + entry->slot.index);
  }
  [[nodiscard]] __device__ ordered_key* key() const noexcept {
    return reinterpret_cast<ordered_key*>(memory + entry->slot.key);
  }
  /// Part `part` of query head `head` (counted within the selection): v_dim sums, then max, sum,
  /// weighted.
  [[nodiscard]] __device__ float* part(plan const& p, std::int32_t part,
                                       std::int32_t head) const noexcept {
    return reinterpret_cast<float*>(memory + entry->slot.parts) +
           (std::int64_t{part} * heads_of_selection<Problem>(p.shape) + head) * (p.shape.v_dim + 4);
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
