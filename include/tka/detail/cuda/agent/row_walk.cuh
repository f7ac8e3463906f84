// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Deals the rows of all sequences out to the blocks of a grid.

#pragma once

#include <tka/config.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Counted over all sequences in order, row r is done by block r mod gridDim.x. What is not there
/// costs nothing: the walk goes by the lengths in device memory, not by their bounds.
template <class Work, class Crew>
class row_walk {
 public:
  __device__ row_walk(Work const& work, Crew const& crew, float* buffer) noexcept
      : work_(work), crew_(crew), buffer_(buffer) {}

  __device__ void run() const noexcept {
    if constexpr (Work::same_rows) {
      std::int64_t const each = work_.rows(0);
      std::int64_t const total = each * work_.sequences();
      for (std::int64_t row = blockIdx.x; row < total; row += gridDim.x) {
        work_.row(static_cast<std::int32_t>(row / each), row % each, crew_, buffer_);
      }
    } else {
      by_lengths();
    }
  }

 private:
  static constexpr unsigned all = 0xffffffffu;

  /// 32 sequences at a time, one a lane; every warp of the block goes the same way.
  __device__ void by_lengths() const noexcept {
    std::int32_t const lane = crew_.rank() % 32;
    std::int64_t row = blockIdx.x;
    std::int64_t before = 0;  // rows of the sequences that are passed
    for (std::int64_t first = 0; first < work_.sequences(); first += 32) {
      long long const mine = rows_of(first, lane);
      long long behind = mine;  // rows before the end of this lane's sequence
      for (int offset = 1; offset < 32; offset *= 2) {
        long long const other = __shfl_up_sync(all, behind, offset);
        if (lane >= offset) behind += other;
      }
      behind += before;
      long long const end = __shfl_sync(all, behind, 31);
      for (; row < end; row += gridDim.x) {
        int const holder = __ffs(static_cast<int>(__ballot_sync(all, row < behind))) - 1;
        std::int64_t const begin = __shfl_sync(all, behind - mine, holder);
        work_.row(static_cast<std::int32_t>(first) + holder, row - begin, crew_, buffer_);
      }
      before = end;
    }
  }

  /// The rows of the lane's sequence, 0 where there is none. The first warp of the grid reports.
  [[nodiscard]] __device__ long long rows_of(std::int64_t first, std::int32_t lane) const noexcept {
    if (first + lane >= work_.sequences()) return 0;
    std::int64_t const rows = work_.rows(static_cast<std::int32_t>(first) + lane);
    if (rows >= 0) return rows;
    if (blockIdx.x == 0 && crew_.rank() < 32 && work_.error() != nullptr) {
      atomicOr(work_.error(), static_cast<std::uint32_t>(data_error::query_range_invalid));
    }
    return 0;
  }

  Work const& work_;
  Crew const& crew_;
  float* buffer_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
