// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Distributions of scores. All are hidden in the same keys, side by side, and the query picks one,
/// so that no point needs keys of its own.

#pragma once

#include "point.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace bench {

inline constexpr std::int64_t ramp_length = 32768;
inline constexpr int recorded_rows = 8;  ///< two layers of the example's model, four heads each
inline constexpr std::int64_t recorded_length = 8192;

/// Where in a key each distribution stands: two components whose sum is the wanted number nearly
/// to fp32, and for those that are drawn one such pair for each query head of a group.
namespace component {
inline constexpr int uniform = 0;
inline constexpr int sparse = 2 * group;
inline constexpr int normal = 4 * group;
inline constexpr int one = 6 * group;
inline constexpr int ramp = one + 1;
inline constexpr int recorded = ramp + 2;
inline constexpr int end = recorded + 2 * recorded_rows;
}  // namespace component
static_assert(component::end <= head_dim);

/// Scores q.k * scale of the last token of a text, in steps: low + step * (level + something
/// between 0 and 1). Sequences longer than this repeat it; see bench/README.md.
struct recorded_row {
  float low;
  float step;
  std::uint8_t levels[recorded_length];
};
extern std::array<recorded_row, recorded_rows> const recorded_scores;

/// Makes a query of normal numbers one whose scores are distributed as `kind` says.
template <class T>
void shape_query(std::string_view kind, T* row, std::int64_t head) {
  int const own = 2 * static_cast<int>(head % group);
  auto const take = [&](int first, int count, float factor) {
    for (int i = 0; i < count; ++i) row[first + i] = T(factor);
  };
  if (kind == "normal") {
    take(component::one, component::end - component::one, 0.0f);  // no pattern along the sequence
    return;
  }
  take(0, head_dim, 0.0f);
  if (kind == "uniform") take(component::uniform + own, 2, 8.0f);
  if (kind == "zeros_94") take(component::sparse + own, 2, 8.0f);
  if (kind == "narrow") take(component::normal + own, 2, 0x1p-10f);
  if (kind == "narrow" || kind == "all_equal") take(component::one, 1, 8.0f);
  if (kind == "ascending") take(component::ramp, 2, 8.0f);
  if (kind == "descending") take(component::ramp, 2, -8.0f);
  if (kind == "recorded") {
    int const layer = static_cast<int>(head / group % 2);
    take(component::recorded + 2 * group * layer + own, 2, 1.0f / scale);
  }
}

}  // namespace bench
