// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The third stage: softmax over the selected keys of a row and the sum of their values, one part
/// of its list and one block of its heads at a time. The block that comes last to a row finishes
/// it.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/finish.cuh>
#include <tka/detail/cuda/block/cache_rows.cuh>
#include <tka/detail/cuda/block/key_products.cuh>
#include <tka/detail/cuda/block/slice_ring.cuh>
#include <tka/detail/cuda/block/value_sums.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/row_record.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace tka::inline TKA_ABI::detail::cuda {

template <class Problem>
class attend_agent {
  using precision = typename Problem::precision;
  using C = product_type_t<typename precision::query_type, typename precision::key_type>;
  using keys_type = decltype(attention_keys<Problem>(std::declval<plan const&>(),
                                                     std::declval<arguments<Problem> const&>(), 0));
  using values_type = decltype(attention_values<Problem>(
      std::declval<plan const&>(), std::declval<arguments<Problem> const&>(), 0));
  static constexpr bool scaled = has_row_scales<Problem>;
  static constexpr bool knows_scores = cuda::knows_scores<Problem>;
  /// Heads that one pass has registers for: one list has one head, or those of a group.
  static constexpr int most_heads = Problem::per_query_head ? 8 : attend_heads;
  static constexpr bool relative = scaled && sizeof(C) == 2;
  using sums_type = value_sums<C, values_type, scaled, most_heads>;

