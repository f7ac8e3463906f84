// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The first stage: scores of visible keys, tile by tile, into the rows of a wave.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/unit_scan.cuh>
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

/// Shared memory of the score stage for units of at most `Rows` score rows.
template <int Rows>
struct score_memory {
  static constexpr int score_pitch = tile_keys + 4;
  /// The tile under way and those that copies reach while it is scored.
  static constexpr int located_tiles = 3;
  struct rest {
    static constexpr int few_bytes = few_rows * (most_qk_dim * 4 + 16);
    alignas(16) char q[Rows == few_rows ? few_bytes : query_bytes];
    float score[Rows * score_pitch];
    char const* source[located_tiles][tile_keys];  ///< rows of tiles that copies reach next
    place where[tile_keys];                        ///< of the tile that is scored
    std::uint8_t token_of[Rows];                   ///< of each score row
    unit_memory<Rows> unit;
  };
  [[nodiscard]] TKA_HOST_DEVICE static constexpr int bytes(int stages) noexcept {
    return stages * slice_size + static_cast<int>(sizeof(rest));
  }
};

template <class Problem, int MostRows>
class score_agent {
  using memory_type = score_memory<MostRows>;
  using C = product_type_t<typename scored<Problem>::query, typename scored<Problem>::key>;
  using rows_type = decltype(scanned_keys<Problem>(std::declval<plan const&>(),
                                                   std::declval<arguments<Problem> const&>(), 0));
  static constexpr bool scaled = !Problem::by_index && has_row_scales<Problem>;
  static constexpr int pitch = memory_type::score_pitch;
  /// Whether anything but its score is asked of a key.
  static constexpr bool wants_places = Problem::kv_source::has_pages || scaled || Problem::by_index;

 public:
  __device__ score_agent(context<Problem> const& c, char* memory, int stages) noexcept
      : c_(c),
        ring_(memory, stages),
        memory_(reinterpret_cast<typename memory_type::rest*>(memory + stages * slice_size)),
        unit_(c, memory_->unit),
        measures_(sums_visible<Problem>(c.p.options)) {}

  __device__ void run() noexcept {
    unit_.each([this](std::int32_t from, std::int32_t to) { scan_unit(from, to); });
  }

 private:
  __device__ void scan_unit(std::int32_t from, std::int32_t to) noexcept {
    auto const thread = static_cast<std::int32_t>(threadIdx.x);
    if (unit_.has_first() && thread >= block_threads - 32) unit_.describe_rows();
    if constexpr (Problem::by_given) {
      for (std::int32_t t = unit_.next_tile(from, to); t < to; t = unit_.next_tile(t + 1, to))
        take_given(t);
    } else {
      std::int32_t const passes = geometry<Problem>::heads_are_units ? 1 : c_.g.head_blocks;
      for (std::int32_t pass = 0; pass < passes; ++pass) {
        std::int32_t const block =
            geometry<Problem>::heads_are_units ? unit_.place().head_block : pass;
        first_head_ = block * c_.g.head_block;
        heads_ = smaller(c_.g.head_block, c_.g.heads - first_head_);
        if (thread < unit_.place().tokens * heads_) {
          memory_->token_of[thread] = static_cast<std::uint8_t>(thread / heads_);
        }
        std::int32_t const rows = unit_.place().tokens * heads_;
        // Long rows of q leave room for few of them, so each number of rows needs its own code.
        if (MostRows == few_rows || rows <= few_rows) {
          stream<few_rows>(from, to);
        } else if constexpr (MostRows > few_rows) {
          if (rows <= some_rows) {
            stream<some_rows>(from, to);
          } else {
            stream<most_rows>(from, to);
          }
        }
      }
    }
  }

