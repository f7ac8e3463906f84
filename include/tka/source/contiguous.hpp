// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Sequences side by side in one buffer, each with room for the longest.

#pragma once

#include <tka/source/location.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

namespace kv {

/// k [batch, kv_heads, kv_len, dim]: one slot a sequence.
struct contiguous {
  using part = form_part::kv_source;
  static constexpr bool has_pages = false;

  struct tensors {
    /// [batch] keys of each sequence, in the backend's memory; null: shape.kv_len for all.
    /// A length outside 0..kv_len makes the rows of its sequence empty.
    std::int32_t const* lengths = nullptr;
  };

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool complete(tensors const&) noexcept {
    return true;
  }
  /// The keys of sequence `b`; negative: the data breaks a rule.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int64_t length(tensors const& t,
                                                                     std::int32_t b,
                                                                     std::int32_t bound) noexcept {
    if (t.lengths == nullptr) return bound;
    std::int32_t const n = t.lengths[b];
    return n < 0 || n > bound ? -1 : n;
  }
  /// The keys that sequence `b` has room for; negative: the data breaks a rule.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int64_t room(tensors const&, std::int32_t,
                                                                   std::int32_t bound) noexcept {
    return bound;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr location locate(tensors const&, std::int32_t b,
                                                                 std::int32_t local,
                                                                 std::int32_t) noexcept {
    return {b, local};
  }
};

}  // namespace kv

namespace query {

/// q [batch, q_heads, q_len, dim]: the same number of query tokens for every sequence.
struct uniform {
  using part = form_part::query_source;

  struct tensors {
    /// [batch, q_len] position of each query token; null: query i sits at kv_len - q_len + i.
    std::int32_t const* positions = nullptr;
    std::int64_t positions_stride = 0;  ///< elements from one sequence to the next
  };

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool complete(tensors const&) noexcept {
    return true;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t length(tensors const&, std::int32_t,
                                                                     std::int32_t bound) noexcept {
    return bound;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr location locate(tensors const&, std::int32_t b,
                                                                 std::int32_t i) noexcept {
    return {b, i};
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int64_t position(
      tensors const& t, std::int32_t b, std::int32_t i, std::int32_t q_len,
      std::int64_t kv_len) noexcept {
    if (t.positions == nullptr) return kv_len - q_len + i;
    return t.positions[b * t.positions_stride + i];
  }
};

}  // namespace query

}  // namespace tka::inline TKA_ABI
