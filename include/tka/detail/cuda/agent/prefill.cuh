// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Exact prefill: a block takes items one after the other, and of each first finds the thresholds
/// of its rows, by passes over samples and then over all keys, then attends.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/prefill_attend.cuh>
#include <tka/detail/cuda/agent/prefill_scan.cuh>
#include <tka/detail/cuda/agent/prefill_threshold.cuh>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/block/tile_copier.cuh>
#include <tka/detail/cuda/tuning/prefill.cuh>
#include <tka/detail/cuda/warp/block_barrier.cuh>
#include <tka/detail/cuda/work/prefill.cuh>
#include <tka/detail/shared/sequence.hpp>

#include <cfloat>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// A sequence as kernels after the first see it: what is wrong was reported there.
template <class Problem>
[[nodiscard]] __device__ TKA_OUT_OF_LINE inline sequence known_sequence(
    prefill_work<Problem> const& w, std::int32_t b) noexcept {
  return sequence_of<Problem>(w.p, w.a, b, [](data_error) {});
}

/// The warpgroup that copies.
template <class Problem, int Dim>
class prefill_copier {
  using memory = prefill_memory<Dim>;

 public:
  __device__ prefill_copier(prefill_work<Problem> const& w, char* shared,
                            prefill_control& control) noexcept
      : w_(w), control_(control), shared_(shared_address(shared)) {}

  __device__ void run() noexcept {
    using what = prefill_task;
    plan const& p = w_.p;
#pragma unroll 1
    for (;;) {
      meet(0, prefill_threads);
      prefill_command const c = control_.command;
      if (c.what == what::stop) return;
      bool const values = c.what == what::keys_and_values;
      int const slots = values ? attend_slots : scan_slots;
      tile_copier<Problem, Dim> copier{w_, c, control_};
#pragma unroll 1
      for (int tile = 0; tile < c.tiles; ++tile) {
        copier.template send<true>(w_.a.k, p.shape.qk_dim, shared_ + memory::ring, slots, tile);
        if (!values) continue;
        copier.template send<false>(w_.a.v, p.shape.v_dim, shared_ + memory::values, attend_slots,
                                    tile);
      }
      copier.finish();
    }
  }

 private:
  prefill_work<Problem> const& w_;
  prefill_control& control_;
  std::uint32_t const shared_;
};

/// The two that multiply.
template <class Problem, int Dim>
class prefill_multiplier {
  using memory = prefill_memory<Dim>;
  using value = typename Problem::precision::value_type;
  using what = prefill_task;

 public:
  __device__ prefill_multiplier(prefill_work<Problem> const& w, char* shared,
                                prefill_control& control) noexcept
      : w_(w),
        shared_(shared),
        control_(control),
        rows_(*reinterpret_cast<prefill_rows*>(shared + memory::rows)),
        bands_(w.bands + blockIdx.x * band_words) {}

  __device__ void run() noexcept {
    std::int32_t const batch = w_.p.shape.batch;
    std::int64_t const items = w_.items[batch];
    if (threadIdx.x == 0) control_.misses = false;
#pragma unroll 1
    for (;;) {
      if (threadIdx.x == 0) {
        control_.item = atomicAdd(w_.ticket, 1u);
        control_.end = 0;
        control_.open = 0;
      }
      meet_multipliers();
      std::int64_t const item = control_.item;
      if (item >= items) break;
      enter(item);
      find_thresholds();
      attend();
    }
    command({.what = what::stop});
  }

 private:
  __device__ static void meet_multipliers() noexcept { meet(3, multiplying_threads); }
  [[nodiscard]] __device__ static int warp() noexcept { return static_cast<int>(threadIdx.x / 32); }
  [[nodiscard]] __device__ static int group() noexcept {
    return static_cast<int>(threadIdx.x / warpgroup_threads);
  }
  [[nodiscard]] __device__ std::int64_t row_tile(int group) const noexcept {
    return item_ * 2 + group;
  }
  [[nodiscard]] __device__ std::int32_t first_token(int group) const noexcept {
    return static_cast<std::int32_t>(row_tile(group) / w_.p.shape.group()) * group_rows;
  }

