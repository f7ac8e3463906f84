// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a call must compute, in fp64 and dense arrays. It knows nothing of the library.

#pragma once

#include <cstdint>
#include <vector>

namespace oracle {

enum class score { query_key, index, stored };
enum class scope { query_head, kv_group, all_heads };
enum class combine { max, sum, softmax_sum };
enum class visibility { all, causal, sliding_window };

/// The numbers of a call, and what is the same for all its sequences.
struct rules {
  int q_heads = 1;
  int kv_heads = 1;
  int qk_dim = 16;
  int v_dim = 16;
  int index_heads = 0;
  int index_dim = 0;

  oracle::score score = oracle::score::query_key;
  oracle::scope scope = oracle::scope::query_head;
  oracle::combine combine = oracle::combine::max;
  oracle::visibility visibility = oracle::visibility::causal;
  int window = 0;
  int sinks = 0;
  int recent = 0;

  int k = 0;  ///< the budget, unless denominator > 0
  int numerator = 0;
  int denominator = 0;
  int k_min = 0;
  int buckets = 0;  ///< > 0: keep per_bucket of each bucket first (position mod buckets)
  int per_bucket = 0;

  double scale = 1.0;
  double soft_cap = 0.0;
  std::vector<double> sink_logits{};  ///< [q_heads] or empty

  int group() const { return q_heads / kv_heads; }
  int scope_heads() const {
    return scope == oracle::scope::query_head ? q_heads
           : scope == oracle::scope::kv_group ? kv_heads
                                              : 1;
  }
};

/// One sequence, packed in the order of the brackets.
struct sequence {
  int q_len = 0;
  int kv_len = 0;
  std::vector<float> q{};              ///< [q_heads][q_len][qk_dim]
  std::vector<float> k{};              ///< [kv_heads][kv_len][qk_dim]
  std::vector<float> v{};              ///< [kv_heads][kv_len][v_dim]
  std::vector<float> index_q{};        ///< [index_heads][q_len][index_dim]
  std::vector<float> index_k{};        ///< [kv_len][index_dim]
  std::vector<float> index_k_scale{};  ///< [kv_len]
  std::vector<float> index_weight{};   ///< [index_heads][q_len]
  std::vector<float> stored{};         ///< [scope_heads][q_len][kv_len]
  std::vector<int> query_position{};   ///< [q_len]; empty: the last ones of the sequence
  int k_of_sequence = -1;              ///< >= 0: the budget of this sequence

  int position_of_query(int i) const {
    return query_position.empty() ? kv_len - q_len + i
                                  : query_position[static_cast<std::size_t>(i)];
  }
};

/// A case: what every backend can be run from.
struct problem {
  oracle::rules rules;
  std::vector<sequence> sequences;
};

/// True where a score `a` at a smaller position stands before `b`: larger first, NaN above all.
bool is_larger(double a, double b);

/// Positions that query token i may see, ascending.
std::vector<int> visible_positions(rules const& r, sequence const& s, int i);

/// How many keys query token i keeps at most.
int budget_of(rules const& r, sequence const& s, int i);

/// Positions that must be kept if they can be, within the budget, ascending.
std::vector<int> forced_positions(rules const& r, sequence const& s, int i);

/// q . k of one query head for each position of `at`.
std::vector<double> dot_scores(rules const& r, sequence const& s, int i, int q_head,
                               std::vector<int> const& at);

/// The scores that selection head `h` orders by, for each position of `at`.
std::vector<double> selection_scores(rules const& r, sequence const& s, int i, int h,
                                     std::vector<int> const& at);

struct selection {
  std::vector<int> positions{};  ///< ascending
  std::vector<double> scores{};
  /// The last key in the order that is kept without being forced; position -1: there is none.
  double threshold_score = 0.0;
  int threshold_position = -1;
};

/// What query token i keeps for selection head h.
selection select(rules const& r, sequence const& s, int i, int h);

/// The set that a threshold names: forced keys, and visible ones at or before it in the order.
std::vector<int> set_of_threshold(rules const& r, sequence const& s, int i, int h,
                                  double threshold_score, int threshold_position);

struct attention {
  std::vector<double> o{};          ///< [v_dim]
  std::vector<double> magnitude{};  ///< [v_dim] sum p |v|
  double lse = 0.0;
  double entropy = 0.0;
};

/// Attention of one query head over `positions` (any order, duplicates count twice).
attention attend(rules const& r, sequence const& s, int i, int q_head,
                 std::vector<int> const& positions);

}  // namespace oracle
