// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The canonical score, arithmetic.cuh: `mma.sync` with keys as rows and as columns and `wgmma`
/// give the same bits for a chain of 16 dimensions a step, in ascending order. All routes rest on
/// it.

#include <tka/detail/cuda/warp/matrix.cuh>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>

#include <support/device_memory.cuh>
#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace {

namespace device = tka::detail::cuda;

constexpr int keys = 64;
constexpr int queries = 8;

template <class T>
__device__ std::uint32_t pair_at(T const* row, int d) {
  return *reinterpret_cast<std::uint32_t const*>(row + d);
}

/// [keys][queries] scores, keys as rows of the left operand. One warp.
template <class T>
__global__ void keys_as_rows(T const* k, T const* q, int dim, float* out) {
  int const lane = static_cast<int>(threadIdx.x);
  for (int m = 0; m < keys; m += 16) {
    float sum[4] = {};
    T const* const upper = k + (m + lane / 4) * dim + lane % 4 * 2;
    T const* const lower = upper + 8 * dim;
    T const* const right = q + lane / 4 * dim + lane % 4 * 2;
    for (int d = 0; d < dim; d += 16) {
      device::left_fragment const left{
          {pair_at(upper, d), pair_at(lower, d), pair_at(upper, d + 8), pair_at(lower, d + 8)}};
      device::multiply_add<T>(sum, left, pair_at(right, d), pair_at(right, d + 8));
    }
    for (int i = 0; i < 4; ++i) {
      out[(m + lane / 4 + i / 2 * 8) * queries + lane % 4 * 2 + i % 2] = sum[i];
    }
  }
}

/// The same with keys as columns of the right operand; rows 8 to 15 of the left one are zero.
template <class T>
__global__ void keys_as_columns(T const* k, T const* q, int dim, float* out) {
  int const lane = static_cast<int>(threadIdx.x);
  for (int n = 0; n < keys; n += 8) {
    float sum[4] = {};
    T const* const upper = q + lane / 4 * dim + lane % 4 * 2;
    T const* const right = k + (n + lane / 4) * dim + lane % 4 * 2;
    for (int d = 0; d < dim; d += 16) {
      device::left_fragment const left{{pair_at(upper, d), 0u, pair_at(upper, d + 8), 0u}};
      device::multiply_add<T>(sum, left, pair_at(right, d), pair_at(right, d + 8));
    }
    for (int i = 0; i < 2; ++i) out[(n + lane % 4 * 2 + i) * queries + lane / 4] = sum[i];
  }
}

/// The same by wgmma, from shared memory in core matrices of 8 rows of 16 bytes. One warpgroup.
/// Compiled for anything but sm_90a it leaves `out` as it is and says so.
template <class T>
__global__ void by_warpgroup(T const* k, T const* q, int dim, float* out, int* compiled) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  __shared__ __align__(128) T left[keys * 16];
  __shared__ __align__(128) T right[queries * 16];
  int const thread = static_cast<int>(threadIdx.x);
  auto const place = [](int row, int d) {
    return (row / 8 * 2 + d / 8) * 64 + row % 8 * 8 + d % 8;
  };
  auto const descriptor = [](T const* at) {
    constexpr std::uint64_t next_in_depth = 128 >> 4;
    constexpr std::uint64_t next_in_rows = 256 >> 4;
    return static_cast<std::uint64_t>(device::shared_address(at) >> 4) | next_in_depth << 16 |
           next_in_rows << 32;
  };
  float sum[4] = {};
  for (int step = 0; step < dim; step += 16) {
    __syncthreads();
    for (int i = thread; i < keys * 16; i += 128)
      left[place(i / 16, i % 16)] = k[i / 16 * dim + step + i % 16];
    right[place(thread / 16, thread % 16)] = q[thread / 16 * dim + step + thread % 16];
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    if constexpr (std::is_same_v<T, tka::bfloat16_t>) {
      asm volatile(
          "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, 1, 1, 1, "
          "0, 0;"
          : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
          : "l"(descriptor(left)), "l"(descriptor(right)));
    } else {
      asm volatile(
          "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%0, %1, %2, %3}, %4, %5, 1, 1, 1, 0, "
          "0;"
          : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
          : "l"(descriptor(left)), "l"(descriptor(right)));
    }
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  }
  for (int i = 0; i < 4; ++i) {
    int const row = thread / 32 * 16 + thread % 32 / 4 + i / 2 * 8;
    out[row * queries + thread % 4 * 2 + i % 2] = sum[i];
  }
  if (thread == 0) *compiled = 1;
