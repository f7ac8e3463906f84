// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The kernels of bench_matrix_cuda.

#include "cuda/matrix_kernels.hpp"

#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp8.hpp>

#include <cub/device/device_segmented_radix_sort.cuh>
#include <cub/version.cuh>

#include <type_traits>

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

__device__ std::uint32_t mixed(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  return static_cast<std::uint32_t>(x);
}

/// In [0, 1), another one for each (item, which).
__device__ float uniform(std::uint64_t item, std::uint32_t which) {
  return static_cast<float>(mixed(item * 0x9e3779b97f4a7c15ull + which) >> 8) * 0x1p-24f;
}

__device__ float normal(std::uint64_t item, std::uint32_t which) {
  float const radius = sqrtf(-2.0f * __logf(1.0f - uniform(item, 2 * which)));
  return radius * cospif(2.0f * uniform(item, 2 * which + 1));
}

/// What the pair of components that begins at `dim` adds up to.
__device__ float hidden(std::int64_t row, int dim, recorded_row const* recorded) {
  std::uint32_t const draw = 1000u + static_cast<std::uint32_t>(dim / 2);
  if (dim < component::sparse) return uniform(row, draw);
  if (dim < component::normal) {
    return uniform(row, 2 * draw + 1) < 0.94f ? 0.0f : normal(row, 3000u + draw);
  }
  if (dim < component::one) return normal(row, 3000u + draw);
  if (dim < component::recorded) {
    return static_cast<float>(row % ramp_length) / static_cast<float>(ramp_length);
  }
  int const pair = (dim - component::recorded) / 2;
  recorded_row const& from = recorded[pair];
  auto const level = static_cast<float>(from.levels[row % recorded_length]);
  return from.low + from.step * (level + uniform(row, 5000u + static_cast<std::uint32_t>(pair)));
}

template <class T>
__device__ T key_component(std::int64_t row, int dim, recorded_row const* recorded) {
  if (dim >= component::end) return T(normal(row, static_cast<std::uint32_t>(dim)));
  if (dim == component::one) return T(1.0f);
  int const first = dim < component::one ? dim / 2 * 2 : (dim - 1) / 2 * 2 + 1;  // of the pair
  float const value = hidden(row, first, recorded);
  T const high = T(value);
  return dim == first ? high : T(value - static_cast<float>(high));
}

template <class T>
__global__ void __launch_bounds__(256)
    keys_kernel(T* keys, std::int64_t count, recorded_row const* recorded) {
  std::int64_t const step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    keys[i] = key_component<T>(i / head_dim, static_cast<int>(i % head_dim), recorded);
  }
}

template <class T>
__global__ void __launch_bounds__(256)
    normal_kernel(T* values, std::int64_t count, std::uint32_t seed) {
  std::int64_t const step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    values[i] = T(normal(i, 7000u + seed));
  }
}

__global__ void iota_kernel(std::int32_t* values, std::int64_t count, std::int32_t period) {
  std::int64_t const step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    values[i] = static_cast<std::int32_t>(i % period);
  }
}

__global__ void spin_kernel(std::int64_t nanoseconds) {
  std::uint64_t begin;
  std::uint64_t now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(begin));
  do {
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  } while (static_cast<std::int64_t>(now - begin) < nanoseconds);
}

constexpr int blocks = 2048;

/// Calls `f` with a null pointer of the stored type.
template <class F>
void with_type(element type, F&& f) {
  if (type == element::fp32) f(static_cast<float*>(nullptr));
  if (type == element::fp16) f(static_cast<tka::float16_t*>(nullptr));
  if (type == element::bf16) f(static_cast<tka::bfloat16_t*>(nullptr));
  if (type == element::fp8) f(static_cast<tka::float8_e4m3_t*>(nullptr));
}

}  // namespace

void fill_keys(void* keys, element type, std::int64_t rows, recorded_row const* recorded,
               cudaStream_t stream) {
  with_type(type, [&](auto* null) {
    using T = std::remove_pointer_t<decltype(null)>;
    keys_kernel<<<blocks, 256, 0, stream>>>(static_cast<T*>(keys), rows * head_dim, recorded);
  });
}

void fill_normal(void* values, element type, std::int64_t count, std::uint32_t seed,
                 cudaStream_t stream) {
  with_type(type, [&](auto* null) {
    using T = std::remove_pointer_t<decltype(null)>;
    normal_kernel<<<blocks, 256, 0, stream>>>(static_cast<T*>(values), count, seed);
  });
}

void fill_iota(std::int32_t* values, std::int64_t count, std::int32_t period, cudaStream_t stream) {
  iota_kernel<<<blocks, 256, 0, stream>>>(values, count, period);
}

void spin(std::int64_t nanoseconds, cudaStream_t stream) {
  spin_kernel<<<1, 1, 0, stream>>>(nanoseconds);
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
