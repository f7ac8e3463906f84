// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One pass over keys for the rows of a warpgroup: scores above each row's band are counted, those
/// in it are counted and kept, as far as there is room.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/warp/block_barrier.cuh>
#include <tka/detail/cuda/warp/shared_memory.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/cuda/warp/warpgroup.cuh>
#include <tka/detail/cuda/work/prefill.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Scores of 64 rows and 128 keys, one chain of `Dim` dimensions each. `query` and `keys`: shared
/// addresses.
template <class T, int Dim>
__device__ inline void multiply_tile(float (&scores)[64], std::uint32_t query,
                                     std::uint32_t keys) noexcept {
  using memory = prefill_memory<Dim>;
  std::uint64_t const q = matrix_descriptor(query, 16);
  std::uint64_t const k = matrix_descriptor(keys, 16);
#pragma unroll
  for (int step = 0; step < Dim / score_step_dims; ++step) {
    int const in_half = step % 4 * (score_step_dims * 2);
    multiply_shared<T>(scores, q + (step / 4 * memory::query_half_bytes + in_half) / 16,
                       k + (step / 4 * memory::half_bytes + in_half) / 16, step > 0);
  }
}

/// Keys of a tile whose page does not exist have no score.
__device__ inline void hide_missing(float (&scores)[64], prefill_control const& control,
                                    int slot) noexcept {
  if (!control.misses) return;
  std::uint8_t const* const missing = control.missing[slot] + threadIdx.x % 4 * 2;
#pragma unroll
  for (int i = 0; i < 64; ++i) {
    if (missing[i / 4 * 8 + i % 2] != 0) scores[i] = minus_infinity;
  }
}

