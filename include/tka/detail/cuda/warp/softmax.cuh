// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Softmax in one pass: maximum, sum and the accumulator of the entropy, merged in fixed order.

#pragma once

#include <tka/config.hpp>
#include <tka/options.hpp>

#include <cuda_runtime_api.h>

namespace tka::inline TKA_ABI::detail::cuda {

/// -inf, without a call that device code must not make.
[[nodiscard]] __device__ inline float minus_infinity() noexcept {
  return __int_as_float(static_cast<int>(0xff800000u));
}

/// Not inlined: rarely used, and long.
[[nodiscard]] __device__ __noinline__ inline float soft_capped(float s, float cap) noexcept {
  return cap * tanhf(s / cap);
}

[[nodiscard]] __device__ inline float to_logit(options const& o, float score) noexcept {
  float const s = score * o.scale;
  return o.soft_cap > 0.0f ? soft_capped(s, o.soft_cap) : s;
}

/// Sums over a set of logits x: max, sum of e^(x - max), sum of e^(x - max) * (x - max). The empty
/// set has sum 0.
struct softmax_sums {
  float max = minus_infinity();
  float sum = 0.0f;
  float weighted = 0.0f;

  [[nodiscard]] __device__ bool empty() const noexcept { return sum == 0.0f; }
  [[nodiscard]] __device__ float lse() const noexcept {
    return empty() ? minus_infinity() : max + logf(sum);
  }
  /// - sum p ln p; 0 for the empty set.
  [[nodiscard]] __device__ float entropy() const noexcept {
    return empty() ? 0.0f : logf(sum) - weighted / sum;
  }
  /// Refers the sums to another maximum; returns the factor for what else was summed with them.
  __device__ float refer_to(float new_max) noexcept {
    float const factor = empty() ? 0.0f : expf(max - new_max);
    // Zero times infinity must not arise where nothing was summed yet or all of it vanishes.
    weighted = factor == 0.0f ? 0.0f : factor * (weighted + sum * (max - new_max));
    sum *= factor;
    max = new_max;
    return factor;
  }
  /// Adds a later part.
  __device__ void merge(softmax_sums other) noexcept {
    if (other.empty()) return;
    if (empty()) {
      *this = other;
      return;
    }
    float const most = other.max > max ? other.max : max;
    refer_to(most);
    other.refer_to(most);
    sum += other.sum;
    weighted += other.weighted;
  }
};

[[nodiscard]] __device__ inline float warp_max(float x) noexcept {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}
[[nodiscard]] __device__ inline float warp_sum(float x) noexcept {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

/// e^(x - max) of four logits a lane against max >= all of them (NaN aside), in place, and their
/// sums. -inf is nothing; NaN passes.
__device__ inline void exponentials(float (&x)[4], float max, float& sum,
                                    float& weighted) noexcept {
  float own = 0.0f;
  float own_weighted = 0.0f;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float const below = x[i] - max;
    float const p = x[i] == minus_infinity() ? 0.0f : expf(below);
    own += p;
    own_weighted += p == 0.0f ? 0.0f : p * below;
    x[i] = p;
  }
  sum = warp_sum(own);
  weighted = warp_sum(own_weighted);
}

/// Adds four logits a lane to sums that every lane holds. Leaves e^(x - max) in x; returns the
/// factor for what was summed before.
[[nodiscard]] __device__ inline float add_logits(softmax_sums& sums, float (&x)[4]) noexcept {
  float most = sums.max;
  bool nan = false;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    most = fmaxf(most, x[i]);
    nan |= x[i] != x[i];
  }
  most = warp_max(most);
  nan = __any_sync(0xffffffffu, nan);
  float factor = 1.0f;
  if (nan || most > minus_infinity()) {
    float sum = 0.0f;
    float weighted = 0.0f;
    factor = sums.refer_to(most);
    exponentials(x, most, sum, weighted);
    sums.sum += sum;
    sums.weighted += weighted;
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] = 0.0f;
  }
  return factor;
}

/// The sums over all that the lanes have. All lanes get them.
[[nodiscard]] __device__ inline softmax_sums merge_lanes(softmax_sums own) noexcept {
  softmax_sums all{};
  all.max = warp_max(own.empty() ? minus_infinity() : own.max);
  if (!own.empty()) own.refer_to(all.max);
  all.sum = warp_sum(own.sum);
  all.weighted = warp_sum(own.weighted);
  return all;
}

}  // namespace tka::inline TKA_ABI::detail::cuda
