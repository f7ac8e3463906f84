// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The first stage: scores of visible keys, tile by tile, into the rows of a wave.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/prepare.cuh>
#include <tka/detail/cuda/block/cache_rows.cuh>
#include <tka/detail/cuda/block/key_products.cuh>
#include <tka/detail/cuda/block/slice_ring.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/cuda/warp/widen.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// Shared memory of the score stage.
struct score_memory {
  static constexpr int score_pitch = tile_keys + 4;
  struct rest {
    alignas(16) char q[query_bytes];
    float score[most_rows * score_pitch];
    location where[tile_keys];
    visible_range range[most_rows];
  };
  [[nodiscard]] TKA_HOST_DEVICE static constexpr int bytes(int stages) noexcept {
    return stages * slice_size + static_cast<int>(sizeof(rest));
  }
};

template <class Problem>
class score_agent {
  using query_type = typename scored<Problem>::query;
  using key_type = typename scored<Problem>::key;
  using C = product_type_t<query_type, key_type>;
  using rows_type = decltype(scanned_keys<Problem>(std::declval<plan const&>(),
                                                   std::declval<arguments<Problem> const&>(), 0));
  static constexpr bool scaled = !Problem::by_index && has_row_scales<Problem>;
  static constexpr int pitch = score_memory::score_pitch;

 public:
  __device__ score_agent(context<Problem> const& c, char* memory, int stages) noexcept
      : c_(c),
        ring_(memory, stages),
        memory_(reinterpret_cast<score_memory::rest*>(memory + stages * slice_size)) {}

  __device__ void run() noexcept {
    clear_rows();
    share const s = share_of(c_.table, count_of::tiles, c_.now);
    for (std::int64_t n = s.begin; n < s.end;) {
      item const at = find_item(c_.table, count_of::tiles, n);
      std::int64_t const left = c_.table.per_unit(count_of::tiles, at.b) - at.rest;
      std::int64_t const count = smaller(left, s.end - n);
      scan_unit(at.b, at.unit, static_cast<std::int32_t>(at.rest),
                static_cast<std::int32_t>(at.rest + count));
      n += count;
    }
  }

