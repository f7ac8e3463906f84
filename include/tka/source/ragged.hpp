// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Sequences packed one behind the other, their borders given by cumulative lengths.

#pragma once

#include <tka/source/location.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

namespace kv {

/// k [1, kv_heads, total tokens, dim]: sequence b holds tokens cumulative[b]..cumulative[b + 1).
struct ragged {
  using part = form_part::kv_source;
  static constexpr bool has_pages = false;

  struct tensors {
    /// [batch + 1] in the backend's memory, ascending, required. A difference outside 0..kv_len
    /// makes the rows of its sequence empty.
    std::int32_t const* cumulative = nullptr;
  };

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool complete(tensors const& t) noexcept {
    return t.cumulative != nullptr;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int64_t length(tensors const& t,
                                                                     std::int32_t b,
                                                                     std::int32_t bound) noexcept {
    std::int64_t const n = std::int64_t{t.cumulative[b + 1]} - t.cumulative[b];
    return t.cumulative[b] < 0 || n < 0 || n > bound ? -1 : n;
  }
  /// Behind it the next sequence begins.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int64_t room(tensors const& t, std::int32_t b,
                                                                   std::int32_t bound) noexcept {
    return length(t, b, bound);
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr location locate(tensors const& t, std::int32_t b,
                                                                 std::int32_t local,
                                                                 std::int32_t) noexcept {
    return {0, std::int64_t{t.cumulative[b]} + local};
  }
};

}  // namespace kv

namespace query {

/// q [1, q_heads, total tokens, dim]: the query tokens of sequence b are
/// cumulative[b]..cumulative[b + 1); decode, prefill and mixed batches alike. Outputs are indexed
/// the same way; rows of no sequence are not written.
struct ragged {
  using part = form_part::query_source;

  struct tensors {
    /// [batch + 1] in the backend's memory, ascending, required. A difference outside 0..q_len
    /// skips its sequence.
    std::int32_t const* cumulative = nullptr;
    /// [total tokens] position of each query token; null: the last ones of the sequence.
    std::int32_t const* positions = nullptr;
  };

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool complete(tensors const& t) noexcept {
    return t.cumulative != nullptr;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t length(tensors const& t,
                                                                     std::int32_t b,
                                                                     std::int32_t bound) noexcept {
    std::int64_t const n = std::int64_t{t.cumulative[b + 1]} - t.cumulative[b];
    return t.cumulative[b] < 0 || n < 0 || n > bound ? -1 : static_cast<std::int32_t>(n);
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr location locate(tensors const& t, std::int32_t b,
                                                                 std::int32_t i) noexcept {
    return {0, std::int64_t{t.cumulative[b]} + i};
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int64_t position(
      tensors const& t, std::int32_t b, std::int32_t i, std::int32_t q_len,
      std::int64_t kv_len) noexcept {
    if (t.positions == nullptr) return kv_len - q_len + i;
    return t.positions[std::int64_t{t.cumulative[b]} + i];
  }
};

}  // namespace query

}  // namespace tka::inline TKA_ABI
