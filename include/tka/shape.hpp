// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Extents of one call, as far as the host knows them.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// Upper bounds of one call. Real lengths live in the backend's memory (see `kv::` and `query::`);
/// results and speed depend on those, never on these bounds.
struct shape {
  std::int32_t batch = 1;
  std::int32_t q_heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t q_len = 1;   ///< query tokens of one sequence, at most
  std::int32_t kv_len = 0;  ///< keys of one sequence, at most
  std::int32_t qk_dim = 0;
  std::int32_t v_dim = 0;
  std::int32_t page_size = 0;    ///< tokens of a page; only for `kv::paged`, any value >= 1
  std::int32_t index_heads = 0;  ///< only for an indexer
  std::int32_t index_dim = 0;    ///< only for an indexer

  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int32_t group() const noexcept {
    return q_heads / kv_heads;
  }
  friend constexpr bool operator==(shape const&, shape const&) = default;
};

}  // namespace tka::inline TKA_ABI
