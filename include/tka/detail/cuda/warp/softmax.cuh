// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Softmax in one pass: maximum, sum and the accumulator of the entropy, merged in fixed order.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/softmax_sums.hpp>
#include <tka/options.hpp>

#include <cuda_runtime_api.h>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// What shared arithmetic asks of this backend.
struct device_math {
  [[nodiscard]] __device__ static float exp(float x) noexcept { return expf(x); }
  [[nodiscard]] __device__ static float log(float x) noexcept { return logf(x); }
  [[nodiscard]] __device__ static float exp_of_lse(float x) noexcept { return expf(x); }
};
using softmax_sums = basic_softmax_sums<device_math>;

/// How scores of several heads become one: see `query_key_source`.
struct device_arithmetic {
  /// NaN passes.
  [[nodiscard]] __device__ static float larger(float a, float b) noexcept {
    return b > a || b != b ? b : a;
  }
  [[nodiscard]] __device__ static float add(float a, float b) noexcept { return a + b; }
  [[nodiscard]] __device__ static float multiply_add(float a, float b, float c) noexcept {
    return __fmaf_rn(a, b, c);
  }
  /// NaN passes.
  [[nodiscard]] __device__ static float rectified(float x) noexcept { return x <= 0.0f ? 0.0f : x; }
};

/// Not inlined: rarely used, and long.
[[nodiscard]] __device__ TKA_OUT_OF_LINE inline float soft_capped(float s, float cap) noexcept {
  return cap * tanhf(s / cap);
}

[[nodiscard]] __device__ inline float to_logit(options const& o, float score) noexcept {
  float const s = score * o.scale;
  return o.soft_cap > 0.0f ? soft_capped(s, o.soft_cap) : s;
}

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
    float const p = x[i] == minus_infinity ? 0.0f : expf(below);
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
  if (nan || most > minus_infinity) {
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
  all.max = warp_max(own.empty() ? minus_infinity : own.max);
  if (!own.empty()) own.refer_to(all.max);
  all.sum = warp_sum(own.sum);
  all.weighted = warp_sum(own.weighted);
  return all;
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
