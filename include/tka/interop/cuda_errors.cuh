// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What an error word on the device says: for debugging, since it waits for the stream.

#pragma once

#include <tka/config.hpp>
#include <tka/status.hpp>

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// Waits for `stream` and copies the word that a call was given as `.error` into `bits` (see
/// `data_error`). `ok`: no call on it broke a rule; `data_error`: some did; `launch_failed`: the
/// runtime refused to copy or a kernel failed. Not for a stream that is being captured.
[[nodiscard]] __attribute__((always_inline)) inline status read_error_word(
    std::uint32_t const* word, cudaStream_t stream, std::uint32_t& bits) noexcept {
  bits = 0;
  if (cudaMemcpyAsync(&bits, word, sizeof(bits), cudaMemcpyDeviceToHost, stream) != cudaSuccess ||
      cudaStreamSynchronize(stream) != cudaSuccess) {
    return status::launch_failed;
  }
  return bits == 0 ? status::ok : status::data_error;
}

}  // namespace tka::inline TKA_ABI
