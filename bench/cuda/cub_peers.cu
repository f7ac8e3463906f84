// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// CUB's ways to select.

#include "cuda/cub_peers.hpp"

#include <cub/device/device_segmented_radix_sort.cuh>
#include <cub/version.cuh>

// That of CUB 3.5 serves rows of one block alone.
#if CUB_VERSION >= 300600 && __has_include(<cub/device/device_batched_topk.cuh>)
#define TKA_BENCH_BATCHED_TOPK 1
#include <cub/device/device_batched_topk.cuh>
#include <cuda/__execution/determinism.h>
#include <cuda/__execution/output_ordering.h>
#include <cuda/__execution/require.h>
#include <cuda/__execution/tie_break.h>
#include <cuda/argument>
#include <cuda/iterator>
#include <cuda/std/__execution/env.h>
#endif

namespace bench::cuda {
namespace {

__global__ void iota_kernel(std::int32_t* values, std::int64_t count, std::int32_t period) {
  std::int64_t const step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    values[i] = static_cast<std::int32_t>(i % period);
  }
}

}  // namespace

void fill_positions(std::int32_t* values, std::int64_t count, std::int32_t length,
                    cudaStream_t stream) {
  iota_kernel<<<2048, 256, 0, stream>>>(values, count, length);
}

cudaError_t sort_rows(void* memory, std::size_t& bytes, rows_of_scores const& in,
                      std::int32_t const* positions_in, std::int32_t const* offsets, float* sorted,
                      std::int32_t* positions, cudaStream_t stream) {
  return cub::DeviceSegmentedRadixSort::SortPairsDescending(
      memory, bytes, in.scores, sorted, positions_in, positions, in.rows * in.length, in.rows,
      offsets, offsets + 1, 0, 32, stream);
}

#if defined(TKA_BENCH_BATCHED_TOPK)
cudaError_t batched_topk(void* memory, std::size_t& bytes, rows_of_scores const& in, std::int32_t k,
                         float* kept, std::int32_t* positions, cudaStream_t stream) {
  auto const rows_at = [](auto* base, std::int32_t stride) {
    return ::cuda::make_strided_iterator(::cuda::make_counting_iterator(base), stride);
  };
  namespace execution = ::cuda::execution;
  auto const environment = ::cuda::std::execution::env{
      ::cuda::stream_ref{stream},
      execution::require(execution::determinism::not_guaranteed, execution::tie_break::unspecified,
                         execution::output_ordering::unsorted)};
  return cub::DeviceBatchedTopK::MaxPairs(
      memory, bytes, rows_at(in.scores, in.length), rows_at(kept, k),
      ::cuda::make_constant_iterator(::cuda::make_counting_iterator(0)), rows_at(positions, k),
      ::cuda::args::immediate{in.length, ::cuda::args::bounds<1, (1 << 20)>()},
      ::cuda::args::immediate{k, ::cuda::args::bounds<1, 4096>()},
      ::cuda::args::immediate{std::int64_t{in.rows}}, environment);
}
#else
cudaError_t batched_topk(void*, std::size_t&, rows_of_scores const&, std::int32_t, float*,
                         std::int32_t*, cudaStream_t) {
  return cudaErrorNotSupported;
}
#endif

int cub_version() { return CUB_VERSION; }

}  // namespace bench::cuda
