// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The first stage: scores of visible keys, tile by tile, into the rows of a wave.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/unit_scan.cuh>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/block/cache_rows.cuh>
#include <tka/detail/cuda/block/key_products.cuh>
#include <tka/detail/cuda/block/slice_ring.cuh>
#include <tka/detail/cuda/tuning/attend.cuh>
#include <tka/detail/cuda/tuning/block.cuh>
#include <tka/detail/cuda/tuning/score.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/cuda/warp/widen.cuh>
#include <tka/detail/cuda/work/geometry.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/report.cuh>
#include <tka/detail/cuda/work/slot.cuh>
#include <tka/detail/cuda/work/view.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Shared memory of the score stage for units of at most `Rows` score rows.
template <int Rows>
struct score_memory {
  static constexpr int score_pitch = tile_keys + 4;
  /// The tile under way and those that copies reach while it is scored.
  static constexpr int located_tiles = 3;
  struct alignas(128) fixed {
    static constexpr int few_bytes = few_score_rows * (max_qk_dim * 4 + 16);
    alignas(16) char q[Rows == few_score_rows ? few_bytes : query_bytes];
    float score[Rows * score_pitch];
    char const* source[located_tiles][tile_keys];  ///< rows of tiles that copies reach next
    place where[tile_keys];                        ///< of the tile that is scored
    std::uint8_t token_of[Rows];                   ///< of each score row
    unit_memory<Rows> unit;
  };
  [[nodiscard]] TKA_HOST_DEVICE static constexpr int bytes(int buffers) noexcept {
    return static_cast<int>(sizeof(fixed)) + buffers * slice_size;
  }
};

template <class Problem, int MaxRows>
class score_by_block_agent {
  using memory_type = score_memory<MaxRows>;
  using C = product_type_t<typename scored<Problem>::query, typename scored<Problem>::key>;
  using rows_type = decltype(scanned_keys<Problem>(std::declval<plan const&>(),
                                                   std::declval<arguments<Problem> const&>(), 0));
  using source = score_source_t<Problem>;
  static constexpr bool scaled = source::is_attention_score && has_row_scales<Problem>;
  static constexpr int pitch = memory_type::score_pitch;
  /// Whether anything but its score is asked of a key.
  static constexpr bool wants_places =
      Problem::kv_source::has_pages || scaled || source::has_key_factor;

 public:
  using memory = typename memory_type::fixed;

  [[nodiscard]] TKA_HOST_DEVICE static constexpr int bytes(int buffers) noexcept {
    return memory_type::bytes(buffers);
  }

  /// The ring stands after `shared`.
  __device__ score_by_block_agent(wave_view<Problem> const& c, memory& shared, int buffers) noexcept
      : c_(c),
        ring_(reinterpret_cast<char*>(&shared + 1), buffers),
        memory_(&shared),
        unit_(c, memory_->unit),
        measures_(sums_visible<Problem>(c.p.options)) {}

  __device__ void run() noexcept {
    unit_.each([this](std::int32_t from, std::int32_t to) { scan_unit(from, to); });
  }

