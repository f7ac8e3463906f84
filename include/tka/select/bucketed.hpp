// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The approximate selection policy with a recall that is known beforehand.

#pragma once

#include <tka/config.hpp>
#include <tka/select/bucket_recall.hpp>
#include <tka/select/selection_tensors.hpp>

namespace tka::inline TKA_ABI {

/// Keeps the largest `per_bucket` keys of each of `buckets` interleaved buckets (position mod
/// buckets, in a shard the index in it; contiguous buckets lose clustered keys) and then exactly
/// the k largest survivors. The `per_bucket` largest keys of a row are never lost. Expected recall:
/// `expected_recall`; with a recall target each row takes `choose_buckets(min(k, visible keys),
/// target)`. Same order, ties and determinism as `exact_radix`. From arXiv 2506.04165 and
/// Graphcore's approx_topk.
struct bucketed {
  using selector = bucketed;
  using score_source = detail::query_key_scores;
  using tensors = detail::no_tensors;
  static constexpr bool is_exact = false;
};

}  // namespace tka::inline TKA_ABI
