// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Exact and bucketed selection written plainly, by sorting.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace recall_test {

/// Larger first, NaN above all, equal ones by smaller position; -0 equals +0.
inline bool before(std::vector<float> const& s, std::int32_t a, std::int32_t b) {
  float const x = s[static_cast<std::size_t>(a)];
  float const y = s[static_cast<std::size_t>(b)];
  bool const x_nan = std::isnan(x);
  bool const y_nan = std::isnan(y);
  if (x_nan != y_nan) return x_nan;
  if (!x_nan && x != y) return x > y;
  return a < b;
}

/// The `keep` first of `candidates` in the order above, -inf left out, ascending in position.
inline std::vector<std::int32_t> largest(std::vector<float> const& s,
                                         std::vector<std::int32_t> candidates, std::int32_t keep) {
  std::erase_if(candidates, [&](std::int32_t i) {
    return s[static_cast<std::size_t>(i)] == -std::numeric_limits<float>::infinity();
  });
  std::sort(candidates.begin(), candidates.end(),
            [&](std::int32_t a, std::int32_t b) { return before(s, a, b); });
  if (candidates.size() > static_cast<std::size_t>(keep)) {
    candidates.resize(static_cast<std::size_t>(keep));
  }
  std::sort(candidates.begin(), candidates.end());
  return candidates;
}

inline std::vector<std::int32_t> exact(std::vector<float> const& s, std::int32_t keep) {
  std::vector<std::int32_t> all(s.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int32_t>(i);
  return largest(s, all, keep);
}

inline std::vector<std::int32_t> bucketed(std::vector<float> const& s, std::int32_t keep,
                                          std::int32_t buckets, std::int32_t per_bucket) {
  std::vector<std::int32_t> survivors;
  for (std::int32_t b = 0; b < buckets; ++b) {
    std::vector<std::int32_t> members;
    for (auto i = static_cast<std::size_t>(b); i < s.size();
         i += static_cast<std::size_t>(buckets)) {
      members.push_back(static_cast<std::int32_t>(i));
    }
    for (std::int32_t const i : largest(s, members, per_bucket)) survivors.push_back(i);
  }
  return largest(s, survivors, keep);
}

}  // namespace recall_test
