// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A key of a row that about three times as many others exceed as are kept, from a sample.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/row_slice.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// The smallest key that can be kept, in radix order, and the largest that can't.
inline constexpr std::uint32_t min_kept = radix_bits(key_of_minus_infinity) + 1;
inline constexpr std::uint32_t max_dropped = radix_bits(key_of_minus_infinity);

/// Groups of samples; a thread of the first warps each.
inline constexpr int gate_groups = 128;
/// Samples are taken in vectors of four keys: as many as groups, at most this many times.
inline constexpr int max_sample_vectors = 8;

/// Which of the groups' maxima, in order, is the gate. The rule is that of pooled samples: of m
/// samples of n keys the r-th largest, r = mu + 5 sqrt(mu) + 3 with mu = k m / n, has at least k
/// keys at or above it but for one row in millions. The r-th largest maximum is not above it, also
/// where neighbours are alike.
struct gate_rule {
  int vectors;   ///< a group
  int rank;      ///< of the gate; above `gate_groups`: there is none
  int max_rank;  ///< where this maximum equals the gate, too many keys do

  /// `capacity`: keys that may pass; `samples`: vectors that there are.
  [[nodiscard]] __device__ static gate_rule of(std::int32_t keys, std::int32_t kept,
                                               std::int64_t capacity,
                                               std::int32_t samples) noexcept {
    gate_rule r{1, 2 * gate_groups, 2 * gate_groups};
    if (samples < gate_groups) return r;
    float const share = __fdividef(static_cast<float>(kept), static_cast<float>(keys));
    while (r.vectors < max_sample_vectors && 8.0f * gate_groups * r.vectors * share <= 32.0f &&
           2 * gate_groups * r.vectors <= samples) {
      r.vectors *= 2;
    }
    float const mean = 4.0f * gate_groups * r.vectors * share;
    r.rank = static_cast<int>(mean + 5.0f * mean * rsqrtf(mean) + 4.0f);
    float const fits = __fdividef(0.75f * static_cast<float>(capacity), static_cast<float>(keys));
    if (fits < 1.0f) {
      float const below = __powf(1.0f - fits, 4.0f * r.vectors);
      r.max_rank = larger(r.rank + 1, static_cast<int>(gate_groups * (1.0f - below)));
    }
    return r;
  }
  [[nodiscard]] __device__ bool exists() const noexcept { return rank <= gate_groups - 4; }
};

struct alignas(16) gate_memory {
  std::uint32_t group[gate_groups];
  std::uint32_t gate;  ///< before: ~0
  std::uint32_t far;   ///< the maximum of rank `max_rank`; before: ~0
  std::uint32_t high;  ///< the largest; before: 0
};

/// The first `gate_groups` threads, each a group: it takes one key of each vector of itself and its
/// three neighbours, so that a group's keys lie far apart.
__device__ inline void find_gate(gate_rule const& rule, row_slice const& slice,
                                 gate_memory& m) noexcept {
  auto const thread = static_cast<std::uint32_t>(threadIdx.x);
  auto const samples = static_cast<std::uint32_t>(gate_groups * rule.vectors);
  std::int32_t const vectors = slice.row_end() - slice.row_begin();
  std::uint32_t const step = static_cast<std::uint32_t>(vectors) / samples;
  std::uint32_t x = 0;
  std::uint32_t y = 0;
  std::uint32_t z = 0;
  std::uint32_t w = 0;
  constexpr int at_once = 4;
#pragma unroll 1
  for (int from = 0; from < rule.vectors; from += at_once) {
    float4 sample[at_once];
#pragma unroll
    for (int q = 0; q < at_once; ++q) {
      // Somewhere in its part of the row: what repeats along it is not met in step.
      int const own = smaller(from + q, rule.vectors - 1);
      std::uint32_t const i = (own * 4u + thread % 4) * 32 + thread / 4;
      std::uint32_t const at = i * step + __umulhi(i * 2654435761u, step);
      sample[q] = slice.whole(slice.row_begin() + static_cast<std::int32_t>(at));
    }
#pragma unroll
    for (int q = 0; q < at_once; ++q) {
      x = larger(x, radix_bits(to_ordered(sample[q].x)));
      y = larger(y, radix_bits(to_ordered(sample[q].y)));
      z = larger(z, radix_bits(to_ordered(sample[q].z)));
      w = larger(w, radix_bits(to_ordered(sample[q].w)));
    }
  }
  bool const odd = thread % 2 != 0;
  bool const upper = thread % 4 >= 2;
  std::uint32_t const a = larger(odd ? y : x, __shfl_xor_sync(0xffffffffu, odd ? x : y, 1));
  std::uint32_t const b = larger(odd ? w : z, __shfl_xor_sync(0xffffffffu, odd ? z : w, 1));
  std::uint32_t const own = larger(upper ? b : a, __shfl_xor_sync(0xffffffffu, upper ? a : b, 2));
  m.group[thread] = own;
  asm volatile("bar.sync 1, %0;" ::"n"(gate_groups) : "memory");
  int above = 0;
#pragma unroll 8
  for (int i = 0; i < gate_groups; i += 4) {
    uint4 const other = *reinterpret_cast<uint4 const*>(m.group + i);
    above += (other.x > own ? 1 : 0) + (other.y > own ? 1 : 0) + (other.z > own ? 1 : 0) +
             (other.w > own ? 1 : 0);
  }
  std::uint32_t const gate = __reduce_min_sync(0xffffffffu, above < rule.rank ? own : ~0u);
  std::uint32_t const far = __reduce_min_sync(0xffffffffu, above < rule.max_rank ? own : ~0u);
  std::uint32_t const high = __reduce_max_sync(0xffffffffu, own);
  if (thread % 32 == 0) {
    atomicMin(&m.gate, gate);
    atomicMin(&m.far, far);
    atomicMax(&m.high, high);
  }
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