#else
  if (threadIdx.x == 0) *compiled = 0;
#endif
}

enum class values { normal, many_octaves, cancelling };

template <class T>
std::vector<T> rows(int count, int dim, values kind, support::random_source& random) {
  std::vector<T> out;
  for (int i = 0; i < count * dim; ++i) {
    double x = random.normal();
    if (kind == values::many_octaves) x = std::ldexp(x, static_cast<int>(random.below(24)) - 12);
    // Neighbouring dimensions nearly cancel.
    if (kind == values::cancelling && i % 2 == 1)
      x = -static_cast<float>(out.back()) * (1.0 + 0.001 * x);
    out.push_back(T{static_cast<float>(x)});
  }
  return out;
}

template <class T>
struct three_ways {
  explicit three_ways(int dim)
      : k(sizeof(T) * static_cast<std::size_t>(keys * dim)),
        q(sizeof(T) * static_cast<std::size_t>(queries * dim)),
        out(sizeof(float) * keys * queries),
        compiled(sizeof(int)),
        dim_(dim) {}

  enum class way { rows, columns, warpgroup };
  std::vector<float> scores(way w) {
    std::vector<float> result(keys * queries);
    out.fill(0xff);
    auto const stream = support::test_stream();
    if (w == way::rows) {
      keys_as_rows<T>
          <<<1, 32, 0, stream>>>(k.template as<T>(), q.template as<T>(), dim_, out.as<float>());
    } else if (w == way::columns) {
      keys_as_columns<T>
          <<<1, 32, 0, stream>>>(k.template as<T>(), q.template as<T>(), dim_, out.as<float>());
    } else {
      by_warpgroup<T><<<1, 128, 0, stream>>>(k.template as<T>(), q.template as<T>(), dim_,
                                             out.as<float>(), compiled.as<int>());
    }
    support::check_cuda(cudaGetLastError(), "launch");
    out.download(result.data());
    return result;
  }
  bool has_warpgroup() const {
    int yes = 0;
    compiled.download(&yes);
    return yes != 0;
  }

  support::device_memory k, q, out, compiled;

 private:
  int dim_;
};

bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

template <class T>
void compare(char const* name) {
  support::random_source random(name);
  INFO(random);
  using way = typename three_ways<T>::way;
  bool by_wgmma = true;
  for (int const dim : {16, 64, 128, 192, 576}) {
    three_ways<T> on(dim);
    for (auto const kind : {values::normal, values::many_octaves, values::cancelling}) {
      for (int round = 0; round < 8; ++round) {
        CAPTURE(dim);
        CAPTURE(static_cast<int>(kind));
        auto const k = rows<T>(keys, dim, kind, random);
        auto const q = rows<T>(queries, dim, kind, random);
        on.k.upload(k.data());
        on.q.upload(q.data());
        auto const expected = on.scores(way::rows);
        CHECK(same_bits(expected, on.scores(way::columns)));
        auto const warpgroup = on.scores(way::warpgroup);
        by_wgmma = by_wgmma && on.has_warpgroup();
        if (on.has_warpgroup()) CHECK(same_bits(expected, warpgroup));
        // And they are the scores: tensor cores cut off what they shift out, a little each step.
        bool close = true;
        for (int i = 0; i < keys * queries; ++i) {
          double sum = 0.0;
          double magnitude = 0.0;
          for (int d = 0; d < dim; ++d) {
            double const x =
                double{static_cast<float>(k[static_cast<std::size_t>(i / queries * dim + d)])} *
                double{static_cast<float>(q[static_cast<std::size_t>(i % queries * dim + d)])};
            sum += x;
            magnitude += std::fabs(x);
          }
          close = close && std::fabs(sum - double{expected[static_cast<std::size_t>(i)]}) <=
                               5e-6 * magnitude;
        }
        CHECK(close);
      }
    }
  }
  if (!by_wgmma) MESSAGE("compiled without sm_90a: wgmma was not compared");
}

TEST_CASE("[tka.score] mma.sync and wgmma give the same bits for chains of bf16") {
  compare<tka::bfloat16_t>("chains of bf16");
}

TEST_CASE("[tka.score] mma.sync and wgmma give the same bits for chains of fp16") {
  compare<tka::float16_t>("chains of fp16");
}

}  // namespace
