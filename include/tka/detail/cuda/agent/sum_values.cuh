// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The third stage where scores are known: softmax over the selected keys of a row and the sum of
/// their values, one part of a list a warp.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/finish.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/row_record.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/unit.cuh>
#include <tka/detail/cuda/warp/matrix.cuh>
#include <tka/detail/cuda/warp/row_ring.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/form.hpp>
#include <tka/source/location.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// Problems in which only the second product remains, with values that are multiplied as stored.
template <class Problem>
inline constexpr bool sums_values_alone =
    Problem::attends && knows_scores<Problem> &&
    std::is_same_v<typename Problem::cache_layout, layout::plain> &&
    sizeof(typename Problem::precision::value_type) == 2;

/// Warps work alone: each has a ring of its own and takes neighbouring parts, and no barrier of the
/// block is met. The warp that comes last to a row finishes it. Results are those of `attend_agent`
/// to the bit: the same products in the same order.
template <class Problem, int Warps, int Stages>
class sum_values_agent {
  using value = typename Problem::precision::value_type;
  using ring = row_ring<Stages>;
  static constexpr int part_tiles = part_keys / tile_keys;
  static_assert(part_tiles == 2, "sums are rescaled once a part");
  static constexpr int step_keys = ring::rows;
  static constexpr int tile_steps = tile_keys / step_keys;
  /// Keys of a lane in a tile and in a part.
  static constexpr int tile_own_keys = tile_keys / 32;
  static constexpr int own_keys = part_keys / 32;
  /// Dimensions that are summed at a time, and their tiles of 16.
  static constexpr int slab_dims = ring::row_bytes / static_cast<int>(sizeof(value));
  static constexpr int slab_tiles = slab_dims / 16;

  struct memory_type {
    alignas(128) char stages[ring::bytes];
    alignas(16) char const* row[tile_keys];  ///< of the tile that is copied; null: not there
    alignas(16) value p[part_keys];          ///< in the order of `place_of`
  };

 public:
  static constexpr int bytes = Warps * static_cast<int>(sizeof(memory_type));

  __device__ sum_values_agent(context<Problem> const& c, char* memory) noexcept
      : c_(c),
        memory_(reinterpret_cast<memory_type*>(memory) + threadIdx.x / 32),
        ring_(memory_->stages),
        row_bytes_(c.p.shape.v_dim * static_cast<int>(sizeof(value))),
        lane_(static_cast<int>(threadIdx.x % 32)) {}

  /// `ready()` is called once, before the first access to what the stage before leaves: lists. The
  /// schedule and the rows' records are older.
  template <class Ready>
  __device__ void run(Ready&& ready) noexcept {
    share const& all = c_.shares[count_of::attends];
    std::int64_t const warps = std::int64_t{gridDim.x} * Warps;
    std::int64_t const warp = std::int64_t{blockIdx.x} * Warps + threadIdx.x / 32;
    std::int64_t const begin = all.all * warp / warps;
    std::int64_t const end = all.all * (warp + 1) / warps;
    if (begin >= end) ready();
    for (std::int64_t n = begin; n < end;) {
      auto const [number, part, parts] = part_of(all.from + n);
      auto const count = static_cast<std::int32_t>(smaller<std::int64_t>(parts - part, end - n));
      row<Problem> const own = row_record<Problem>::of(c_, number).own;
      if (n == begin) ready();
      n += count;
      if (!own.exists) continue;
      std::int32_t const entries = own.entries();
      for (std::int32_t i = part; i < part + count && i * part_keys < entries; ++i) {
        sum_part(own, i, smaller(part_keys, entries - i * part_keys));
      }
      if (count_parts(own, count) == parts) finish_agent<Problem>{c_}.finish(own, 0, 1);
    }
  }

 private:
  struct part_place {
    std::int64_t row;  ///< its number in the wave
    std::int32_t part;
    std::int32_t parts;  ///< of the row
  };
  [[nodiscard]] __device__ part_place part_of(std::int64_t n) const noexcept {
    if (std::int64_t const parts = c_.table.totals->parts; parts > 0) {
      std::int64_t const inside = n - c_.shares[count_of::attends].from;
      std::int64_t const row = inside / parts;
      return {row, static_cast<std::int32_t>(inside - row * parts),
              static_cast<std::int32_t>(parts)};
    }
    item const at = find_item(c_.table, count_of::attends, n);
    std::int32_t const parts = c_.table.entries[at.b].extent.parts;
    std::int64_t const row = at.rest / parts;
    return {c_.first_row(at.b, at.unit) + row, static_cast<std::int32_t>(at.rest - row * parts),
            parts};
  }

  /// Parts of the row that are done, with `count` more of this warp.
  [[nodiscard]] __device__ std::int32_t count_parts(row<Problem> const& own,
                                                    std::int32_t count) const noexcept {
    __syncwarp();
    std::int32_t const done = lane_ == 0 ? own.count_parts(count) : 0;
    __syncwarp();  // what the first lane may read, all may
    return __shfl_sync(0xffffffffu, done, 0);
  }

  /// The first `keys` keys of a part, at least one.
  __device__ void sum_part(row<Problem> const& own, std::int32_t part, std::int32_t keys) noexcept {
    find(own, part * part_keys, keys);
    float* const out = own.part(c_.p, part, 0);
    std::int32_t const v_dim = c_.p.shape.v_dim;
    int const steps = (keys + step_keys - 1) / step_keys;
    start(0, steps);
    float const factor = put_probabilities(keys, out + v_dim);
    for (std::int32_t slab = 0; slab < v_dim; slab += slab_dims) {
      if (slab > 0) start(slab, steps);
      sum_slab(slab, steps, factor, out);
    }
  }

