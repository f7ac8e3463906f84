// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The kernels of bench_matrix_cuda: inputs, a delay, and CUB's ways to select.

#pragma once

#include "scores.hpp"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bench::cuda {

/// What is stored; precisions are named as in bench/matrix.py.
enum class element { fp32, fp16, bf16, fp8 };

[[nodiscard]] constexpr int bytes_of(element e) {
  return e == element::fp32 ? 4 : e == element::fp8 ? 1 : 2;
}

/// `rows` keys of head_dim normal numbers, in which every distribution of scores.hpp is hidden.
/// `recorded`: recorded_scores in device memory.
void fill_keys(void* keys, element type, std::int64_t rows, recorded_row const* recorded,
               cudaStream_t stream);
void fill_normal(void* values, element type, std::int64_t count, std::uint32_t seed,
                 cudaStream_t stream);
void fill_iota(std::int32_t* values, std::int64_t count, std::int32_t period, cudaStream_t stream);

/// One thread that does nothing for so long.
void spin(std::int64_t nanoseconds, cudaStream_t stream);

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
