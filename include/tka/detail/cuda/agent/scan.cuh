// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The first stage where few score rows share a key, as in decoding: scores of visible keys, 16
/// keys a warp and step.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/unit_scan.cuh>
#include <tka/detail/cuda/block/cache_rows.cuh>
#include <tka/detail/cuda/block/key_products.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/unit.cuh>
#include <tka/detail/cuda/warp/async_copy.cuh>
#include <tka/detail/cuda/warp/matrix.cuh>
#include <tka/detail/cuda/warp/row_ring.cuh>
#include <tka/detail/cuda/warp/widen.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/form.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// Problems whose keys are multiplied on tensor cores, without scales.
template <class Problem>
inline constexpr bool scans =
    Problem::selects && Problem::by_query_key &&
    std::is_same_v<typename Problem::cache_layout, layout::plain> &&
    sizeof(product_type_t<typename scored<Problem>::query, typename scored<Problem>::key>) == 2;

/// Whether a plan's units have few enough rows, and nothing but their scores is wanted of keys.
template <class Problem>
[[nodiscard]] constexpr bool may_scan(plan const& p) noexcept {
  geometry<Problem> const g{p};
  return g.rows(p.shape.q_len) <= few_rows &&
         (geometry<Problem>::heads_are_units || g.head_blocks == 1) &&
         !sums_visible<Problem>(p.options);
}

/// Warps work alone: each has a ring of its own and takes every `Warps`th 16 keys. Scores are those
/// of `score_agent` to the bit: the same products in the same order.
template <class Problem, int Warps, int Stages>
class scan_agent {
  using key_type = typename scored<Problem>::key;
  using C = product_type_t<typename scored<Problem>::query, key_type>;
  using ring = row_ring<Stages>;
  using rows_type = plain_rows<key_type>;
  static constexpr bool paged = Problem::kv_source::has_pages;
  static constexpr int step_keys = ring::rows;
  static constexpr int warp_steps = tile_keys / step_keys / Warps;  // of a tile
  /// Dimensions of a stage, and their tiles of 16.
  static constexpr int slab_dims = ring::row_bytes / static_cast<int>(sizeof(key_type));
  static constexpr int slab_tiles = slab_dims / 16;
  static constexpr unsigned all_lanes = 0xffffffffu;
  static constexpr std::int64_t most_kept_bytes = 24 << 20;
  static_assert(warp_steps * Warps * step_keys == tile_keys);
  static_assert(Stages * step_keys <= 64, "flags of keys under way");

  struct memory_type {
    alignas(128) char stages[Warps][ring::bytes];
    /// Where heads are combined.
    float score[geometry<Problem>::heads_are_units ? 1 : Warps][few_rows][step_keys + 1];
    unit_memory<few_rows> unit;
    alignas(16) char q[16];  ///< and behind it
  };

 public:
  [[nodiscard]] static constexpr int bytes(std::int32_t qk_dim) noexcept {
    return static_cast<int>(sizeof(memory_type)) +
           few_rows * (qk_dim * static_cast<int>(sizeof(C)) + 16);
  }

  __device__ scan_agent(context<Problem> const& c, char* memory) noexcept
      : c_(c),
        memory_(reinterpret_cast<memory_type*>(memory)),
        ring_(memory_->stages[threadIdx.x / 32]),
        unit_(c, memory_->unit),
        keys_{c.a.k, 0, c.p.shape.qk_dim},
        row_bytes_(c.p.shape.qk_dim * static_cast<int>(sizeof(key_type))),
        slabs_((row_bytes_ + ring::row_bytes - 1) / ring::row_bytes),
        lane_(static_cast<int>(threadIdx.x % 32)),
        policy_(policy_to_leave(passes_once(c))) {}

  __device__ void run() noexcept {
    unit_.each([this](std::int32_t from, std::int32_t to) { scan_unit(from, to); });
  }

 private:
  /// Each key is read by one unit, and the L2 can keep all that the stages behind will read.
  [[nodiscard]] __device__ static bool passes_once(context<Problem> const& c) noexcept {
    return c.g.head_blocks == 1 && c.p.shape.q_len <= c.g.tokens &&
           4 * c.table.totals->words <= most_kept_bytes;
  }

  /// One slab of 16 keys.
  struct position {
    std::int32_t tile;
    int step;  ///< of this warp, in the tile
    int slab;
  };
  /// Where a score row goes, and which keys it sees; none if there is no such row.
  struct score_row {
    ordered_key* out;  ///< less the gap
    std::int32_t sinks_end;
    std::int32_t main_begin;
    std::int32_t end;
    std::int32_t gap;
  };