 public:
  /// Blocks that a multiprocessor holds at once.
  static constexpr int resident_blocks = knows_scores ? 4 : 2;
  /// Buffers of the ring: more blocks or more buffers.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr int stages_of(int stages) noexcept {
    return knows_scores ? least_stages : stages;
  }

  /// Tiles that are located at a time: the one attended, those that copies reach, and the next.
  /// Copies are two buffers ahead. A buffer may hold a whole tile of values, but at most half a
  /// tile of those that are widened, and keys take buffers of their own.
  static constexpr int located_tiles = sums_type::widens || !knows_scores ? 3 : 4;
  /// Only scales need the place of a key beside its rows.
  static constexpr bool keeps_places =
      std::is_same_v<typename Problem::cache_layout, layout::scaled>;
  /// MLA's values are the front of its keys.
  static constexpr bool own_key_rows =
      !knows_scores && !std::is_same_v<typename Problem::cache_layout, layout::mla_656>;
  /// Keys of a list: addresses are found once a key, not once a copy. Null: there is no key.
  struct located_tile {
    char const* value[tile_keys];
    char const* key[own_key_rows ? tile_keys : 1];
    float score[knows_scores ? tile_keys : 1];
    place at[keeps_places ? tile_keys : 1];
  };
  struct memory_type {
    alignas(
        16) char q[knows_scores ? 16
                                : most_heads * (most_qk_dim * static_cast<int>(sizeof(C)) + 16)];
    /// Scores of a tile, until they are probabilities; then its values, widened.
    union {
      alignas(16) char wide[sums_type::widens ? slice_size : 16];
      float score[knows_scores ? 1 : most_heads][tile_keys + 2];
    };
    alignas(16) probabilities<C, scaled, most_heads> p;
    located_tile located[located_tiles];
    softmax_sums sums[most_heads];
    float factor[most_heads];
    float scale[scaled ? most_value_blocks : 1][tile_keys];  ///< of values
    /// On tensor cores sums of values with scales are relative to the largest weight so far, a
    /// probability times a scale: such weights may have any size, and 16 bits have not.
    float reference[relative ? most_value_blocks : 1][most_heads];
    float block_factor[relative ? most_value_blocks : 1][most_heads];
    std::int32_t parts_done;  ///< of the row
  };
  [[nodiscard]] TKA_HOST_DEVICE static constexpr int bytes(int stages) noexcept {
    return stages * slice_size + static_cast<int>(sizeof(memory_type));
  }

  __device__ attend_agent(context<Problem> const& c, char* memory, int stages) noexcept
      : c_(c),
        ring_(memory, stages),
        memory_(reinterpret_cast<memory_type*>(memory + stages * slice_size)) {}

  /// `ready()` is called once, before the first access to what the stage before leaves: lists. The
  /// schedule and the rows' records are older.
  template <class Ready>
  __device__ void run(Ready&& ready) noexcept {
    share const s = c_.shares[count_of::attends];
    std::int32_t const blocks = attend_blocks<Problem>(c_.p.shape);
    if (s.begin >= s.end) ready();
    for (std::int64_t n = s.begin; n < s.end;) {
      item const at = c_.at(count_of::attends, n);
      std::int32_t const parts = c_.table.entries[at.b].extent.parts;
      auto const part = static_cast<std::int32_t>(at.rest % parts);
      auto const count = static_cast<std::int32_t>(smaller<std::int64_t>(parts - part, s.end - n));
      std::int64_t const rest = at.rest / parts;
      row<Problem> const own = row_of(at, static_cast<std::int32_t>(rest / blocks));
      if (n == s.begin) ready();
      n += count;
      if (!own.exists) continue;
      std::int32_t const first = part * part_keys;
      std::int32_t const last = smaller(first + count * part_keys, own.entries());
      if (first < last) {
        attend(own, heads_of(c_, own.scope_head, static_cast<std::int32_t>(rest % blocks)), first,
               last);
      }
      if (count_parts(own, count) == parts * blocks) {
        finish_agent<Problem>{c_}.finish(own, static_cast<std::int32_t>(threadIdx.x / 32),
                                         block_warps);
      }
    }
  }

 private:
  [[nodiscard]] __device__ row<Problem> row_of(item const& at, std::int32_t r) const noexcept {
    if constexpr (Problem::selects) {
      return row_record<Problem>::of(c_, c_.first_row(at.b, at.unit) + r).own;
    } else {
      return {c_, at.b, at.unit, r};
    }
  }

  /// Parts of the row that are done, for all blocks of its heads, with `count` more of this block.
  [[nodiscard]] __device__ std::int32_t count_parts(row<Problem> const& own,
                                                    std::int32_t count) noexcept {
    __syncthreads();
    if (threadIdx.x == 0) memory_->parts_done = own.count_parts(count);
    __syncthreads();
    return memory_->parts_done;
  }

  /// Entries [first, last) of a list, `first` at the begin of a part. Rows of keys and values pass
  /// through the ring in one stream, across tiles and parts.
  __device__ void attend(row<Problem> const& own, head_range const& heads, std::int32_t first,
                         std::int32_t last) noexcept {
    keys_type const keys = attention_keys<Problem>(c_.p, c_.a, heads.kv_head);
    values_type const values = attention_values<Problem>(c_.p, c_.a, heads.kv_head);
    row_scales const key_scales = scales_of_keys<Problem>(c_.a, heads.kv_head);
    row_scales const value_scales = scales_of_values<Problem>(c_.a, heads.kv_head);
    one_value_scale_ = value_scales.one_a_row();
    query_rows<C> const q{memory_->q, c_.p.shape.qk_dim};
    __syncthreads();  // the last item is done with its memory
    if constexpr (!knows_scores) {
      location const at = own.query(c_);
      q.fill(heads.count, most_heads,
             [&](int h) { return c_.a.q.at(at.outer, heads.first + h, at.token); });
    }
    auto const tiles = static_cast<int>(ceil_div(last - first, tile_keys));
    for (int t = 0; t < located_tiles - 1; ++t) find_keys(own, keys, values, t, first, last);
    __syncthreads();

    // The steps of a tile: slices of keys, then buffers of values.
    int const key_steps = knows_scores ? 0 : keys.slices();
    int const log_together = log_keys_of_buffer(values, sums_type::widens);
    int const together = 1 << log_together;
    int const value_steps = tile_keys >> log_together;
    int next_tile = 0;
    int next_step = 0;
    auto const issue = [&] {
      if (next_tile < tiles) {
        located_tile const& from = memory_->located[next_tile % located_tiles];
        if (next_step < key_steps) {
          copy_keys(keys, from, next_step);
        } else {
          copy_values(values, from, (next_step - key_steps) << log_together, log_together);
        }
        if (++next_step == key_steps + value_steps) {
          next_step = 0;
          ++next_tile;
        }
      }
      ring_.commit();
    };
    for (int i = 0; i < ring_.ahead(); ++i) issue();

    sums_type sums;
    for (int t = 0; t < tiles; ++t) {
      bool const begins = t * tile_keys % part_keys == 0;
      bool const ends = (t + 1) * tile_keys % part_keys == 0 || t + 1 == tiles;
      std::int32_t const entry = first + t * tile_keys;
      located_tile const& now = memory_->located[t % located_tiles];
      if (begins) {
        clear_sums();
        sums.clear();
      }
      // Its place is free: every copy of tile t - 1 has been issued before this tile's first step.
      find_keys(own, keys, values, t + located_tiles - 1, first, last);
      if constexpr (!knows_scores) {
        key_products<C, keys_type, scaled, most_heads / 8> products;
        products.clear();
        for (int s = 0; s < key_steps; ++s) {
          char const* const buffer = ring_.advance();
          issue();
          products.add(
              buffer, s, keys, q, heads.count, key_scales.one_a_row(), [&](int key, int block) {
                char const* const row = key_row(now, key);
                return row == nullptr ? 0.0f : key_scales.of(row, place_of(now, key), block);
              });
        }
        products.each(heads.count, [&](int h, int key, float s) { memory_->score[h][key] = s; });
      }
      __syncthreads();
      if constexpr (scaled) load_scales(values, value_scales, now);
      add_softmax(heads, now);
      for (int s = 0; s < value_steps; ++s) {
        char const* const buffer = ring_.advance();
        issue();
        if (s == 0 && !begins) rescale(sums);
        add_values(buffer, s * together, together, values, heads, sums);
      }
      __syncthreads();
      if (ends) write_part(own, heads, entry / part_keys, sums);
    }
    ring_.drain();
  }

  __device__ void clear_sums() noexcept {
    auto const thread = static_cast<int>(threadIdx.x);
    if (thread < most_heads) {
      memory_->sums[thread] = {};
      memory_->factor[thread] = 1.0f;
    }
    if constexpr (relative) {
      if (thread < most_value_blocks * most_heads) (&memory_->reference[0][0])[thread] = 0.0f;
    }
  }

  __device__ void rescale(sums_type& sums) noexcept {
    sums.rescale(c_.p.shape.v_dim, [&](int h, int block) {
      if constexpr (relative) return memory_->block_factor[one_value_scale_ ? 0 : block][h];
      return memory_->factor[h];
    });
  }

  __device__ void add_values(char const* buffer, int at, int together, values_type const& values,
                             head_range const& heads, sums_type& sums) noexcept {
    if constexpr (std::is_same_v<C, float>) {
      sums.add(buffer, together, at, values, heads.count, memory_->p, [&](int key, int block) {
        return memory_->scale[one_value_scale_ ? 0 : block][key];
      });
    } else {
      sums.add(buffer, memory_->wide, together, at, values, heads.count, memory_->p,
               one_value_scale_);
    }
  }

  __device__ void write_part(row<Problem> const& own, head_range const& heads, std::int32_t part,
                             sums_type& sums) noexcept {
    float* const out = own.part(c_.p, part, heads.in_selection);
    int const pitch = c_.p.shape.v_dim + 4;
    sums.each(c_.p.shape.v_dim, heads.count, [&](int d, int h, float sum) {
      if constexpr (relative) sum *= memory_->reference[one_value_scale_ ? 0 : d / scale_block][h];
      out[h * pitch + d] = sum;
    });
    auto const thread = static_cast<int>(threadIdx.x);
    if (thread < heads.count) {
      softmax_sums const s = memory_->sums[thread];
      float* const end = out + thread * pitch + c_.p.shape.v_dim;
      end[0] = s.max;
      end[1] = s.sum;
      end[2] = s.weighted;
    }
    __syncthreads();  // the next part begins with other sums
  }

  /// The rows of the keys of tile `t` of the entries [first, last).
  __device__ void find_keys(row<Problem> const& own, keys_type const& keys,
                            values_type const& values, int t, std::int32_t first,
                            std::int32_t last) noexcept {
    auto const key = static_cast<std::int32_t>(threadIdx.x);
    if (key >= tile_keys) return;
    std::int32_t const entry = first + t * tile_keys + key;
    location l{-1, 0};
    if (entry < last) {
      l = Problem::kv_source::locate(c_.a.kv, own.entry->of.b, own.index()[entry],
                                     c_.p.shape.page_size);
    }
    located_tile& out = memory_->located[t % located_tiles];
    out.value[key] = l.outer < 0 ? nullptr : values.at(l);
    if constexpr (knows_scores) {
      out.score[key] = entry < last ? from_ordered(own.key()[entry]) : 0.0f;
    }
    if constexpr (own_key_rows) out.key[key] = l.outer < 0 ? nullptr : keys.at(l);
    if constexpr (keeps_places) {
      out.at[key] = {static_cast<std::int32_t>(l.outer), static_cast<std::int32_t>(l.token)};
    }
  }
  [[nodiscard]] __device__ static char const* key_row(located_tile const& tile, int key) noexcept {
    if constexpr (own_key_rows) return tile.key[key];
    return tile.value[key];
  }
  [[nodiscard]] __device__ static location place_of(located_tile const& tile, int key) noexcept {
    if constexpr (keeps_places) return {tile.at[key].outer, tile.at[key].token};
    return {0, 0};
  }

  __device__ void copy_keys(keys_type const& keys, located_tile const& from, int slice) noexcept {
    auto const line = static_cast<int>(threadIdx.x / 8);
#pragma unroll
    for (int i = 0; i < tile_keys / 32; ++i) {
      copy_line<true>(ring_.next(), line + 32 * i, static_cast<int>(threadIdx.x % 8),
                      key_row(from, line + 32 * i), keys.offset(slice), keys.bytes(slice));
    }
  }
  __device__ void copy_values(values_type const& values, located_tile const& from, int first,
                              int log_together) noexcept {
    int const lines = values.slices() << log_together;
    int const last_key = (1 << log_together) - 1;
    for (int line = static_cast<int>(threadIdx.x / 8); line < lines; line += block_threads / 8) {
      int const slice = line >> log_together;
      copy_line<true>(ring_.next(), line, static_cast<int>(threadIdx.x % 8),
                      from.value[first + (line & last_key)], values.offset(slice),
                      values.bytes(slice));
    }
  }

  /// Scales of the values of this tile.
  __device__ void load_scales(values_type const& values, row_scales const& scales,
                              located_tile const& now) noexcept {
    for (int n = static_cast<int>(threadIdx.x); n < value_blocks() * tile_keys;
         n += block_threads) {
      int const key = n % tile_keys;
      memory_->scale[n / tile_keys][key] =
          now.value[key] == nullptr ? 0.0f
                                    : scales.of(now.value[key], place_of(now, key), n / tile_keys);
    }
    __syncthreads();
  }
  /// Blocks of dimensions with scales of their own.
  [[nodiscard]] __device__ int value_blocks() const noexcept {
    return one_value_scale_ ? 1 : (c_.p.shape.v_dim + scale_block - 1) / scale_block;
  }

  /// Turns the scores of this tile into probabilities against the largest logit so far.
  __device__ void add_softmax(head_range const& heads, located_tile const& now) noexcept {
    auto const warp = static_cast<int>(threadIdx.x / 32);
    auto const lane = static_cast<int>(threadIdx.x % 32);
    for (int h = warp; h < most_heads; h += block_warps) {
      float x[4] = {0.0f, 0.0f, 0.0f, 0.0f};
      float factor = 1.0f;
      if (h < heads.count) factor = add_head(h, lane, now, x);
      if constexpr (relative) {
        for (int block = 0; block < value_blocks(); ++block)
          put_relative(h, lane, block, factor, x);
      } else {
        if (lane == 0) memory_->factor[h] = factor;
#pragma unroll
        for (int n = 0; n < 4; ++n) memory_->p.p[0][h][lane + 32 * n] = C(x[n]);
      }
    }
  }

  /// What earlier sums must be multiplied by; leaves probabilities in x.
  [[nodiscard]] __device__ float add_head(int h, int lane, located_tile const& now,
                                          float (&x)[4]) noexcept {
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      int const key = lane + 32 * n;
      float score = 0.0f;
      if constexpr (knows_scores) {
        score = now.score[key];
      } else {
        score = memory_->score[h][key];
      }
      x[n] = now.value[key] == nullptr ? minus_infinity() : to_logit(c_.p.options, score);
    }
    softmax_sums sums = memory_->sums[h];
    float const factor = add_logits(sums, x);
    __syncwarp();
    if (lane == 0) memory_->sums[h] = sums;
    return factor;
  }

  /// Probabilities times scales, relative to the largest such weight of this head and block.
  __device__ void put_relative(int h, int lane, int block, float factor,
                               float const (&x)[4]) noexcept {
    float weight[4];
    float most = 0.0f;
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      weight[n] = x[n] * memory_->scale[block][lane + 32 * n];
      most = fmaxf(most, fabsf(weight[n]));
    }
    float const before = memory_->reference[block][h] * factor;
    float const unit = fmaxf(warp_max(most), before);
    __syncwarp();
    if (lane == 0) {
      memory_->block_factor[block][h] = unit > 0.0f ? before / unit : 1.0f;
      memory_->reference[block][h] = unit;
    }
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      memory_->p.p[block][h][lane + 32 * n] = C(unit > 0.0f ? weight[n] / unit : weight[n]);
    }
  }

  context<Problem> const& c_;
  slice_ring ring_;
  memory_type* memory_;
  bool one_value_scale_ = true;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
