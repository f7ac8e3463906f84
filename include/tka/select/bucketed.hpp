// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The approximate selection policy with a recall that is known beforehand.

#pragma once

#include <tka/config.hpp>
#include <tka/select/bucket_recall.hpp>
#include <tka/select/selection_tensors.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// Keeps the largest `per_bucket` keys of each of `buckets` interleaved buckets (position mod
/// buckets, in a shard the index in it; contiguous buckets lose clustered keys) and then exactly
/// the k largest survivors. The `per_bucket` largest keys of a row are never lost. Expected recall:
/// `expected_recall`; with a recall target each row takes `choose_buckets(min(k, visible keys),
/// target)`. Same order, ties and determinism as `exact_radix`. From arXiv 2506.04165 and
/// Graphcore's approx_topk.
///
///     attend.plan(shape, options, device, tka::bucketed{.recall_target = 0.9f});
struct bucketed {
  using selector = bucketed;
  using score_source = detail::query_key_scores;
  using tensors = detail::no_tensors;
  using row_numbers = bucket_rule;
  static constexpr bool is_exact = false;

  float recall_target = 0.99f;  ///< expected recall for uniformly placed keys, in (0, 1)
  std::int32_t buckets = 0;     ///< > 0: exactly this many buckets, for every row, to 2^24
  std::int32_t per_bucket = 0;  ///< with `buckets`: how many of each are kept, 1..64

  [[nodiscard]] TKA_INLINE constexpr status check() const noexcept {
    bool const by_number =
        buckets > 0 && buckets <= (1 << 24) && per_bucket >= 1 && per_bucket <= 64;
    bool const by_target = buckets == 0 && recall_target > 0.0f && recall_target < 1.0f;
    return by_number || by_target ? status::ok : status::invalid_selection;
  }
  [[nodiscard]] __attribute__((always_inline)) row_numbers derive() const noexcept {
    if (buckets > 0) return {.per_bucket = per_bucket, .fixed_buckets = buckets};
    return choose_bucket_rule(static_cast<double>(recall_target));
  }
  friend constexpr bool operator==(bucketed const&, bucketed const&) = default;
};

}  // namespace tka::inline TKA_ABI

namespace tka::inline TKA_ABI::inline TKA_BUILD {

/// The cheapest (buckets, per_bucket) whose expected recall reaches `target` for a row that keeps
/// k keys, whatever its length. Pure.
[[nodiscard]] inline bucketed choose_buckets(std::int32_t k, float target) noexcept {
  bucket_rule const rule = choose_bucket_rule(static_cast<double>(target));
  return {.recall_target = target, .buckets = rule.buckets(k), .per_bucket = rule.per_bucket};
}

}  // namespace tka::inline TKA_ABI::inline TKA_BUILD