 private:
  __device__ void scan_unit(std::int32_t from, std::int32_t to) noexcept {
    auto const thread = static_cast<std::int32_t>(threadIdx.x);
    if (unit_.has_first() && thread >= block_threads - 32) unit_.describe_slots();
    if constexpr (!source::by_products) {
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
        if (MaxRows == few_score_rows || rows <= few_score_rows) {
          stream<few_score_rows>(from, to);
        } else if constexpr (MaxRows > few_score_rows) {
          if (rows <= mid_score_rows) {
            stream<mid_score_rows>(from, to);
          } else {
            stream<max_score_rows>(from, to);
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
    if constexpr (source::is_attention_score) {
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
    static_assert(block_threads % tile_keys == 0, "a thread keeps the scores of one key");
    auto const thread = static_cast<std::int32_t>(threadIdx.x);
    std::int32_t const j = thread % tile_keys;
    std::int32_t const local = first + j;
    std::int32_t const rows = unit_.place().tokens * heads_;
    std::int32_t const skipped = c_.g.head_block - heads_;
    // Where every token sees the whole tile only pages may be missing.
    if (unit_.all_see(first, tile_keys)) {
      bool const seen = there(j);
#pragma unroll 4
      for (std::int32_t r = thread / tile_keys; r < rows; r += block_threads / tile_keys) {
        *unit_.place_of_score(r + memory_->token_of[r] * skipped, local) =
            seen ? to_ordered(memory_->score[r * pitch + j]) : key_of_nothing;
      }
      return;
    }
#pragma unroll 1
    for (std::int32_t r = thread / tile_keys; r < rows; r += block_threads / tile_keys) {
      std::int32_t const i = memory_->token_of[r];
      visible_range const& range = unit_.range(i);
      if (!range.spans(local)) continue;
      *unit_.place_of_score(r + i * skipped, range, local) =
          there(j) && range.visible(local) ? to_ordered(memory_->score[r * pitch + j])
                                           : key_of_nothing;
    }
  }

  /// One score of all heads. Heads that come in several passes leave a sum under way in the slot.
  __device__ void keep_combined(std::int32_t first) const noexcept {
    auto const thread = static_cast<std::int32_t>(threadIdx.x);
    std::int32_t const j = thread % tile_keys;
    std::int32_t const local = first + j;
    bool const whole = unit_.all_see(first, tile_keys);
#pragma unroll 1
    for (std::int32_t i = thread / tile_keys; i < unit_.place().tokens;
         i += block_threads / tile_keys) {
      ordered_key* out = unit_.place_of_score(i, local);
      bool seen = there(j);
      if (!whole) {
        visible_range const& range = unit_.range(i);
        if (!range.spans(local)) continue;
        out = unit_.place_of_score(i, range, local);
        seen = seen && range.visible(local);
      }
      if (keeps_raw<Problem>(c_.p.options)) {
        keep_raw(i, j, static_cast<std::int32_t>(out - unit_.scores(i)));
        *out = seen ? 0 : key_of_nothing;
        continue;
      }
      float* const under_way = reinterpret_cast<float*>(out);
      float s = first_head_ == 0 ? source::first(c_.p.options) : *under_way;
      location const query = unit_.query(i);
      float const* const score = memory_->score + i * heads_ * pitch + j;
      for (std::int32_t h = 0; h < heads_; ++h) {
        s = source::join(device_arithmetic{}, c_.p.options, c_.a, s, score[h * pitch], query,
                         first_head_ + h);
      }
      if (first_head_ + heads_ < c_.g.heads) {
        *under_way = s;
      } else if (!seen) {
        *out = key_of_nothing;
      } else {
        if constexpr (source::has_key_factor) {
          s *= source::key_factor(c_.a, c_.p.shape,
                                  {memory_->where[j].outer, memory_->where[j].token});
        }
        *out = to_ordered(s);
      }
    }
  }

  /// The scores of all heads of one token and key, at place `at` of its slot.
  __device__ void keep_raw(std::int32_t i, std::int32_t j, std::int32_t at) const noexcept {
    for (std::int32_t h = 0; h < heads_; ++h) {
      auto* const raw = reinterpret_cast<float*>(unit_.row(i) + unit_.entry().slot.raw) +
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
      float most = minus_infinity;
      bool nan = false;
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        std::int32_t const j = lane + 32 * n;
        bool const seen = unit_.range(i).visible(tile * tile_keys + j) && there(j);
        x[n] = seen ? to_logit(c_.p.options, memory_->score[r * pitch + j]) : minus_infinity;
        most = fmaxf(most, x[n]);
        nan |= x[n] != x[n];
      }
      most = warp_max(most);
      nan = __any_sync(0xffffffffu, nan);
      float sum = 0.0f;
      float weighted = 0.0f;
      if (nan || most > minus_infinity) exponentials(x, most, sum, weighted);
      if (lane > 0) continue;
      bool const own_row = geometry<Problem>::heads_are_units;
      std::int32_t const own = own_row ? i * c_.g.head_block + r % heads_ : i;
      std::int32_t const head = own_row ? 0 : first_head_ + r % heads_;
      float* const out = reinterpret_cast<float*>(unit_.row(own) + unit_.entry().slot.sums) +
                         (std::int64_t{head} * unit_.entry().extent.tiles + tile) * 3;
      out[0] = most;
      out[1] = sum;
      out[2] = weighted;
    }
  }

  /// Scores of the caller's go into the rows as they are.
  __device__ void take_given(std::int32_t tile) noexcept {
    if constexpr (!source::by_products) {
      for (std::int32_t n = static_cast<std::int32_t>(threadIdx.x);
           n < unit_.place().tokens * tile_keys; n += block_threads) {
        std::int32_t const i = n / tile_keys;
        std::int32_t const local = tile * tile_keys + n % tile_keys;
        compact_range const range{unit_.range(i)};
        if (!range.range.spans(local)) continue;
        location const at = unit_.query(i);
        location const key = unit_.locate(local);
        ordered_key* const out = unit_.scores(i);
        bool const visible = range.range.visible(local);
        if (visible && key.outer < 0) report(c_.a.error, data_error::page_out_of_range);
        out[range.compact(local)] = visible && key.outer >= 0
                                        ? to_ordered(static_cast<float>(source::score_row(
                                              c_.a, at, unit_.place().head)[local]))
                                        : key_of_nothing;
      }
    }
  }

  wave_view<Problem> const& c_;
  slice_ring ring_;
  memory* memory_;
  unit_scan<Problem, MaxRows> unit_;
  bool const measures_;
  std::int32_t first_head_ = 0;
  std::int32_t heads_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
