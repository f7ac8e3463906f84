// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a call selected: how many rows it reads, its recall and the mass that it keeps.

#pragma once

#include "point.hpp"

#include <tka/metrics/recall.hpp>
#include <tka/metrics/retained_mass.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bench {

using counters = std::map<std::string, double>;

/// The outputs of one call that say what it selected.
struct outcome {
  std::vector<float> lse, lse_visible;
  std::vector<std::int32_t> positions, count;
  std::int32_t capacity = 0, scope_heads = 0;
};

/// Rows of K or V that some head of a group selects, over all groups.
inline double selected_rows(outcome const& s) {
  std::size_t const shared = static_cast<std::size_t>(std::max(1, s.scope_heads / kv_heads));
  double rows = 0.0;
  std::vector<std::int32_t> all;
  for (std::size_t first = 0; first < s.count.size(); first += shared) {
    all.clear();
    for (std::size_t row = first; row < first + shared; ++row) {
      auto const* const from = s.positions.data() + row * static_cast<std::size_t>(s.capacity);
      all.insert(all.end(), from, from + s.count[row]);
    }
    std::sort(all.begin(), all.end());
    rows += static_cast<double>(std::unique(all.begin(), all.end()) - all.begin());
  }
  return s.scope_heads == 1 ? rows * kv_heads : rows;  // one selection reads all key heads
}

inline double mean_recall(outcome const& a, outcome const& exact) {
  double sum = 0.0;
  for (std::size_t row = 0; row < a.count.size(); ++row) {
    std::size_t const at = row * static_cast<std::size_t>(a.capacity);
    sum += tka::recall(a.positions.data() + at, a.count[row], exact.positions.data() + at,
                       exact.count[row]);
  }
  return sum / static_cast<double>(a.count.size());
}

inline double mean_mass(outcome const& a) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.lse.size(); ++i) {
    sum += tka::retained_mass(double{a.lse[i]}, double{a.lse_visible[i]});
  }
  return sum / static_cast<double>(a.lse.size());
}

/// Why a selection cannot be right, or null: as many keys as were asked for, ascending, in range.
inline char const* malformed(outcome const& s, point const& p) {
  if (s.count.empty()) return "the call failed";
  for (std::size_t row = 0; row < s.count.size(); ++row) {
    if (s.count[row] != std::min(p.k, p.kv_len)) return "it selected another number of keys";
    std::int32_t before = -1;
    for (std::int32_t i = 0; i < s.count[row]; ++i) {
      std::int32_t const at =
          s.positions[row * static_cast<std::size_t>(s.capacity) + static_cast<std::size_t>(i)];
      if (at <= before || at >= p.kv_len) return "its positions are not ascending or out of range";
      before = at;
    }
  }
  return nullptr;
}

/// Bytes and products of one call that selected `found`. `indexed`: scores come from an indexer.
inline counters work_of(point const& p, outcome const& found, double row_bytes, bool indexed) {
  double const keys = double(p.batch) * p.kv_len;
  double const rows = selected_rows(found);
  double const attended = double(p.batch) * q_heads * found.capacity;
  counters c;
  c["v_bytes"] = rows * row_bytes;
  if (indexed) {
    c["k_bytes"] = keys * head_dim + rows * row_bytes;  // index keys, and the keys selected
    c["multiply_adds"] = (keys * index_heads + 2 * attended) * head_dim;
  } else {
    c["k_bytes"] = keys * kv_heads * row_bytes;
    c["multiply_adds"] = (keys * q_heads + attended) * head_dim;
  }
  return c;
}

}  // namespace bench
