// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// CUB's ways to select, as functions without templates.

#include "abi.h"

#include <cub/device/device_segmented_radix_sort.cuh>
#include <cub/version.cuh>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

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

extern "C" {

std::int32_t tka_bench_cub_sort(void* memory, std::int64_t* bytes, void* scores, std::int32_t rows,
                                std::int32_t length, void* positions_in, void* offsets,
                                void* sorted, void* positions, void* stream) {
  auto wanted = static_cast<std::size_t>(*bytes);
  auto const* const begin = static_cast<std::int32_t const*>(offsets);
  cudaError_t const error = cub::DeviceSegmentedRadixSort::SortPairsDescending(
      memory, wanted, static_cast<float const*>(scores), static_cast<float*>(sorted),
      static_cast<std::int32_t const*>(positions_in), static_cast<std::int32_t*>(positions),
      rows * length, rows, begin, begin + 1, 0, 32, static_cast<cudaStream_t>(stream));
  *bytes = static_cast<std::int64_t>(wanted);
  return error;
}

#if defined(TKA_BENCH_BATCHED_TOPK)
std::int32_t tka_bench_cub_topk(void* memory, std::int64_t* bytes, void* scores, std::int32_t rows,
                                std::int32_t length, std::int32_t k, void* kept, void* positions,
                                void* stream) {
  auto const rows_at = [](auto* base, std::int32_t stride) {
    return ::cuda::make_strided_iterator(::cuda::make_counting_iterator(base), stride);
  };
  namespace execution = ::cuda::execution;
  auto const environment = ::cuda::std::execution::env{
      ::cuda::stream_ref{static_cast<cudaStream_t>(stream)},
      execution::require(execution::determinism::not_guaranteed, execution::tie_break::unspecified,
                         execution::output_ordering::unsorted)};
  auto wanted = static_cast<std::size_t>(*bytes);
  cudaError_t const error = cub::DeviceBatchedTopK::MaxPairs(
      memory, wanted, rows_at(static_cast<float const*>(scores), length),
      rows_at(static_cast<float*>(kept), k),
      ::cuda::make_constant_iterator(::cuda::make_counting_iterator(0)),
      rows_at(static_cast<std::int32_t*>(positions), k),
      ::cuda::args::immediate{length, ::cuda::args::bounds<1, (1 << 20)>()},
      ::cuda::args::immediate{k, ::cuda::args::bounds<1, 4096>()},
      ::cuda::args::immediate{std::int64_t{rows}}, environment);
  *bytes = static_cast<std::int64_t>(wanted);
  return error;
}
#else
std::int32_t tka_bench_cub_topk(void*, std::int64_t*, void*, std::int32_t, std::int32_t,
                                std::int32_t, void*, void*, void*) {
  return cudaErrorNotSupported;
}
#endif

std::int32_t tka_bench_cub_version(void) { return CUB_VERSION; }

}  // extern "C"
