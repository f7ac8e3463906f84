// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A point of the matrix as bench/matrix.py writes it, and the shape that all points share.

#pragma once

#include <cstdint>

namespace bench {

inline constexpr int head_dim = 128;
inline constexpr int kv_heads = 8;
inline constexpr int group = 4;
inline constexpr int q_heads = kv_heads * group;
inline constexpr std::int32_t page_size = 64;
inline constexpr std::int32_t index_heads = 64;
inline constexpr float scale = 0.08838835f;

struct point {
  char const* name;
  char const* combination;
  char const* reference;  ///< the exact combination that an approximate one is compared with
  char const* scores;
  float recall;  ///< only bucketed
  std::int32_t batch;
  std::int32_t kv_len;
  std::int32_t k;
  std::int32_t bound;  ///< planned for so many keys; 0: for kv_len
  bool warm;           ///< inputs may stay in a cache
};

}  // namespace bench
