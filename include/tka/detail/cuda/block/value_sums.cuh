// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The second product of attention: probabilities times values, gathered rows of them.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/cache_rows.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/async_copy.cuh>
#include <tka/detail/cuda/warp/matrix.cuh>
#include <tka/detail/cuda/warp/widen.cuh>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// Blocks of 128 dimensions that may have scales of their own.
inline constexpr int most_value_blocks = most_v_dim / scale_block;

/// Probabilities of a tile in shared memory: as C where they are multiplied on tensor cores (a
/// copy for each block of dimensions with scales of its own), else as fp32.
template <class C, bool Scaled, int Heads>
struct probabilities {
  static constexpr int copies = Scaled && sizeof(C) == 2 ? most_value_blocks : 1;
  /// Keeps banks apart; with copies there is room for half of that.
  static constexpr int pitch = tile_keys + (copies > 1 ? 4 : 8);
  C p[copies][Heads][pitch];
};

/// A buffer of slice_size bytes holds lines of 128 bytes: slice by slice, the same keys in each.
/// How many keys, as a power of two.
template <class Rows>
[[nodiscard]] __device__ inline int log_keys_of_buffer(Rows const& rows, bool widened) noexcept {
  int const lines = widened ? tile_keys / 2 : tile_keys;
  int log = 7;
  static_assert(tile_keys == 1 << 7);
  while (rows.slices() << log > lines) --log;
  return log;
}

/// Sums of values weighted by probabilities, [v_dim][heads], in the registers of a block.
/// On tensor cores values are the left operand: a warp has 16 dimensions of every 128.
template <class C, class Rows, bool Scaled, int Heads>
class value_sums {
  using V = typename Rows::element;
  static constexpr int own_tiles = most_v_dim / (16 * block_warps);
  static constexpr int head_tiles = Heads / 8;

 public:
  /// Values of 8 bits are widened into a buffer of their own first.
  static constexpr bool widens = sizeof(V) == 1;

  __device__ void clear() noexcept {
#pragma unroll
    for (int m = 0; m < own_tiles; ++m) {
#pragma unroll
      for (int t = 0; t < head_tiles; ++t) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sum_[m][t][i] = 0.0f;
      }
    }
  }

  /// sum[d][h] *= factor(h, block of d)
  template <class Factor>
  __device__ void rescale(int v_dim, Factor&& factor) noexcept {
    each_own(v_dim, [&](float& sum, int d, int h) { sum *= factor(h, d / scale_block); });
  }

  /// Adds `keys` keys of a buffer; `first`: the first of them in the tile. All threads.
  __device__ void add(char const* buffer, char* wide, int keys, int first, Rows const& rows,
                      int heads, probabilities<C, Scaled, Heads> const& p,
                      bool one_scale) noexcept {
    if constexpr (widens) {
      widen(buffer, wide, keys * rows.slices(), keys);
      __syncthreads();
      buffer = wide;
    }
    int const lane = static_cast<int>(threadIdx.x % 32);
    int const warp = static_cast<int>(threadIdx.x / 32);
#pragma unroll
    for (int m = 0; m < own_tiles; ++m) {
      int const tile = warp + m * block_warps;
      if (tile * 16 < rows.dim) {
        // Eight lines further on a line is rotated as before: addresses grow by whole lines.
        int const line = tile / 4 * keys + lane / 16 * 8 + lane % 8;
        char const* const left = buffer + swizzled(line, tile % 4 * 2 + (lane / 8 & 1));
        int const copy = Scaled && !one_scale ? tile * 16 / scale_block : 0;
        C const* const right = &p.p[copy][lane / 4][first + lane % 4 * 2];
        if (head_tiles == 1 || heads <= 8) {
          multiply<1>(m, left, right, keys);
        } else {
          multiply<head_tiles>(m, left, right, keys);
        }
      }
    }
  }

  /// use(d, h, sum) for this thread's sums.
  template <class Use>
  __device__ void each(int v_dim, int heads, Use&& use) noexcept {
    each_own(v_dim, [&](float& sum, int d, int h) {
      if (h < heads) use(d, h, sum);
    });
  }

 private:
  template <int HeadTiles>
  __device__ void multiply(int m, char const* left, C const* right, int keys) noexcept {
    constexpr int pitch = probabilities<C, Scaled, Heads>::pitch;
#pragma unroll 2
    for (int k = 0; k < keys; k += 16) {
      auto const values = load_matrices_transposed(left + k * slice_bytes);
#pragma unroll
      for (int t = 0; t < HeadTiles; ++t) {
        auto const* const words = reinterpret_cast<std::uint32_t const*>(right + t * 8 * pitch + k);
        multiply_add<C>(sum_[m][t], values, words[0], words[4]);
      }
    }
  }

  template <class Use>
  __device__ void each_own(int v_dim, Use&& use) noexcept {
    int const lane = static_cast<int>(threadIdx.x % 32);
    int const warp = static_cast<int>(threadIdx.x / 32);
#pragma unroll
    for (int m = 0; m < own_tiles; ++m) {
      int const tile = warp + m * block_warps;
      if (tile * 16 < v_dim) {
#pragma unroll
        for (int t = 0; t < head_tiles; ++t) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            use(sum_[m][t][i], tile * 16 + lane / 4 + i / 2 * 8, t * 8 + lane % 4 * 2 + i % 2);
          }
        }
      }
    }
  }

  /// Lines of 128 e4m3 become two lines of 64 C.
  __device__ static void widen(char const* from, char* to, int lines, int keys) noexcept {
    for (int n = static_cast<int>(threadIdx.x); n < lines * 8; n += block_threads) {
      int const line = n / 8;
      int const chunk = n % 8;
      uint4 const raw = *reinterpret_cast<uint4 const*>(from + swizzled(line, chunk));
      int const wide_line = (line / keys * 2 + chunk / 4) * keys + line % keys;
      std::uint32_t const words[4] = {raw.x, raw.y, raw.z, raw.w};
      std::uint32_t out[8];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        out[2 * i] = widen_pair<C>(words[i]);
        out[2 * i + 1] = widen_pair<C>(words[i] >> 16);
      }
      int const wide_chunk = chunk % 4 * 2;
      *reinterpret_cast<uint4*>(to + swizzled(wide_line, wide_chunk)) =
          uint4{out[0], out[1], out[2], out[3]};
      *reinterpret_cast<uint4*>(to + swizzled(wide_line, wide_chunk + 1)) =
          uint4{out[4], out[5], out[6], out[7]};
    }
  }

  float sum_[own_tiles][head_tiles][4];
};