  /// All tiles against the rows of the unit, at most `Rows`.
  template <int Rows>
  __device__ void stream(std::int32_t from, std::int32_t to) noexcept {
    rows_type const rows = scanned_keys<Problem>(c_.p, c_.a, unit_.place().head);
    row_scales const scales = scales_of_keys<Problem>(c_.a, unit_.place().head);
    query_rows<C> const q{memory_->q, c_.g.dim};
    std::int32_t const row_count = unit_.place().tokens * heads_;
    q.fill(row_count, Rows,
           [&](int r) { return unit_.query_row(r / heads_, first_head_ + r % heads_); });

    auto const line = static_cast<int>(threadIdx.x / 8);
    auto const chunk = static_cast<int>(threadIdx.x % 8);
    int const slices = rows.slices();
    // Rows are located a few tiles ahead of the copies, one thread a key.
    std::int32_t next_located = unit_.next_tile(from, to);
    int located = 0;
    auto const locate_tile = [&] {
      if (next_located >= to) return;
      auto const key = static_cast<std::int32_t>(threadIdx.x);
      if (key < tile_keys) {
        location const l = unit_.locate(next_located * tile_keys + key);
        memory_->source[located][key] = l.outer < 0 ? nullptr : rows.at(l);
      }
      located = located + 1 == memory_type::located_tiles ? 0 : located + 1;
      next_located = unit_.next_tile(next_located + 1, to);
    };
    for (int i = 0; i < memory_type::located_tiles - 1; ++i) locate_tile();
    __syncthreads();
    // What is copied next: slice `slice` of `tile`, whose rows stand at `reached`.
    std::int32_t tile = unit_.next_tile(from, to);
    int reached = 0;
    int slice = 0;
    auto const issue = [&] {
      if (tile < to) {
        char* const buffer = ring_.next();
        int const offset = rows.offset(slice);
        int const bytes = rows.bytes(slice);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          copy_line<rows_type::aligned>(buffer, line + 32 * i, chunk,
                                        memory_->source[reached][line + 32 * i], offset, bytes);
        }
        if (++slice == slices) {
          slice = 0;
          tile = unit_.next_tile(tile + 1, to);
          reached = reached + 1 == memory_type::located_tiles ? 0 : reached + 1;
        }
      }
      ring_.commit();
    };
    for (int i = 0; i < ring_.ahead(); ++i) issue();