  /// Which rows; longer ones first. Their queries go to shared memory.
  __device__ void enter(std::int64_t item) noexcept {
    std::int32_t low = 0;
    std::int32_t high = w_.p.shape.batch;
    while (high - low > 1) {
      std::int32_t const m = low + (high - low) / 2;
      (w_.items[m] <= item ? low : high) = m;
    }
    s_ = known_sequence(w_, low);
    std::int64_t const each = items_of_head<Problem>(w_.p, s_);
    std::int64_t const own = item - w_.items[low];
    kv_head_ = static_cast<std::int32_t>(own / each);
    item_ = each - 1 - own % each;
    load_queries();
    auto const r = static_cast<int>(threadIdx.x);
    if (r < prefill_rows_of_block) set_row(r);
    show_to_products();
    meet_multipliers();
    end_ = control_.end;
    open_ = control_.open != 0;
  }
  __device__ void set_row(int r) noexcept {
    std::int32_t const token = first_token(r / group_rows) + r % group_rows;
    visible_range range{};
    if (token < s_.queries) range = range_of<Problem>(w_.p, w_.a, s_, token);
    rows_.end[r] = range.end;
    rows_.keep[r] = range.keep;
    rows_.floor[r] = key_of_minus_infinity;
    rows_.ceiling[r] = to_ordered(-minus_infinity);
    rows_.above_floor[r] = -1;
    rows_.above_ceiling[r] = -1;
    rows_.tries[r] = 0;
    bool const none = range.end <= 0 || range.keep <= 0;
    bool const all = !none && range.end <= range.keep;
    bool const open = !none && !all;
    rows_.kind[r] = none ? row_kind::none : all ? row_kind::all : row_kind::open;
    rows_.threshold[r] = all ? -FLT_MAX : -minus_infinity;
    rows_.ties[r] = 0;
    rows_.low[r] = open ? minus_infinity : -minus_infinity;
    rows_.high[r] = -minus_infinity;
    rows_.largest[r] = minus_infinity;
    if (!none) atomicMax(&control_.end, range.end);
    if (open) control_.open = 1;
  }
  __device__ void load_queries() noexcept {
    constexpr int chunks = Dim / 8;
    std::int32_t const heads = w_.p.shape.group();
    auto const thread = static_cast<int>(threadIdx.x % warpgroup_threads);
    auto const head = static_cast<std::int32_t>(kv_head_ * heads + row_tile(group()) % heads);
    char* const to = shared_ + group() * memory::query_bytes;
#pragma unroll 1
    for (int i = thread; i < group_rows * chunks; i += warpgroup_threads) {
      int const row = i / chunks;
      int const chunk = i % chunks;
      std::int32_t const token = first_token(group()) + row;
      int4 x{};
      if (token < s_.queries && chunk * 8 < w_.p.shape.qk_dim) {
        location const at = Problem::query_source::locate(w_.a.query, s_.b, token);
        x = *reinterpret_cast<int4 const*>(w_.a.q.at(at.outer, head, at.token) + chunk * 8);
      }
      *reinterpret_cast<int4*>(to + chunk / 8 * memory::query_half_bytes +
                               swizzled(row, chunk % 8)) = x;
    }
  }

  /// Begins something together with the copying warpgroup.
  __device__ void command(prefill_command const& c) noexcept {
    meet_multipliers();
    if (threadIdx.x == 0) {
      control_.command = c;
#pragma unroll
      for (int i = 0; i < 2 * attend_slots; ++i) {
        control_.full[i].open(warpgroup_threads);
        control_.empty[i].open(multiplying_threads / 32);
      }
      publish_barriers();
    }
    meet(0, prefill_threads);
  }

  /// Keys offset, offset + stride, ... below the last row's end.
  __device__ void pass_over(std::int32_t stride, std::int32_t offset, std::int32_t keys) noexcept {
    auto const tiles = static_cast<std::int32_t>(round_up(ceil_div(keys, tile_keys), 2));
    command({.what = what::keys,
             .b = s_.b,
             .kv_head = kv_head_,
             .end = end_,
             .stride = stride,
             .offset = offset,
             .tiles = tiles});
    prefill_scan<value, Dim, Problem::kv_source::has_pages>{shared_, rows_, control_, bands_}.run(
        control_.command);
    __syncwarp();
  }
  /// Samples, if there is a threshold to be found, then all keys as often as a row asks for it. One
  /// loop, as the code of a pass is long.
  __device__ void find_thresholds() noexcept {
    if (end_ <= 0) return;
    prefill_threshold find{rows_, bands_};
    prefill_samples const n = open_ ? samples_of(end_) : prefill_samples{};
    int const first_row = 16 * warp();
    std::int32_t sample = n.first;
#pragma unroll 1
    for (bool open = true; open;) {
      std::int32_t const stride = sample > 0 ? end_ / sample : 1;
      std::int32_t const offset = stride / 2;
      pass_over(stride, offset, sample > 0 ? sample : end_);
      if (sample > 0) {
        std::int64_t const shown = round_up(sample, 2 * tile_keys);
#pragma unroll 1
        for (int r = first_row; r < first_row + 16; ++r) {
          std::int32_t const seen = rows_.end[r] - offset;
          std::int64_t const own = seen <= 0 ? 0 : ceil_div(seen, stride);
          find.choose_band(r, static_cast<std::int32_t>(smaller(own, shown)));
        }
        sample = sample == n.first ? n.second : 0;
        continue;
      }
      bool again = false;
#pragma unroll 1
      for (int r = first_row; r < first_row + 16; ++r) again |= find.settle(r);
      open = open_ && any_warp(again);
    }
  }
  /// True for all where it is for one warp.
  [[nodiscard]] __device__ bool any_warp(bool own) noexcept {
    if (threadIdx.x == 0) control_.open = 0;
    meet_multipliers();
    if (own && threadIdx.x % 32 == 0) control_.open = 1;
    meet_multipliers();
    return control_.open != 0;
  }

  __device__ void attend() noexcept {
    prefill_seldom seldom[2];
    prefill_attend<Problem, Dim> rows{w_, shared_, rows_, control_, seldom};
    if (end_ > 0) {
      auto const tiles = static_cast<std::int32_t>(ceil_div(end_, tile_keys) | 1);
      command({.what = what::keys_and_values,
               .b = s_.b,
               .kv_head = kv_head_,
               .end = end_,
               .stride = 1,
               .offset = 0,
               .tiles = tiles});
      rows.run(tiles);
    } else {
      rows.empty();
    }
    rows.write(s_.b, kv_head_, s_, row_tile(group()));
    meet_multipliers();
  }

  prefill_work<Problem> const& w_;
  char* const shared_;
  prefill_control& control_;
  prefill_rows& rows_;
  float* const bands_;
  sequence s_{};
  std::int32_t kv_head_ = 0;
  std::int64_t item_ = 0;  ///< of its head
  std::int32_t end_ = 0;   ///< of the row that sees most
  bool open_ = false;      ///< there is a threshold to be found
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