  __device__ void scan_unit(std::int32_t from, std::int32_t to) noexcept {
    std::int32_t const first_head =
        geometry<Problem>::heads_are_units ? unit_.place().head_block * c_.g.head_block : 0;
    heads_ = smaller(c_.g.head_block, c_.g.heads - first_head);
    std::int32_t const rows = unit_.place().tokens * heads_;
    query_rows<C> const q{memory_->q, c_.p.shape.qk_dim};
    q.fill(rows, few_rows,
           [&](int r) { return unit_.query_row(r / heads_, first_head + r % heads_); });
    if constexpr (geometry<Problem>::heads_are_units) {
#pragma unroll
      for (int i = 0; i < 2; ++i) score_rows_[i] = row_of(lane_ % 4 * 2 + i, rows);
    }
    keys_.head = unit_.place().head;
    if constexpr (!paged) {
      location const l = unit_.locate(0);
      first_key_ = unit_.end() > 0 ? keys_.at(l) : nullptr;
      pitch_ = keys_.at({l.outer, l.token + 1}) - keys_.at(l);
    }
    __syncthreads();
    // The last warp has the fewest keys, if any.
    if (unit_.has_first() && threadIdx.x >= 32 * (Warps - 1)) unit_.describe_rows();
    stream(q, from, to);
  }

  [[nodiscard]] __device__ score_row row_of(int r, std::int32_t rows) const noexcept {
    if (r >= rows) return {};
    std::int32_t const token = r / heads_;
    compact_range const range{unit_.range(token)};
    return {unit_.scores(r + token * (c_.g.head_block - heads_)) - range.gap(),
            range.range.sinks_end, range.range.main_begin, range.range.end, range.gap()};
  }

  [[nodiscard]] __device__ std::int32_t first_key(position const& at) const noexcept {
    return at.tile * tile_keys + (at.step * Warps + static_cast<int>(threadIdx.x / 32)) * step_keys;
  }
  __device__ void advance(position& at, std::int32_t to) const noexcept {
    if (++at.slab < slabs_) return;
    at.slab = 0;
    if (++at.step < warp_steps) return;
    at.step = 0;
    at.tile = unit_.next_tile(at.tile + 1, to);
  }

  __device__ void stream(query_rows<C> const& q, std::int32_t from, std::int32_t to) noexcept {
    position next{unit_.next_tile(from, to), 0, 0};
    position now = next;
    find(next, to);
#pragma unroll 1
    for (int i = 0; i < Stages; ++i) copy(next, to);
    if (slabs_ == 1) load_queries(q, 0);
    std::uint32_t const place = ring::place(lane_ / 8 % 2 * 8 + lane_ % 8, lane_ / 16);
    float sum[4] = {};
#pragma unroll 1
    while (now.tile < to) {
      std::uint32_t const stage = ring_.oldest() + place;
      if (slabs_ > 1) load_queries(q, now.slab);
#pragma unroll
      for (int m = 0; m < stage_tiles; ++m) multiply(sum, ring::further(stage, m), m);
      std::uint32_t const there = there_.oldest();
      __syncwarp();  // the stage is read
      copy(next, to);
      if (now.slab + 1 == slabs_) {
        keep(first_key(now), there, sum);
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[i] = 0.0f;
      }
      advance(now, to);
    }
    wait_for_copies<0>();
  }

  // ---- keys on their way ------------------------------------------------------------------------

  /// Where the keys of the next 16 lie: a lane knows one, or none where rows are evenly spaced.
  __device__ void find(position const& at, std::int32_t to) noexcept {
    if constexpr (paged) {
      if (at.tile >= to || at.slab > 0) return;
      std::int32_t const local = first_key(at) + lane_ % step_keys;
      location const l = unit_.locate(local);
      unit_.check(local, l);
      row_ = l.outer < 0 ? nullptr : keys_.at(l);
    }
  }

  /// Sends a slab on its way and goes on to the next.
  __device__ void copy(position& at, std::int32_t to) noexcept {
    if (at.tile < to) {
      int const offset = at.slab * ring::row_bytes + ring::chunk() * 16;
      // Behind the last dimension there are zeros.
      bool const inside = offset < row_bytes_;
      if constexpr (paged) {
        there_.push(__ballot_sync(all_lanes, row_ != nullptr));
#pragma unroll
        for (int i = 0; i < ring::copies; ++i) {
          auto const row = reinterpret_cast<char const*>(
              __shfl_sync(all_lanes, reinterpret_cast<unsigned long long>(row_), ring::row(i)));
          ring_.copy(i, row + offset, inside && row != nullptr, policy_);
        }
      } else {
        std::int32_t const first = first_key(at) + ring::row(0);
        char const* from = first_key_ + first * pitch_ + offset;
#pragma unroll
        for (int i = 0; i < ring::copies; ++i) {
          ring_.copy(i, from, inside && first + i < unit_.end(), policy_);
          from += pitch_;
        }
      }
      advance(at, to);
      find(at, to);
    }
    ring_.commit();
  }

