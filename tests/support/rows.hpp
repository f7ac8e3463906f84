// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One row (a query token with all its heads) of one run against one row of another, bit for bit.

#pragma once

#include <support/compare.hpp>
#include <support/run.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace support {

/// Which row of which run.
struct row_ref {
  results const& of;
  std::size_t sequence;
  int q_len;  ///< of that sequence
  int token;
};

/// Everything that the row gave, as one list of words; capacities may differ between runs.
inline std::vector<std::uint32_t> row_bits(row_ref const& r) {
  std::vector<std::uint32_t> out;
  auto const& s = r.of.sequences[r.sequence];
  auto const word = [&](auto x) { out.push_back(std::bit_cast<std::uint32_t>(x)); };
  auto const& shape = r.of.plan.shape;
  for (int h = 0; h < shape.q_heads; ++h) {
    auto const row = static_cast<std::size_t>(h * r.q_len + r.token);
    auto const dim = static_cast<std::size_t>(shape.v_dim);
    for (auto const* list :
         {&s.lse, &s.entropy, &s.lse_visible, &s.entropy_visible, &s.retained_mass}) {
      if (!list->empty()) word((*list)[row]);
    }
    for (std::size_t d = 0; d < dim && !s.o.empty(); ++d) word(s.o[row * dim + d]);
  }
  for (int h = 0; h < r.of.plan.scope_heads && !s.count.empty(); ++h) {
    auto const row = static_cast<std::size_t>(h * r.q_len + r.token);
    word(s.count[row]);
    for (int const j : r.of.positions_of(r.sequence, r.q_len, h, r.token)) word(j);
    for (float const x : r.of.scores_of(r.sequence, r.q_len, h, r.token)) word(x);
    if (s.threshold_position.empty()) continue;
    word(s.threshold_position[row]);
    word(s.threshold_score[row]);
  }
  return out;
}

inline std::string row_difference(row_ref const& a, row_ref const& b) {
  return bit_difference("word of the row", row_bits(a), row_bits(b));
}

}  // namespace support
