// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A warpgroup that copies tiles of keys and values into rings, as products of warpgroups read
/// them.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/warp/async_copy.cuh>
#include <tka/detail/cuda/warp/block_barrier.cuh>
#include <tka/detail/cuda/work/prefill.cuh>
#include <tka/detail/cuda/work/report.cuh>
#include <tka/detail/shared/problem.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Tiles go round a ring; `full` says that one is there, `empty` that its slot is free again. Of
/// each tile its keys are sent first, then its values, if any are.
template <class Problem, int Dim>
class tile_copier {
  using memory = prefill_memory<Dim>;
  using element = typename Problem::precision::key_type;
  static constexpr bool pages = Problem::kv_source::has_pages;
  static constexpr int chunks = Dim / 8;  // of 16 bytes, of a row
  static constexpr int rows = warpgroup_threads / chunks;
  static constexpr int copies = tile_keys / rows;
  static_assert(rows % 8 == 0, "a thread's rows are swizzled alike");

 public:
  __device__ tile_copier(prefill_work<Problem> const& w, prefill_command const& c,
                         prefill_control& control) noexcept
      : w_(w),
        c_(c),
        control_(control),
        thread_(static_cast<int>(threadIdx.x % warpgroup_threads)),
        row_(thread_ / chunks),
        place_(static_cast<std::uint32_t>(thread_ % chunks / 8 * memory::half_bytes +
                                          swizzled(row_, thread_ % 8))) {
    if constexpr (!pages) {
      location const l = Problem::kv_source::locate(w.a.kv, c.b, c.offset, 0);
      keys_ = w.a.k.at(l.outer, c.kv_head, l.token) + thread_ % chunks * 8;
      values_ = w.a.v.at(l.outer, c.kv_head, l.token) + thread_ % chunks * 8;
    }
  }

  /// Sends tile `tile` of keys, or of values, on its way to slot `tile` mod `slots` of a ring.
  template <bool Keys, class View>
  __device__ void send(View const& view, std::int32_t dims, std::uint32_t ring, int slots,
                       int tile) noexcept {
    arrival_barrier* const full = control_.full + (Keys ? 0 : attend_slots);
    arrival_barrier* const empty = control_.empty + (Keys ? 0 : attend_slots);
    int const slot = tile % slots;
    int const parity = tile / slots % 2;
    if (!empty[slot].passed(parity ^ 1)) {
      finish();  // others wait for what is under way
      empty[slot].wait(parity ^ 1);
    }
    std::uint32_t const to = ring + static_cast<std::uint32_t>(slot * memory::tile_bytes) + place_;
    bool const in_row = thread_ % chunks * 8 < dims;
    if constexpr (pages) {
      copy_by_rows<Keys>(view, in_row, to, tile, slot);
    } else {
      copy(Keys ? keys_ : values_, view.token, in_row, to, tile);
    }
    commit_copies();
    if (older_ != nullptr) tell<2>(older_);
    older_ = newer_;
    newer_ = &full[slot];
  }
  /// Tells of all that is under way.
  __device__ void finish() noexcept {
    if (older_ != nullptr) tell<1>(older_);
    if (newer_ != nullptr) tell<0>(newer_);
    older_ = newer_ = nullptr;
  }

 private:
  /// All groups but the `Left` newest are there: so is the tile of `full`.
  template <int Left>
  __device__ static void tell(arrival_barrier* full) noexcept {
    wait_for_copies<Left>();
    show_to_products();
    full->arrive();
  }
  [[nodiscard]] __device__ std::int64_t key(int tile, int row) const noexcept {
    return std::int64_t{tile * tile_keys + row} * c_.stride + c_.offset;
  }

  /// Rows lie evenly in memory.
  __device__ void copy(element const* base, std::int64_t pitch, bool in_row, std::uint32_t to,
                       int tile) const noexcept {
    std::int64_t const step = pitch * c_.stride;
    element const* from = base + (tile * tile_keys + row_) * step;
    if (key(tile, tile_keys - 1) < c_.end && in_row) {
#pragma unroll
      for (int i = 0; i < copies; ++i) {
        copy_16_async(to + static_cast<std::uint32_t>(i * rows * 128), from, true);
        from += rows * step;
      }
    } else {
#pragma unroll 2
      for (int i = 0; i < copies; ++i) {
        bool const there = in_row && key(tile, row_ + i * rows) < c_.end;
        copy_16_async(to + static_cast<std::uint32_t>(i * rows * 128), there ? from : base, there);
        from += rows * step;
      }
    }
  }
  /// Each row is looked up, by one thread.
  template <bool Keys, class View>
  __device__ void copy_by_rows(View const& view, bool in_row, std::uint32_t to, int tile,
                               int slot) const noexcept {
    if constexpr (Keys) {
      meet(barrier, warpgroup_threads);  // the rows of the last tile are read
      find(tile, slot);
      meet(barrier, warpgroup_threads);
    }
    element const* const base = view.data + c_.kv_head * view.head + thread_ % chunks * 8;
#pragma unroll 4
    for (int i = 0; i < copies; ++i) {
      int2 const at = control_.where[row_ + i * rows];
      bool const there = in_row && at.x >= 0;
      copy_16_async(to + static_cast<std::uint32_t>(i * rows * 128),
                    there ? base + (at.x * view.batch + at.y * view.token) : view.data, there);
    }
  }
  __device__ void find(int tile, int slot) const noexcept {
    std::int64_t const own = key(tile, thread_);
    location l{-1, 0};
    bool missing = false;
    if (own < c_.end) {
      l = Problem::kv_source::locate(w_.a.kv, c_.b, static_cast<std::int32_t>(own),
                                     w_.p.shape.page_size);
      missing = l.outer < 0;
    }
    control_.where[thread_] = {static_cast<int>(l.outer), static_cast<int>(l.token)};
    control_.missing[slot][thread_] = missing ? 1 : 0;
    if (!missing) return;
    control_.misses = true;
    report(w_.a.error, data_error::page_out_of_range);
  }

  static constexpr int barrier = 4;

  prefill_work<Problem> const& w_;
  prefill_command const& c_;
  prefill_control& control_;
  int const thread_;
  int const row_;
  std::uint32_t const place_;
  element const* keys_ = nullptr;  ///< where this thread's part of key `offset` lies
  element const* values_ = nullptr;
  // Under way, and not told of.
  arrival_barrier* older_ = nullptr;
  arrival_barrier* newer_ = nullptr;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