 private:
  /// Histograms and states of this block's rows begin at zero.
  __device__ void clear_rows() const noexcept {
    std::int64_t const blocks = Problem::attends ? attend_blocks<Problem>(c_.p.shape) : 1;
    share const s = share_of(c_.table, count_of::rows, c_.now);
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = find_item(c_.table, count_of::rows, n);
      if (at.rest % blocks != 0) continue;
      row<Problem> const r{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / blocks)};
      auto const thread = static_cast<int>(threadIdx.x);
      for (int i = thread; i < histogram_words; i += block_threads) r.histogram(0)[i] = 0;
      if (thread < row_state_words)
        r.state()[thread] = thread == last_kept || thread == last_kept + 1 ? 0xffffffffu : 0u;
    }
  }

  __device__ void scan_unit(std::int32_t b, std::int64_t unit, std::int32_t from,
                            std::int32_t to) noexcept {
    entry_ = &c_.table.entries[b];
    place_ = place_of<Problem>(c_, b, unit);
    layout_ = layout_of<Problem>(c_.p, entry_->extent);
    unit_memory_ = c_.unit_memory(b, unit);
    auto const thread = static_cast<std::int32_t>(threadIdx.x);
    __syncthreads();  // the last unit's ranges are done with
    if (thread < place_.tokens) {
      memory_->range[thread] =
          range_of<Problem>(c_.p, c_.a, entry_->of, place_.first_token + thread);
    }
    __syncthreads();
    seen_ = {};
    seen_.main_begin = memory_->range[0].main_begin;
    for (std::int32_t i = 0; i < place_.tokens; ++i) {
      visible_range const& r = memory_->range[i];
      seen_.sinks_end = larger(seen_.sinks_end, r.sinks_end);
      seen_.main_begin = smaller(seen_.main_begin, r.main_begin);
      seen_.end = larger(seen_.end, r.end);
    }
    if constexpr (Problem::by_given) {
      for (std::int32_t t = next_tile(from, to); t < to; t = next_tile(t + 1, to)) take_given(t);
    } else {
      std::int32_t const passes = geometry<Problem>::heads_are_units ? 1 : c_.g.head_blocks;
      for (std::int32_t pass = 0; pass < passes; ++pass) {
        std::int32_t const block = geometry<Problem>::heads_are_units ? place_.head_block : pass;
        first_head_ = block * c_.g.head_block;
        heads_ = smaller(c_.g.head_block, c_.g.heads - first_head_);
        stream(from, to);
      }
    }
  }

  /// The first tile of [t, to) that any token of the unit sees, or `to`.
  [[nodiscard]] __device__ std::int32_t next_tile(std::int32_t t, std::int32_t to) const noexcept {
    while (t < to) {
      std::int64_t const first = std::int64_t{t} * tile_keys;
      if (first < seen_.end && (first < seen_.sinks_end || first + tile_keys > seen_.main_begin)) {
        return t;
      }
      ++t;
    }
    return to;
  }

  [[nodiscard]] __device__ location locate(std::int32_t local) const noexcept {
    if (local >= seen_.end) return {-1, 0};
    return Problem::kv_source::locate(c_.a.kv, entry_->of.b, local, c_.p.shape.page_size);
  }

  __device__ void stream(std::int32_t from, std::int32_t to) noexcept {
    rows_type const rows = scanned_keys<Problem>(c_.p, c_.a, place_.head);
    row_scales const scales = scales_of_keys<Problem>(c_.a, place_.head);
    query_rows<C> const q{memory_->q, c_.g.dim};
    std::int32_t const row_count = place_.tokens * heads_;
    q.fill(row_count, [&](int r) { return query_row(r); });

    auto const line = static_cast<int>(threadIdx.x / 8);
    auto const chunk = static_cast<int>(threadIdx.x % 8);
    int const slices = rows.slices();
    // What is copied next: slice `slice` of `tile`, from these rows.
    std::int32_t tile = next_tile(from, to);
    int slice = 0;
    char const* source[4];
    auto const issue = [&] {
      if (tile < to) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (slice == 0) {
            location const l = locate(tile * tile_keys + line + 32 * i);
            source[i] = l.outer < 0 ? nullptr : rows.at(l);
          }
          copy_line<rows_type::aligned>(ring_.next(), line + 32 * i, chunk, source[i],
                                        rows.offset(slice), rows.bytes(slice));
        }
        if (++slice == slices) {
          slice = 0;
          tile = next_tile(tile + 1, to);
        }
      }
      ring_.commit();
    };
    for (int i = 0; i < ring_.ahead(); ++i) issue();

    key_products<C, rows_type, scaled, most_rows / 8> products;
    for (std::int32_t t = next_tile(from, to); t < to; t = next_tile(t + 1, to)) {
      find_keys(t);
      products.clear();
      for (int s = 0; s < slices; ++s) {
        char const* const buffer = ring_.advance();
        issue();
        products.add(buffer, s, rows, q, row_count, scales.one_a_row(), [&](int key, int block) {
          location const l = memory_->where[key];
          return l.outer < 0 ? 0.0f : scales.of(rows.at(l), l, block);
        });
      }
      products.each(row_count,
                    [&](int row, int key, float s) { memory_->score[row * pitch + key] = s; });
      __syncthreads();
      keep(t);
      __syncthreads();
    }
    ring_.drain();
  }

  [[nodiscard]] __device__ query_type const* query_row(int r) const noexcept {
    location const at =
        Problem::query_source::locate(c_.a.query, entry_->of.b, place_.first_token + r / heads_);
    std::int32_t const head = first_head_ + r % heads_;
    if constexpr (Problem::by_index) {
      return c_.a.index.q.at(at.outer, head, at.token);
    } else {
      return c_.a.q.at(at.outer, place_.head * c_.g.heads + head, at.token);
    }
  }

  /// Where the keys of a tile lie; one that is not there is reported.
  __device__ void find_keys(std::int32_t tile) noexcept {
    auto const thread = static_cast<std::int32_t>(threadIdx.x);
    if (thread >= tile_keys) return;
    std::int32_t const local = tile * tile_keys + thread;
    location const l = locate(local);
    memory_->where[thread] = l;
    if (l.outer < 0 && local < seen_.end) report(c_.a.error, data_error::page_out_of_range);
  }

  [[nodiscard]] __device__ std::uint32_t* row_memory(std::int32_t r) const noexcept {
    return unit_memory_ + r * entry_->row_words;
  }

  /// From scores in shared memory to the rows of the wave.
  __device__ void keep(std::int32_t tile) noexcept {
    if constexpr (Problem::by_query_key) {
      if (sums_visible<Problem>(c_.p.options)) measure(tile);
    }
    if constexpr (geometry<Problem>::heads_are_units) {
      keep_each_head(tile);
    } else {
      keep_combined(tile);
    }
  }

  __device__ void keep_each_head(std::int32_t tile) const noexcept {
    auto const warp = static_cast<std::int32_t>(threadIdx.x / 32);
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    for (std::int32_t r = warp; r < place_.tokens * heads_; r += block_warps) {
      std::int32_t const i = r / heads_;
      compact_range const range{memory_->range[i]};
      auto* const out = reinterpret_cast<ordered_key*>(
          row_memory(i * c_.g.head_block + r % heads_) + layout_.scores);
#pragma unroll
      for (int n = 0; n < tile_keys / 32; ++n) {
        std::int32_t const j = lane + 32 * n;
        std::int32_t const local = tile * tile_keys + j;
        if (!range.range.visible(local)) continue;
        bool const there = memory_->where[j].outer >= 0;
        out[range.compact(local)] =
            there ? to_ordered(memory_->score[r * pitch + j]) : key_of_nothing;
      }
    }
  }

  /// One score of all heads. Heads that come in several passes leave a sum under way in the row.
  __device__ void keep_combined(std::int32_t tile) const noexcept {
    for (std::int32_t n = static_cast<std::int32_t>(threadIdx.x); n < place_.tokens * tile_keys;
         n += block_threads) {
      std::int32_t const i = n / tile_keys;
      std::int32_t const j = n % tile_keys;
      compact_range const range{memory_->range[i]};
      std::int32_t const local = tile * tile_keys + j;
      if (!range.range.visible(local)) continue;
      std::uint32_t* const memory = row_memory(i);
      std::int32_t const at = range.compact(local);
      float* const under_way = reinterpret_cast<float*>(memory + layout_.scores) + at;
      auto* const out = reinterpret_cast<ordered_key*>(under_way);
      bool const there = memory_->where[j].outer >= 0;
      if (keeps_raw<Problem>(c_.p.options)) {
        keep_raw(memory, i, j, at);
        *out = there ? 0 : key_of_nothing;
        continue;
      }
      float s = first_head_ == 0 ? start() : *under_way;
      for (std::int32_t h = 0; h < heads_; ++h) {
        s = join(s, memory_->score[(i * heads_ + h) * pitch + j], i, first_head_ + h);
      }
      if (first_head_ + heads_ < c_.g.heads) {
        *under_way = s;
      } else if (!there) {
        *out = key_of_nothing;
      } else {
        if constexpr (Problem::by_index) s *= index_scale(memory_->where[j]);
        *out = to_ordered(s);
      }
    }
  }

  [[nodiscard]] __device__ float start() const noexcept {
    return !Problem::by_index && c_.p.options.combine == combine::max ? minus_infinity() : 0.0f;
  }
  /// Joins the score of the next head, in head order.
  [[nodiscard]] __device__ float join(float s, float next, std::int32_t i,
                                      std::int32_t head) const noexcept {
    if constexpr (Problem::by_index) {
      location const at =
          Problem::query_source::locate(c_.a.query, entry_->of.b, place_.first_token + i);
      float const positive = next <= 0.0f ? 0.0f : next;  // NaN passes
      return __fmaf_rn(*c_.a.index.weights.at(at.outer, head, at.token), positive, s);
    } else if (c_.p.options.combine == combine::max) {
      return (next > s || next != next) ? next : s;
    } else {
      return head == 0 ? next : s + next;
    }
  }
  [[nodiscard]] __device__ float index_scale(location l) const noexcept {
    using selection = typename Problem::selection;
    if constexpr (std::is_same_v<typename selection::cache_layout, index_layout::page_132>) {
      return scanned_keys<Problem>(c_.p, c_.a, 0).scale(l);
    } else {
      return c_.a.index.k_scales ? *c_.a.index.k_scales.at(l.outer, 0, l.token) : 1.0f;
    }
  }

  __device__ void keep_raw(std::uint32_t* memory, std::int32_t i, std::int32_t j,
                           std::int32_t at) const noexcept {
    for (std::int32_t h = 0; h < heads_; ++h) {
      auto* const raw = reinterpret_cast<float*>(memory + layout_.raw) +
                        (first_head_ + h) * round_up(entry_->extent.visible, 32);
      raw[at] = memory_->score[(i * heads_ + h) * pitch + j];
    }
  }

  /// Softmax sums of the visible keys of this tile, for each row.
  __device__ void measure(std::int32_t tile) const noexcept {
    auto const warp = static_cast<std::int32_t>(threadIdx.x / 32);
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    for (std::int32_t r = warp; r < place_.tokens * heads_; r += block_warps) {
      std::int32_t const i = r / heads_;
      float x[4];
      float most = minus_infinity();
      bool nan = false;
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        std::int32_t const j = lane + 32 * n;
        bool const seen =
            memory_->range[i].visible(tile * tile_keys + j) && memory_->where[j].outer >= 0;
        x[n] = seen ? to_logit(c_.p.options, memory_->score[r * pitch + j]) : minus_infinity();
        most = fmaxf(most, x[n]);
        nan |= x[n] != x[n];
      }
      most = warp_max(most);
      nan = __any_sync(0xffffffffu, nan);
      float sum = 0.0f;
      float weighted = 0.0f;
      if (nan || most > minus_infinity()) exponentials(x, most, sum, weighted);
      if (lane > 0) continue;
      bool const own_row = geometry<Problem>::heads_are_units;
      std::int32_t const own = own_row ? i * c_.g.head_block + r % heads_ : i;
      std::int32_t const head = own_row ? 0 : first_head_ + r % heads_;
      float* const out = reinterpret_cast<float*>(row_memory(own) + layout_.sums) +
                         (std::int64_t{head} * entry_->extent.tiles + tile) * 3;
      out[0] = most;
      out[1] = sum;
      out[2] = weighted;
    }
  }

  /// Scores of the caller's go into the rows as they are.
  __device__ void take_given(std::int32_t tile) noexcept {
    if constexpr (Problem::by_given) {
      for (std::int32_t n = static_cast<std::int32_t>(threadIdx.x); n < place_.tokens * tile_keys;
           n += block_threads) {
        std::int32_t const i = n / tile_keys;
        std::int32_t const local = tile * tile_keys + n % tile_keys;
        compact_range const range{memory_->range[i]};
        if (!range.range.visible(local)) continue;
        location const at =
            Problem::query_source::locate(c_.a.query, entry_->of.b, place_.first_token + i);
        location const key = locate(local);
        auto* const out = reinterpret_cast<ordered_key*>(row_memory(i) + layout_.scores);
        if (key.outer < 0) report(c_.a.error, data_error::page_out_of_range);
        out[range.compact(local)] =
            key.outer < 0
                ? key_of_nothing
                : to_ordered(c_.a.index.scores.at(at.outer, place_.head, at.token)[local]);
      }
    }
  }

  context<Problem> const& c_;
  slice_ring ring_;
  score_memory::rest* memory_;
  // Of the unit under way:
  sequence_entry const* entry_ = nullptr;
  unit_place place_{};
  row_layout layout_{};
  std::uint32_t* unit_memory_ = nullptr;
  visible_range seen_{};  ///< what any token of it sees
  std::int32_t first_head_ = 0;
  std::int32_t heads_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
