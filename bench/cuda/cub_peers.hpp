// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// CUB's ways to select, as functions without templates.

#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace bench::cuda {

/// 0 to length - 1, again and again.
void fill_positions(std::int32_t* values, std::int64_t count, std::int32_t length,
                    cudaStream_t stream);

/// `rows` rows of `length` scores: sorted whole, larger and earlier first. `offsets` are rows + 1.
struct rows_of_scores {
  float const* scores;
  std::int32_t rows;
  std::int32_t length;
};
cudaError_t sort_rows(void* memory, std::size_t& bytes, rows_of_scores const& in,
                      std::int32_t const* positions_in, std::int32_t const* offsets, float* sorted,
                      std::int32_t* positions, cudaStream_t stream);

/// The k largest of each row in any order, whichever of equals.
/// cudaErrorNotSupported where the CUB at hand lacks cub::DeviceBatchedTopK for rows of this
/// length.
cudaError_t batched_topk(void* memory, std::size_t& bytes, rows_of_scores const& in, std::int32_t k,
                         float* kept, std::int32_t* positions, cudaStream_t stream);

/// The version of CUB, as 300500 is 3.5.0.
[[nodiscard]] int cub_version();

}  // namespace bench::cuda