  /// Key `i` of this lane, counted within the part.
  [[nodiscard]] __device__ int key(int i) const noexcept { return lane_ + 32 * i; }

  /// Rows and scores of this lane's keys.
  __device__ void find(row<Problem> const& own, std::int32_t first, std::int32_t keys) noexcept {
    // All reads before the first use, and no branches: they wait for memory together.
    std::int32_t local[own_keys];
#pragma unroll
    for (int i = 0; i < own_keys; ++i) {
      std::int32_t const entry = first + smaller(key(i), keys - 1);
      local[i] = own.index()[entry];
      score_[i] = own.key()[entry];
    }
#pragma unroll
    for (int i = 0; i < own_keys; ++i) {
      location const l =
          Problem::kv_source::locate(c_.a.kv, own.entry->of.b, local[i], c_.p.shape.page_size);
      auto const* const at =
          reinterpret_cast<char const*>(c_.a.v.at(l.outer, own.unit_head, l.token));
      rows_[i] = key(i) < keys && l.outer >= 0 ? at : nullptr;
    }
  }

  /// Leaves the probabilities of the part in shared memory, each tile's against the largest logit
  /// so far, and their sums at `end`. Returns the factor for sums over the first tile's values.
  [[nodiscard]] __device__ float put_probabilities(std::int32_t keys, float* end) noexcept {
    unsigned there = 0;
#pragma unroll
    for (int i = 0; i < own_keys; ++i) there |= (rows_[i] != nullptr ? 1u : 0u) << i;
    softmax_sums sums{};
    float factor = 1.0f;
    // A loop, as code that runs once a part is paid by its length.
#pragma unroll 1
    for (int first = 0; first < keys; first += tile_keys) {
      float x[tile_own_keys];
#pragma unroll
      for (int n = 0; n < tile_own_keys; ++n) {
        x[n] = (there >> n & 1) != 0 ? to_logit(c_.p.options, from_ordered(score_[n]))
                                     : minus_infinity();
      }
      factor = add_logits(sums, x);
#pragma unroll
      for (int n = 0; n < tile_own_keys; ++n) {
        memory_->p[place_of(first + key(n))] = value(x[n]);
        score_[n] = score_[n + tile_own_keys];
      }
      there >>= tile_own_keys;
    }
    if (lane_ == 0) {
      end[0] = sums.max;
      end[1] = sums.sum;
      end[2] = sums.weighted;
    }
    __syncwarp();
    return factor;
  }
  /// Of 16 probabilities lane l multiplies the pairs l % 4 and l % 4 + 4: these stand together.
  [[nodiscard]] __device__ static int place_of(int key) noexcept {
    int const pair = key / 2 % 8;
    return key / 16 * 16 + (pair % 4 * 2 + pair / 4) * 2 + key % 2;
  }

  /// Fills the ring.
  __device__ void start(std::int32_t slab, int steps) noexcept {
#pragma unroll 1
    for (int step = 0; step < Stages; ++step) copy(slab, step, steps);
  }
  /// Sends the rows of a step on their way.
  __device__ void copy(std::int32_t slab, int step, int steps) noexcept {
    __syncwarp();  // the stage, and the rows of the last tile, are read
    if (step < steps) {
      if (step % tile_steps == 0) {
#pragma unroll
        for (int n = 0; n < tile_own_keys; ++n) {
          memory_->row[key(n)] = step == 0 ? rows_[n] : rows_[n + tile_own_keys];
        }
        __syncwarp();
      }
      int const offset = slab * static_cast<int>(sizeof(value)) + ring::chunk() * 16;
      // Behind the last dimension nothing is read, and sums of what lies there are not written.
      if (offset < row_bytes_) {
        char const* from[ring::copies];
#pragma unroll
        for (int i = 0; i < ring::copies; ++i) {
          from[i] = memory_->row[step % tile_steps * step_keys + ring::row(i)];
        }
#pragma unroll
        for (int i = 0; i < ring::copies; ++i) {
          ring_.copy(i, from[i] + offset, from[i] != nullptr);
        }
      }
    }
    ring_.commit();
  }

  __device__ void sum_slab(std::int32_t slab, int steps, float factor, float* out) noexcept {
    float sum[slab_tiles][4] = {};
    // Values are the left operand, transposed. All columns of the right operand are the same.
    std::uint32_t const place = ring::place(lane_ / 16 * 8 + lane_ % 8, lane_ / 8 % 2);
    auto const* const p = reinterpret_cast<uint2 const*>(memory_->p) + lane_ % 4;
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
      std::uint32_t const first = ring_.oldest() + place;
      if (step == tile_steps) {
#pragma unroll
        for (int m = 0; m < slab_tiles; ++m) {
#pragma unroll
          for (int i = 0; i < 4; ++i) sum[m][i] *= factor;
        }
      }
      uint2 const right = p[step * 4];
#pragma unroll
      for (int m = 0; m < slab_tiles; ++m) {
        auto const left = load_matrices_transposed(ring::further(first, m));
        multiply_add<value>(sum[m], left, right.x, right.y);
      }
      copy(slab, step + Stages, steps);
    }
    if (lane_ % 4 > 0) return;
#pragma unroll
    for (int m = 0; m < slab_tiles; ++m) {
      std::int32_t const d = slab + m * 16 + lane_ / 4;
      if (d < c_.p.shape.v_dim) {
        out[d] = sum[m][0];
        out[d + 8] = sum[m][2];
      }
    }
  }

  context<Problem> const& c_;
  memory_type* memory_;
  ring ring_;
  int const row_bytes_;
  int const lane_;
  // Of this lane's keys of the part. A null row: the key is not there.
  char const* rows_[own_keys];
  ordered_key score_[own_keys];
};

}  // namespace tka::inline TKA_ABI::detail::cuda
