// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows of scenarios in which every two levels of every two fields meet, and most of every three.

#pragma once

#include <support/seed.hpp>

#include <fuzz/scenario.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fuzz {

struct covering_row {
  std::size_t instance;
  fuzz::scenario scenario;
};

struct covering {
  std::vector<covering_row> rows;
  std::size_t pairwise_rows = 0;        ///< how many of them the pairs took
  std::size_t pairs = 0;                ///< that were met
  std::vector<std::string> impossible;  ///< pairs that no valid call has
  std::size_t triples = 0;              ///< that were met
};

/// At least all pairs of (instance, fields), then rows that add the most triples, `count` in all.
/// Greedy, with random rows as candidates; what made_valid changes counts as changed.
covering cover(std::vector<instance_traits> const& instances, std::size_t count, double max_work,
               support::random_source& random);

}  // namespace fuzz