/// In fp32: a thread has every 256th dimension, and a chain over the keys in order.
template <class Rows, bool Scaled, int Heads>
class value_sums<float, Rows, Scaled, Heads> {
  using V = typename Rows::element;
  static constexpr int own_dims = most_v_dim / block_threads;

 public:
  static constexpr bool widens = false;

  __device__ void clear() noexcept {
#pragma unroll
    for (int m = 0; m < own_dims; ++m) {
#pragma unroll
      for (int h = 0; h < Heads; ++h) sum_[m][h] = 0.0f;
    }
  }
  template <class Factor>
  __device__ void rescale(int, Factor&& factor) noexcept {
#pragma unroll
    for (int m = 0; m < own_dims; ++m) {
      int const d = static_cast<int>(threadIdx.x) + m * block_threads;
#pragma unroll
      for (int h = 0; h < Heads; ++h) sum_[m][h] *= factor(h, d / scale_block);
    }
  }
  /// As above; `scale(key, block)` multiplies the probabilities.
  template <class Scale>
  __device__ void add(char const* buffer, int keys, int first, Rows const& rows, int heads,
                      probabilities<float, Scaled, Heads> const& p, Scale&& scale) noexcept {
    constexpr int size = static_cast<int>(sizeof(V));
    for (int k = 0; k < keys; ++k) {
#pragma unroll
      for (int m = 0; m < own_dims; ++m) {
        int const d = static_cast<int>(threadIdx.x) + m * block_threads;
        if (d < rows.dim) {
          int const byte = d * size;
          char const* const at =
              buffer + swizzled(byte / slice_bytes * keys + k, byte % slice_bytes / 16) + byte % 16;
          float const v = to_float(*reinterpret_cast<V const*>(at));
          float const s = Scaled ? scale(first + k, d / scale_block) : 1.0f;
#pragma unroll
          for (int h = 0; h < Heads; ++h) {
            if (h < heads) {
              float const weight = Scaled ? p.p[0][h][first + k] * s : p.p[0][h][first + k];
              sum_[m][h] = __fmaf_rn(weight, v, sum_[m][h]);
            }
          }
        }
      }
    }
  }
  template <class Use>
  __device__ void each(int v_dim, int heads, Use&& use) noexcept {
#pragma unroll
    for (int m = 0; m < own_dims; ++m) {
      int const d = static_cast<int>(threadIdx.x) + m * block_threads;
      if (d < v_dim) {
#pragma unroll
        for (int h = 0; h < Heads; ++h) {
          if (h < heads) use(d, h, sum_[m][h]);
        }
      }
    }
  }

 private:
  float sum_[own_dims][Heads];
};

}  // namespace tka::inline TKA_ABI::detail::cuda
