// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Inputs of the matrix and of its peers: each number follows from its place and a seed, so that
/// every process that asks for them has the same.

#include "bench_abi.h"
#include "scores.hpp"

#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp8.hpp>

#include <cstdint>
#include <random>
#include <type_traits>

namespace bench {
namespace {

__device__ recorded_row recorded[recorded_rows];  // recorded_scores

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
__device__ float hidden(std::int64_t row, int dim) {
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
__device__ T key_component(std::int64_t row, int dim) {
  if (dim >= component::end) return T(normal(row, static_cast<std::uint32_t>(dim)));
  if (dim == component::one) return T(1.0f);
  int const first = dim < component::one ? dim / 2 * 2 : (dim - 1) / 2 * 2 + 1;  // of the pair
  float const value = hidden(row, first);
  T const high = T(value);
  return dim == first ? high : T(value - static_cast<float>(high));
}

template <class T>
__global__ void __launch_bounds__(256)
    keys_kernel(T* keys, std::int64_t first_row, std::int64_t count) {
  std::int64_t const step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    keys[i] = key_component<T>(first_row + i / head_dim, static_cast<int>(i % head_dim));
  }
}

template <class T>
__global__ void __launch_bounds__(256)
    normal_kernel(T* values, std::int64_t first, std::int64_t count, std::uint32_t seed) {
  std::int64_t const step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    values[i] = T(normal(first + i, 7000u + seed));
  }
}

constexpr int blocks = 2048;

/// Calls `f` with a null pointer of the stored type.
template <class F>
void with_type(std::int32_t element, F&& f) {
  if (element == 0) f(static_cast<float*>(nullptr));
  if (element == 1) f(static_cast<tka::float16_t*>(nullptr));
  if (element == 2) f(static_cast<tka::bfloat16_t*>(nullptr));
  if (element == 3) f(static_cast<tka::float8_e4m3_t*>(nullptr));
}

}  // namespace
}  // namespace bench

extern "C" {

std::int32_t tka_bench_fill_keys(void* keys, std::int32_t element, std::int64_t first_row,
                                 std::int64_t rows, void* stream) {
  auto const s = static_cast<cudaStream_t>(stream);
  cudaError_t const error =
      cudaMemcpyToSymbolAsync(bench::recorded, bench::recorded_scores.data(),
                              sizeof(bench::recorded_scores), 0, cudaMemcpyHostToDevice, s);
  if (error != cudaSuccess) return error;
  bench::with_type(element, [&](auto* null) {
    using T = std::remove_pointer_t<decltype(null)>;
    bench::keys_kernel<<<bench::blocks, 256, 0, s>>>(static_cast<T*>(keys), first_row,
                                                     rows * bench::head_dim);
  });
  return cudaGetLastError();
}

std::int32_t tka_bench_fill_normal(void* values, std::int32_t element, std::int64_t first,
                                   std::int64_t count, std::uint32_t seed, void* stream) {
  bench::with_type(element, [&](auto* null) {
    using T = std::remove_pointer_t<decltype(null)>;
    bench::normal_kernel<<<bench::blocks, 256, 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<T*>(values), first, count, seed);
  });
  return cudaGetLastError();
}

void tka_bench_make_queries(void* queries, std::int32_t element, char const* scores,
                            std::int64_t heads) {
  bench::with_type(element, [&](auto* null) {
    using T = std::remove_pointer_t<decltype(null)>;
    auto* const rows = static_cast<T*>(queries);
    std::mt19937 random{4};
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < heads * bench::head_dim; ++i) rows[i] = T(normal(random));
    for (std::int64_t head = 0; head < heads; ++head) {
      bench::shape_query(scores, rows + head * bench::head_dim, head);
    }
  });
}

}  // extern "C"