/// The sum, or the largest, of what the four lanes of a row have.
__device__ inline std::int32_t sum_of_row(std::int32_t x) noexcept {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
__device__ inline float sum_of_row(float x) noexcept {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
__device__ inline float max_of_row(float x) noexcept {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

template <class T, int Dim, bool Pages>
class prefill_scan {
  using memory = prefill_memory<Dim>;

 public:
  /// `bands`: those of the block. Rows of this thread: `row()` and eight further.
  __device__ prefill_scan(char* shared, prefill_rows& rows, prefill_control& control,
                          float* bands) noexcept
      : rows_(rows),
        control_(control),
        group_(static_cast<int>(threadIdx.x / warpgroup_threads)),
        lane_(static_cast<int>(threadIdx.x % 32)),
        query_(shared_address(shared) + static_cast<std::uint32_t>(group_ * memory::query_bytes)),
        ring_(shared_address(shared) + memory::ring),
        staging_(shared_address(shared) + memory::staging + threadIdx.x * 4),
        bands_(bands) {}

  [[nodiscard]] __device__ int row() const noexcept {
    return static_cast<int>(threadIdx.x / 32) * 16 + lane_ / 4;
  }

  /// An even number of tiles of the pass that the command tells.
  __device__ void run(prefill_command const& c) noexcept {
    side sides[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) enter(sides[i], i, c);
    float first[64];
    float second[64];
    int const first_end = __reduce_min_sync(0xffffffffu, smaller(sides[0].end, sides[1].end));
#pragma unroll 1
    for (int tile = 0; tile < c.tiles; tile += 2) {
      int const slot = tile % scan_slots;
      int const parity = tile / scan_slots % 2;
      control_.full[slot].wait(parity);
      begin_products();
      multiply_tile<T, Dim>(first, query_, tile_at(slot));
      commit_products();
      control_.full[slot + 1].wait(parity);
      begin_products();  // `second` was read since the last one
      multiply_tile<T, Dim>(second, query_, tile_at(slot + 1));
      commit_products();
      wait_for_products<1>();
      pin(first);
      if constexpr (Pages) hide_missing(first, control_, slot);
      release(slot);
      take(first, sides, tile, first_end);
      wait_for_products<0>();
      pin(second);
      if constexpr (Pages) hide_missing(second, control_, slot + 1);
      release(slot + 1);
      take(second, sides, tile + 1, first_end);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) leave(sides[i], i);
  }

 private:
  /// One of the two rows of a thread.
  struct side {
    float low, high, largest;
    std::int32_t end;  ///< of the pass: keys of it that the row sees
    std::int32_t above;
    std::int32_t kept;   ///< scores that left for memory, or would have
    std::uint32_t next;  ///< shared address for the next score
    std::uint32_t begin;
    float* band;
  };

  /// The warp has read a tile.
  __device__ void release(int slot) noexcept {
    if constexpr (Pages) __syncwarp();
    if (lane_ == 0) control_.empty[slot].arrive();
  }
  [[nodiscard]] __device__ std::uint32_t tile_at(int slot) const noexcept {
    return ring_ + static_cast<std::uint32_t>(slot * memory::tile_bytes);
  }

  __device__ void enter(side& s, int i, prefill_command const& c) noexcept {
    int const r = row() + 8 * i;
    s.low = rows_.low[r];
    s.high = rows_.high[r];
    s.largest = minus_infinity;
    std::int32_t const seen = rows_.end[r] - c.offset;
    s.end = seen <= 0 ? 0 : static_cast<std::int32_t>(ceil_div(seen, c.stride));
    s.above = 0;
    s.kept = 0;
    s.begin = staging_ + static_cast<std::uint32_t>(i * memory::staged * memory::staged_pitch);
    s.next = s.begin;
    s.band = bands_ + (std::int64_t{r} * lanes_of_row + lane_ % 4) * band_room;
  }

  __device__ void take(float (&scores)[64], side (&sides)[2], int tile, int first_end) noexcept {
    if ((tile + 1) * tile_keys > first_end) {
      int const column = tile * tile_keys + lane_ % 4 * 2;
#pragma unroll
      for (int i = 0; i < 64; ++i) {
        if (column + i / 4 * 8 + i % 2 >= sides[i / 2 % 2].end) scores[i] = minus_infinity;
      }
    }
    constexpr std::uint32_t half = memory::staged / 2 * memory::staged_pitch;
#pragma unroll
    for (int i = 0; i < 64; ++i) {
      // Between two looks a row gets at most half of what can be staged.
      if (i % 16 == 0 && __any_sync(0xffffffffu, sides[0].next - sides[0].begin > half ||
                                                     sides[1].next - sides[1].begin > half)) {
        put(sides[0]);
        put(sides[1]);
      }
      take(scores[i], sides[i / 2 % 2]);
    }
  }
  /// NaN is above every band.
  __device__ static void take(float score, side& s) noexcept {
    s.largest = fmaxf(s.largest, score);
    asm volatile(
        "{.reg .pred above, inside;\n"
        "setp.gtu.f32 above, %2, %4;\n"
        "setp.gt.and.f32 inside, %2, %3, !above;\n"
        "@above add.s32 %1, %1, 1;\n"
        "@inside st.shared.f32 [%0], %2;\n"
        "@inside add.u32 %0, %0, %5;}"
        : "+r"(s.next), "+r"(s.above)
        : "f"(score), "f"(s.low), "f"(s.high), "n"(memory::staged_pitch));
  }

  [[nodiscard]] __device__ static float staged(std::uint32_t at) noexcept {
    return __int_as_float(load_shared(at));
  }
  /// Four at a time go to memory; what is left moves to the front.
  __device__ static void put(side& s) noexcept {
    constexpr std::uint32_t pitch = memory::staged_pitch;
    std::uint32_t at = s.begin;
#pragma unroll 1
    for (; s.next - at >= 4 * pitch; at += 4 * pitch) {
      if (s.kept < band_room) {
        // One store: the compiler would make four of it.
        asm volatile("st.global.v4.s32 [%0], {%1, %2, %3, %4};" ::"l"(
                         __cvta_generic_to_global(s.band + s.kept)),
                     "r"(load_shared(at)), "r"(load_shared(at + pitch)),
                     "r"(load_shared(at + 2 * pitch)), "r"(load_shared(at + 3 * pitch))
                     : "memory");
      }
      s.kept += 4;
    }
    std::uint32_t to = s.begin;
#pragma unroll 1
    for (; at < s.next; at += pitch, to += pitch) store_shared(to, load_shared(at));
    s.next = to;
  }

  __device__ void leave(side& s, int i) noexcept {
    put(s);
    for (std::uint32_t at = s.begin; at < s.next; at += memory::staged_pitch, ++s.kept) {
      if (s.kept < band_room) s.band[s.kept] = staged(at);
    }
    int const r = row() + 8 * i;
    std::int32_t const above = sum_of_row(s.above);
    float const largest = max_of_row(s.largest);
    rows_.inside[r][lane_ % 4] = s.kept;
    if (lane_ % 4 == 0) {
      rows_.above[r] = above;
      rows_.largest[r] = largest;
    }
  }

  prefill_rows& rows_;
  prefill_control& control_;
  int const group_;
  int const lane_;
  std::uint32_t const query_;
  std::uint32_t const ring_;
  std::uint32_t const staging_;
  float* const bands_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
