// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The numbers of one call that are not extents: budget, scale, forced keys, metrics.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// How many keys a row keeps: k, or max(k_min, ceil(numerator * visible / denominator)).
/// Make one with `top_k` or `ratio`.
struct budget {
  std::int32_t k = 0;
  std::int32_t numerator = 0;
  std::int32_t denominator = 0;  ///< 0: `k` counts
  std::int32_t k_min = 0;

  /// The keys that a row with `visible` visible keys keeps, before clamping to them.
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int32_t of(std::int32_t visible) const noexcept {
    if (denominator == 0) return k;
    std::int64_t const share = (std::int64_t{numerator} * visible + denominator - 1) / denominator;
    return share > k_min ? static_cast<std::int32_t>(share) : k_min;
  }
  friend constexpr bool operator==(budget const&, budget const&) = default;
};

/// Keep `k` keys a row.
[[nodiscard]] constexpr budget top_k(std::int32_t k) noexcept { return {.k = k}; }

/// Keep max(k_min, ceil(numerator * visible / denominator)) keys a row, in integers.
[[nodiscard]] constexpr budget ratio(std::int32_t numerator, std::int32_t denominator,
                                     std::int32_t k_min = 1) noexcept {
  return {.numerator = numerator, .denominator = denominator, .k_min = k_min};
}

/// How `scope::kv_group` makes one score of the scores of its query heads.
enum class combine : std::int32_t {
  max,         ///< the largest; NaN passes
  sum,         ///< the sum, in head order
  softmax_sum  ///< the sum of the heads' attention probabilities (two passes over the keys)
};

/// What the call measures beside attending.
enum class metrics : std::int32_t {
  selected,  ///< lse and entropy over the selected keys
  visible    ///< also lse_visible, retained mass and entropy over all visible keys
};

/// Parameters of `bucketed`: a recall target, or both numbers given.
struct bucketing {
  float recall_target = 0.99f;  ///< expected recall for uniformly placed keys, in (0, 1)
  std::int32_t buckets = 0;     ///< > 0: exactly this many buckets, for every row
  std::int32_t per_bucket = 0;  ///< with `buckets`: how many of each are kept, 1..64
  friend constexpr bool operator==(bucketing const&, bucketing const&) = default;
};

/// One part of a sequence that lies spread over several memories: tokens are dealt out in
/// blocks, block i to part i mod count. The default is the whole sequence.
struct shard {
  std::int32_t block = 1;
  std::int32_t index = 0;
  std::int32_t count = 1;
  friend constexpr bool operator==(shard const&, shard const&) = default;
};

/// The numbers of a call.
struct options {
  tka::budget budget{};
  float scale = 0.0f;       ///< multiplies scores before softmax; finite and > 0, required
  float soft_cap = 0.0f;    ///< cap * tanh(s / cap) after scale; 0: off
  std::int32_t sinks = 0;   ///< the first positions, always selected, inside the budget
  std::int32_t recent = 0;  ///< the last visible positions, always selected, inside the budget
  std::int32_t window = 0;  ///< only `visibility::sliding_window`: visible positions, >= 1
  tka::combine combine = tka::combine::max;  ///< only `scope::kv_group`
  tka::metrics metrics = tka::metrics::selected;
  tka::bucketing bucketing{};  ///< only `bucketed`
  tka::shard shard{};
  /// Bytes of scratch that a `cuda` plan may ask for; more only where one unit of work of one token
  /// (at most 64 score rows of kv_len keys, or 1 + group with softmax_sum) needs more. Less
  /// scratch, more passes; never another result.
  std::int64_t scratch_limit = std::int64_t{256} << 20;
};

}  // namespace tka::inline TKA_ABI