    key_products<C, rows_type, scaled, Rows / 8> products;
    for (std::int32_t t = unit_.next_tile(from, to); t < to; t = unit_.next_tile(t + 1, to)) {
      if constexpr (wants_places) find_keys(t);
      locate_tile();
      products.clear();
      for (int s = 0; s < slices; ++s) {
        char const* const buffer = ring_.advance();
        issue();
        products.add(buffer, s, rows, q, row_count, scales.one_a_row(), [&](int key, int block) {
          location const l{memory_->where[key].outer, memory_->where[key].token};
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

  /// Where the keys of a tile lie; one that is not there is reported.
  __device__ void find_keys(std::int32_t tile) noexcept {
    auto const thread = static_cast<std::int32_t>(threadIdx.x);
    if (thread >= tile_keys) return;
    std::int32_t const local = tile * tile_keys + thread;
    location const l = unit_.locate(local);
    memory_->where[thread] = {static_cast<std::int32_t>(l.outer),
                              static_cast<std::int32_t>(l.token)};
    unit_.check(local, l);
  }

  /// From scores in shared memory to the rows of the wave.
  __device__ void keep(std::int32_t tile) noexcept {
    if constexpr (Problem::by_query_key) {
      if (measures_) measure(tile);
    }
    if constexpr (geometry<Problem>::heads_are_units) {
      keep_each_head(tile * tile_keys);
    } else {
      keep_combined(tile * tile_keys);
    }
  }

  [[nodiscard]] __device__ bool there(std::int32_t key) const noexcept {
    if constexpr (wants_places) return memory_->where[key].outer >= 0;
    return true;
  }

  __device__ void keep_each_head(std::int32_t first) const noexcept {
    // Where every token sees the whole tile only pages may be missing.
    bool const whole = unit_.all_see(first, tile_keys);
    std::int32_t const rows = unit_.place().tokens * heads_;
#pragma unroll 1
    for (auto n = static_cast<std::int32_t>(threadIdx.x); n < rows * tile_keys;
         n += block_threads) {
      std::int32_t const r = n / tile_keys;
      std::int32_t const j = n % tile_keys;
      std::int32_t const i = memory_->token_of[r];
      compact_range const range{unit_.range(i)};
      if (!whole && !range.range.visible(first + j)) continue;
      ordered_key* const out = unit_.scores(r + i * (c_.g.head_block - heads_));
      out[range.compact(first + j)] =
          there(j) ? to_ordered(memory_->score[r * pitch + j]) : key_of_nothing;
    }
  }

  /// One score of all heads. Heads that come in several passes leave a sum under way in the row.
  __device__ void keep_combined(std::int32_t first) const noexcept {
#pragma unroll 1
    for (std::int32_t n = static_cast<std::int32_t>(threadIdx.x);
         n < unit_.place().tokens * tile_keys; n += block_threads) {
      std::int32_t const i = n / tile_keys;
      std::int32_t const j = n % tile_keys;
      compact_range const range{unit_.range(i)};
      if (!range.range.visible(first + j)) continue;
      std::uint32_t* const memory = unit_.row(i);
      std::int32_t const at = range.compact(first + j);
      float* const under_way = reinterpret_cast<float*>(unit_.scores(i)) + at;
      auto* const out = reinterpret_cast<ordered_key*>(under_way);
      if (keeps_raw<Problem>(c_.p.options)) {
        keep_raw(memory, i, j, at);
        *out = there(j) ? 0 : key_of_nothing;
        continue;
      }
      float s = first_head_ == 0 ? start() : *under_way;
      for (std::int32_t h = 0; h < heads_; ++h) {
        s = join(s, memory_->score[(i * heads_ + h) * pitch + j], i, first_head_ + h);
      }
      if (first_head_ + heads_ < c_.g.heads) {
        *under_way = s;
      } else if (!there(j)) {
        *out = key_of_nothing;
      } else {
        if constexpr (Problem::by_index)
          s *= index_scale({memory_->where[j].outer, memory_->where[j].token});
        *out = to_ordered(s);
      }
    }
  }

  [[nodiscard]] __device__ float start() const noexcept {
    return Problem::by_index ? 0.0f : first_of_heads(c_.p.options);
  }
  /// Joins the score of the next head, in head order.
  [[nodiscard]] __device__ float join(float s, float next, std::int32_t i,
                                      std::int32_t head) const noexcept {
    if constexpr (Problem::by_index) {
      location const at = unit_.query(i);
      float const positive = next <= 0.0f ? 0.0f : next;  // NaN passes
      return __fmaf_rn(*c_.a.index.weights.at(at.outer, head, at.token), positive, s);
    } else {
      return join_heads(c_.p.options, s, next, head);
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
      auto* const raw = reinterpret_cast<float*>(memory + unit_.entry().row.raw) +
                        (first_head_ + h) * round_up(unit_.entry().extent.visible, 32);
      raw[at] = memory_->score[(i * heads_ + h) * pitch + j];
    }
  }

  /// Softmax sums of the visible keys of this tile, for each row.
  __device__ void measure(std::int32_t tile) const noexcept {
    auto const warp = static_cast<std::int32_t>(threadIdx.x / 32);
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    for (std::int32_t r = warp; r < unit_.place().tokens * heads_; r += block_warps) {
      std::int32_t const i = r / heads_;
      float x[4];
      float most = minus_infinity();
      bool nan = false;
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        std::int32_t const j = lane + 32 * n;
        bool const seen = unit_.range(i).visible(tile * tile_keys + j) && there(j);
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
      float* const out = reinterpret_cast<float*>(unit_.row(own) + unit_.entry().row.sums) +
                         (std::int64_t{head} * unit_.entry().extent.tiles + tile) * 3;
      out[0] = most;
      out[1] = sum;
      out[2] = weighted;
    }
  }

  /// Scores of the caller's go into the rows as they are.
  __device__ void take_given(std::int32_t tile) noexcept {
    if constexpr (Problem::by_given) {
      for (std::int32_t n = static_cast<std::int32_t>(threadIdx.x);
           n < unit_.place().tokens * tile_keys; n += block_threads) {
        std::int32_t const i = n / tile_keys;
        std::int32_t const local = tile * tile_keys + n % tile_keys;
        compact_range const range{unit_.range(i)};
        if (!range.range.visible(local)) continue;
        location const at = unit_.query(i);
        location const key = unit_.locate(local);
        ordered_key* const out = unit_.scores(i);
        if (key.outer < 0) report(c_.a.error, data_error::page_out_of_range);
        out[range.compact(local)] =
            key.outer < 0
                ? key_of_nothing
                : to_ordered(c_.a.index.scores.at(at.outer, unit_.place().head, at.token)[local]);
      }
    }
  }

  context<Problem> const& c_;
  slice_ring ring_;
  typename memory_type::rest* memory_;
  unit_scan<Problem, MostRows> unit_;
  bool const measures_;
  std::int32_t first_head_ = 0;
  std::int32_t heads_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
