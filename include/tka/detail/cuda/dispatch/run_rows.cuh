// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Launches the rows of `append` and `merge`.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/kernel/rows_kernel.cuh>
#include <tka/status.hpp>

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Enough to fill any device; blocks walk on to further rows.
inline constexpr std::int64_t most_row_blocks = 4096;

template <class Work>
[[nodiscard]] status run_rows(Work const& work, cudaStream_t stream) noexcept {
  std::int64_t blocks = work.most_rows() < most_row_blocks ? work.most_rows() : most_row_blocks;
  blocks *= work.sequences();
  // Without a row one block still looks at the sequences' ranges, where data gives them.
  if (blocks == 0 && Work::same_rows) return status::ok;
  blocks = blocks < 1 ? 1 : blocks < most_row_blocks ? blocks : most_row_blocks;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(row_crew::size);
  config.stream = stream;
  void* arguments[] = {const_cast<Work*>(&work)};
  auto const* const kernel = reinterpret_cast<void const*>(&rows_kernel<Work>);
  return cudaLaunchKernelExC(&config, kernel, arguments) == cudaSuccess ? status::ok
                                                                        : status::launch_failed;
}

}  // namespace tka::inline TKA_ABI::detail::cuda
