// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A scenario with its contents: the oracle's problem, and the same in memory.

#pragma once

#include <tka/options.hpp>
#include <tka/shape.hpp>
#include <tka/status.hpp>

#include <oracle/oracle.hpp>
#include <support/seed.hpp>

#include <fuzz/memory.hpp>
#include <fuzz/scenario.hpp>

#include <cstdint>
#include <vector>

namespace fuzz {

/// Scales of a cache: which extents have their own.
struct scales {
  support::buffer<float> values{};
  bool given = false;
  std::int64_t batch = 0, head = 0, token = 0, block = 0;
  float& at(tka::location where, std::int64_t h, std::int64_t block_number) {
    return values
        .data()[where.outer * batch + h * head + where.token * token + block_number * block];
  }
};

/// Lists of attend_selected: [sequence][scope head * q_len + token].
using given_lists = std::vector<std::vector<std::vector<std::int32_t>>>;

struct prepared {
  prepared(scenario const& s, instance_traits const& t);

  scenario what;
  instance_traits traits;
  oracle::problem problem;
  tka::shape shape{};
  tka::options options{};

  space queries, keys;
  std::vector<std::vector<int>> local{};  ///< [sequence] positions of the keys of this shard

  memory q, k, v, o, index_q, index_k, index_k_scales, index_weights, stored;
  memory lse, entropy, lse_visible, entropy_visible, retained_mass;
  memory positions, count, scores, threshold_score, threshold_position;
  memory given_score, given_position;
  memory row_begin, row_end, drafts;  ///< drafts: words of 64 bits as two elements
  support::array<std::int32_t> mask_first;
  scales k_scales, v_scales;
  support::array<std::int32_t> q_cumulative, q_positions, kv_cumulative, kv_lengths, table,
      table_begin, budgets;
  support::array<float> sink_logits;
  support::array<std::uint32_t> error;
  std::int64_t table_stride = 0;
  std::int32_t pages = 0;
  given_lists lists;
  std::vector<std::vector<oracle::threshold>> limits{};  ///< [sequence][scope head * q_len + token]
  std::uint32_t must_report = 0;  ///< bits of the error word that the data asks for
  std::uint32_t may_report = 0;

  /// Memory that the outputs of a plan need.
  void make_outputs(std::int32_t capacity);
  /// The list of a selection, and its count, for attend_selected.
  void make_lists(std::int32_t capacity);
  /// Every tensor that a call may not change.
  std::uint64_t digest_of_inputs() const;

 private:
  void draw_lengths(support::random_source& random);
  void draw_rules(support::random_source& random);
  void place_queries(support::random_source& random);
  void place_keys(support::random_source& random);
  void place_pages(support::random_source& random);
  void fill(support::random_source& random);
  void put_specials(support::random_source& random);
  void put_cache(support::random_source& random);
  void put_index();
  void draw_masks(support::random_source& random);
  void draw_budgets(support::random_source& random);
  void draw_thresholds(support::random_source& random);
  std::int64_t grain(element e) const { return 16 / size_of(e); }
};

}  // namespace fuzz
