// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows on their way from global memory into a ring in shared memory that belongs to one warp.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/warp/async_copy.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// A ring of `Stages` stages of 16 rows of 256 bytes. One cursor serves both ends: the stage under
/// it is the oldest, and once it is read the next copies go there. So a stream begins with `Stages`
/// times `copy` and `commit`; then each step is `oldest`, reading, `__syncwarp`, `copy`, `commit`.
/// All lanes of the warp take part in all calls but `copy`.
template <int Stages>
class row_ring {
 public:
  static constexpr int stages = Stages;
  static constexpr int rows = 16;
  static constexpr int row_bytes = 256;
  static constexpr int stage_bytes = rows * row_bytes;
  static constexpr int bytes = Stages * stage_bytes;
  /// Of 16 bytes, by each lane, to fill a stage: 16 lanes share a row.
  static constexpr int copies = stage_bytes / (32 * 16);

  /// `memory` begins at a multiple of 128 bytes.
  __device__ explicit row_ring(char* memory) noexcept
      : first_(shared_address(memory)), lane_at_(place(row(0), chunk())) {}

  /// Which 16 bytes of its rows a lane copies.
  [[nodiscard]] __device__ static int chunk() noexcept {
    return static_cast<int>(threadIdx.x % 16);
  }
  /// The row of this lane's copy `i`.
  [[nodiscard]] __device__ static int row(int i) noexcept {
    return static_cast<int>(threadIdx.x / 16 % 2) * copies + i;
  }
  /// Where 16 bytes of a row lie within a stage: eight rows under one another meet eight different
  /// groups of banks.
  [[nodiscard]] __device__ static std::uint32_t place(int row, int chunk) noexcept {
    return static_cast<std::uint32_t>(chunk / 8 * (stage_bytes / 2) + swizzled(row, chunk % 8));
  }
  /// From the address of one of the first two chunks of a row to that `2 * pairs` chunks further.
  [[nodiscard]] __device__ static std::uint32_t further(std::uint32_t at, int pairs) noexcept {
    return (at ^ static_cast<std::uint32_t>(pairs % 4 * 32)) +
           static_cast<std::uint32_t>(pairs / 4 * (stage_bytes / 2));
  }

  /// Copy `i` of this lane; where `there` is false it brings zeros.
  template <class... Policy>
  __device__ void copy(int i, char const* from, bool there, Policy... policy) noexcept {
    // Row i of eight is rotated by i.
    auto const n = static_cast<std::uint32_t>(i);
    copy_16_async(((first_ + cursor_ + lane_at_) ^ (n * 16)) + n * 128, there ? from : nullptr,
                  there, policy...);
  }
  /// Ends a stage; also where nothing was copied, so that groups keep their count.
  __device__ void commit() noexcept {
    commit_copies();
    cursor_ = cursor_ + stage_bytes == bytes ? 0 : cursor_ + stage_bytes;
  }
  /// The shared address of the oldest stage, when it is there.
  [[nodiscard]] __device__ std::uint32_t oldest() noexcept {
    wait_for_copies<Stages - 1>();
    __syncwarp();
    return first_ + cursor_;
  }

 private:
  std::uint32_t first_;
  std::uint32_t lane_at_;
  std::uint32_t cursor_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
