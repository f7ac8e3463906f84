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

/// Tiles go round a ring; `full` says that one is there, `empty` that its slot is free again.
template <class Problem, int Dim>
class tile_copier {
  using memory = prefill_memory<Dim>;

 public:
  __device__ tile_copier(prefill_work<Problem> const& w, prefill_command const& c,
                         prefill_control& control) noexcept
      : w_(w),
        c_(c),
        control_(control),
        thread_(static_cast<int>(threadIdx.x % warpgroup_threads)) {}

  /// Sends tile `tile` of keys, or of values, on its way to slot `tile` mod `slots` of a ring.
  template <bool Keys, class View>
  __device__ void send(View const& view, std::int32_t dims, std::uint32_t ring, int slots,
                       int tile) noexcept {
    arrival_barrier* const full = control_.full + (Keys ? 0 : attend_slots);
    arrival_barrier* const empty = control_.empty + (Keys ? 0 : attend_slots);
    int const slot = tile % slots;
    int const parity = tile / slots % 2;
    if (!empty[slot].passed(parity ^ 1)) {
      settle<0>();  // others wait for it meanwhile
      empty[slot].wait(parity ^ 1);
    }
    copy<Keys>(view, dims, ring + static_cast<std::uint32_t>(slot * memory::tile_bytes), tile,
               slot);
    commit_copies();
    settle<1>();
    under_way_ = &full[slot];
  }
  __device__ void finish() noexcept { settle<0>(); }

 private:
  /// Tells of the last tile but the `Left` newest groups.
  template <int Left>
  __device__ void settle() noexcept {
    if (under_way_ == nullptr) return;
    wait_for_copies<Left>();
    show_to_products();
    under_way_->arrive();
    under_way_ = nullptr;
  }

  template <bool Keys, class View>
  __device__ void copy(View const& view, std::int32_t dims, std::uint32_t to, int tile,
                       int slot) const noexcept {
    constexpr int chunks = Dim / 8;  // of 16 bytes, of a row
    constexpr int rows = warpgroup_threads / chunks;
    int const chunk = thread_ % chunks;
    int const first = thread_ / chunks;
    bool const in_row = chunk * 8 < dims;
    std::uint32_t const at = to + static_cast<std::uint32_t>(chunk / 8 * memory::half_bytes);
#pragma unroll 4
    for (int i = 0; i < tile_keys / rows; ++i) {
      int const row = first + i * rows;
      std::int64_t const key = std::int64_t{tile * tile_keys + row} * c_.stride + c_.offset;
      bool const there = key < c_.end;
      location l{};
      if (there) {
        l = Problem::kv_source::locate(w_.a.kv, c_.b, static_cast<std::int32_t>(key),
                                       w_.p.shape.page_size);
      }
      bool const missing = Problem::kv_source::has_pages && l.outer < 0;
      if constexpr (Keys && Problem::kv_source::has_pages) {
        if (chunk == 0) control_.missing[slot][row] = missing ? 1 : 0;
        if (chunk == 0 && missing) {
          control_.misses = true;
          report(w_.a.error, data_error::page_out_of_range);
        }
      }
      bool const copied = there && in_row && !missing;
      copy_16_async(at + static_cast<std::uint32_t>(swizzled(row, chunk % 8)),
                    copied ? view.at(l.outer, c_.kv_head, l.token) + chunk * 8 : view.data, copied);
    }
  }

  prefill_work<Problem> const& w_;
  prefill_command const& c_;
  prefill_control& control_;
  int const thread_;
  arrival_barrier* under_way_ = nullptr;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
