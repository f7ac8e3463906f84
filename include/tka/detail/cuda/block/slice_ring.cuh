// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Slices of rows on their way from global memory into a ring of buffers in shared memory.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/async_copy.cuh>

namespace tka::inline TKA_ABI::detail::cuda {

/// A ring of `stages` buffers of slice_size bytes. Each `advance` waits for the oldest buffer and
/// frees the one before it. All threads of the block take part in all calls.
class slice_ring {
 public:
  __device__ slice_ring(char* memory, int stages) noexcept : memory_(memory), stages_(stages) {}

  /// The buffer that the next copies go to.
  [[nodiscard]] __device__ char* next() const noexcept { return memory_ + in_ * slice_size; }
  /// Ends the copies into `next()`; also where there were none, so that groups keep their count.
  __device__ void commit() noexcept {
    commit_copies();
    in_ = in_ + 1 == stages_ ? 0 : in_ + 1;
  }
  /// How many buffers are filled before the first is read.
  [[nodiscard]] __device__ int ahead() const noexcept { return stages_ - 1; }

  /// Waits for the oldest buffer. Behind it the one read before may be written again.
  [[nodiscard]] __device__ char const* advance() noexcept {
    if (stages_ == most_stages) {
      wait_for_copies<most_stages - 2>();
    } else {
      wait_for_copies<least_stages - 2>();
    }
    __syncthreads();
    char const* const ready = memory_ + out_ * slice_size;
    out_ = out_ + 1 == stages_ ? 0 : out_ + 1;
    return ready;
  }
  /// Ends a stream: nothing is under way and all buffers are free.
  __device__ void drain() noexcept {
    wait_for_copies<0>();
    __syncthreads();
    in_ = 0;
    out_ = 0;
  }

 private:
  char* memory_;
  int stages_;
  int in_ = 0;
  int out_ = 0;
};

/// Copies `bytes` (a multiple of 16, at most 128) of a row to a line of a buffer; eight
/// neighbouring threads share a line. A null row gives zeros.
template <bool Aligned>
__device__ inline void copy_line(char* buffer, int line, int chunk, char const* row, int offset,
                                 int bytes) noexcept {
  if (chunk * 16 >= bytes) return;
  bool const there = row != nullptr;
  char* const to = buffer + swizzled(line, chunk);
  // A null address is not read, but must be one that can be.
  char const* const from = there ? row + offset + chunk * 16 : nullptr;
  if constexpr (Aligned) {
    copy_16_async(to, from, there);
  } else {
    copy_16_by_words_async(to, from, there);
  }
}

}  // namespace tka::inline TKA_ABI::detail::cuda
