// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The kernel of `append` and `merge`: a block a row.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/row_walk.cuh>
#include <tka/detail/cuda/block/block_crew.cuh>

namespace tka::inline TKA_ABI::detail::cuda {

using row_crew = block_crew<128>;

template <class Work>
__global__ void __launch_bounds__(row_crew::size) rows_kernel(__grid_constant__ Work const work) {
  __shared__ float buffer[Work::buffered];
  __shared__ float of_warps[row_crew::warps];
  row_crew const crew{of_warps};
  row_walk<Work, row_crew>(work, crew, buffer).run();
}

}  // namespace tka::inline TKA_ABI::detail::cuda