  /// Of the stages under way, which keys are there: the oldest in the lowest bits.
  class flags {
   public:
    __device__ void push(std::uint32_t there) noexcept {
      bits_ |= std::uint64_t{there & 0xffffu} << 16 * count_++;
    }
    [[nodiscard]] __device__ std::uint32_t oldest() noexcept {
      if constexpr (!paged) return 0xffffu;
      auto const there = static_cast<std::uint32_t>(bits_ & 0xffffu);
      bits_ >>= 16;
      --count_;
      return there;
    }

   private:
    std::uint64_t bits_ = 0;
    int count_ = 0;
  };

  // ---- products ---------------------------------------------------------------------------------

  /// The right operands of a slab; zeros behind the last dimension.
  __device__ void load_queries(query_rows<C> const& q, int slab) noexcept {
    auto const* const row = reinterpret_cast<std::uint32_t const*>(q.row(lane_ / 4));
#pragma unroll
    for (int m = 0; m < slab_tiles; ++m) {
      int const dim = slab * slab_dims + m * 16;
      bool const inside = dim < q.dim;
      // 8-bit keys come four neighbours a lane, 16-bit ones in two pairs.
      int const first = sizeof(key_type) == 2 ? lane_ % 4 : lane_ % 4 * 2;
      constexpr int second = sizeof(key_type) == 2 ? 4 : 1;
      q_[m][0] = inside ? row[dim / 2 + first] : 0;
      q_[m][1] = inside ? row[dim / 2 + first + second] : 0;
    }
  }

  /// Loads of four matrices of a stage.
  static constexpr int stage_tiles = ring::row_bytes / 32;

  __device__ void multiply(float (&sum)[4], std::uint32_t keys, int m) noexcept {
    left_fragment const raw = load_matrices(keys);
    if constexpr (sizeof(key_type) == 2) {
      multiply_add<C>(sum, raw, q_[m][0], q_[m][1]);
    } else {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        std::uint32_t const low = raw.r[2 * half];
        std::uint32_t const high = raw.r[2 * half + 1];
        left_fragment const left{{widen_pair<C>(low), widen_pair<C>(high), widen_pair<C>(low >> 16),
                                  widen_pair<C>(high >> 16)}};
        multiply_add<C>(sum, left, q_[2 * m + half][0], q_[2 * m + half][1]);
      }
    }
  }

  // ---- scores -----------------------------------------------------------------------------------

  /// A lane has keys lane / 4 and 8 further on, and score rows 2 * (lane % 4) and the next.
  __device__ void keep(std::int32_t first, std::uint32_t there, float const (&sum)[4]) noexcept {
    if constexpr (geometry<Problem>::heads_are_units) {
      bool const whole = unit_.all_see(first, step_keys);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        score_row const& row = score_rows_[i % 2];
        int const j = lane_ / 4 + i / 2 * 8;
        std::int32_t const local = first + j;
        ordered_key const key = (there >> j & 1) != 0 ? to_ordered(sum[i]) : key_of_nothing;
        if (whole) {
          if (row.end > 0) row.out[local] = key;
        } else if (local < row.end && (local < row.sinks_end || local >= row.main_begin)) {
          row.out[local < row.sinks_end ? local + row.gap : local] = key;
        }
      }
    } else {
      keep_combined(first, there, sum);
    }
  }

  __device__ void keep_combined(std::int32_t first, std::uint32_t there,
                                float const (&sum)[4]) noexcept {
    auto& score = memory_->score[threadIdx.x / 32];
#pragma unroll
    for (int i = 0; i < 4; ++i) score[lane_ % 4 * 2 + i % 2][lane_ / 4 + i / 2 * 8] = sum[i];
    __syncwarp();
    int const j = lane_ % step_keys;
    for (std::int32_t t = lane_ / step_keys; t < unit_.place().tokens; t += 32 / step_keys) {
      compact_range const range{unit_.range(t)};
      if (!range.range.visible(first + j)) continue;
      float s = first_of_heads(c_.p.options);
      for (std::int32_t h = 0; h < heads_; ++h) {
        s = join_heads(c_.p.options, s, score[t * heads_ + h][j], h);
      }
      unit_.scores(t)[range.compact(first + j)] =
          (there >> j & 1) != 0 ? to_ordered(s) : key_of_nothing;
    }
    __syncwarp();
  }

  context<Problem> const& c_;
  memory_type* memory_;
  ring ring_;
  unit_scan<Problem, few_rows> unit_;
  rows_type keys_;
  // Read in every step, so kept in registers:
  int const row_bytes_;
  int const slabs_;
  int const lane_;
  l2_policy const policy_;
  std::uint32_t q_[slab_tiles][2];
  flags there_;
  // Of the unit under way:
  std::int32_t heads_ = 0;
  score_row score_rows_[geometry<Problem>::heads_are_units ? 2 : 1];
  char const* first_key_ = nullptr;  ///< where rows are evenly spaced
  std::int64_t pitch_ = 0;
  char const* row_ = nullptr;  ///< else: of one of the next 16 keys
};

}  // namespace tka::inline TKA_ABI::detail::cuda
