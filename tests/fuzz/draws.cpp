// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Budgets, thresholds and lists of rows, what they must report, and memory for outputs.

#include <tka/status.hpp>

#include <fuzz/prepared.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace fuzz {

namespace {

constexpr int int_max = std::numeric_limits<std::int32_t>::max();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::uint32_t bit(tka::data_error e) { return static_cast<std::uint32_t>(e); }

template <class List>
void shuffle(List& list, support::random_source& random) {
  for (std::size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[random.below(i)]);
}

}  // namespace

void prepared::draw_masks(support::random_source& random) {
  auto& r = problem.rules;
  if (what.mask_first == 0 && what.mask_rows == 0 && what.draft_keys == 0) return;
  oracle::mask all = oracle::masks::causal();
  if (r.visibility == oracle::visibility::all) {
    all = oracle::masks::everything();
  }
  auto const anywhere = [&random](oracle::sequence const& s) {
    return static_cast<int>(random.between(-2, s.kv_len + 2));
  };
  if (what.mask_first != 0) {
    for (auto const& s : problem.sequences) mask_first.push_back(anywhere(s) / 2);
    all = oracle::masks::both(all, oracle::masks::from({mask_first.begin(), mask_first.end()}));
  }
  auto const rows = [this](memory& m, std::int64_t dim) {
    m = memory(element::fp32, queries, 1, dim, what.row_order, 2);
  };
  if ((what.mask_rows & 1) != 0) rows(row_begin, 1);
  if ((what.mask_rows & 2) != 0) rows(row_end, 1);
  if (what.draft_keys != 0) rows(drafts, 2);
  std::vector<std::vector<std::pair<int, int>>> interval;
  std::vector<std::vector<std::uint64_t>> words;
  for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
    auto const& s = problem.sequences[b];
    interval.emplace_back();
    words.emplace_back();
    for (int i = 0; i < s.q_len; ++i) {
      tka::location const at = queries.at[b][static_cast<std::size_t>(i)];
      std::pair<int, int> row{-int_max, int_max};
      if (row_begin) *row_begin.words(at, 0) = row.first = anywhere(s) / 2;
      if (row_end) *row_end.words(at, 0) = row.second = anywhere(s);
      interval.back().push_back(row);
      words.back().push_back(random());
      if (drafts) std::memcpy(drafts.at(at, 0), &words.back().back(), 8);
    }
  }
  if (what.mask_rows != 0) {
    all = oracle::masks::both(all, oracle::masks::interval(std::move(interval)));
  }
  if (what.draft_keys != 0) {
    auto const last = static_cast<int>(what.draft_keys);
    all = oracle::masks::both(all, oracle::masks::tree(last, std::move(words)));
  }
  r.mask = all;
}

void prepared::draw_budgets(support::random_source& random) {
  auto const& r = problem.rules;
  std::int64_t const planned = std::max<std::int64_t>(options.budget.k, r.capacity);
  for (auto& s : problem.sequences) {
    // Lost pages are met where a row that keeps keys may see one.
    bool visible_lost = false;
    if (what.own_budgets != 0) {
      std::int64_t own = random.between(0, r.capacity);
      bool const breaks = what.own_budgets >= 3 && random.below(2) == 0;
      if (what.own_budgets == 2) own = random.between(shape.kv_len + 1, options.budget.k);
      if (breaks && what.own_budgets == 3) {
        own = random.below(2) == 0 ? int_max : planned + random.between(1, 1000);
      }
      if (breaks && what.own_budgets == 4) own = -random.between(1, 1000);
      budgets.push_back(static_cast<std::int32_t>(own));
      s.k_of_sequence = static_cast<int>(std::max<std::int64_t>(own, 0));
      if (breaks) may_report |= bit(tka::data_error::budget_out_of_range);
      if (breaks && s.q_len > 0) must_report |= bit(tka::data_error::budget_out_of_range);
    }
    for (int i = 0; i < s.q_len && !s.missing.empty(); ++i) {
      if (oracle::budget_of(r, s, i) == 0) continue;
      for (int const j : oracle::visible_positions(r, s, i)) {
        visible_lost = visible_lost || s.missing[static_cast<std::size_t>(j)] != 0;
      }
    }
    if (visible_lost) must_report |= bit(tka::data_error::page_out_of_range);
    if (!s.missing.empty()) may_report |= bit(tka::data_error::page_out_of_range);
  }
}

void prepared::draw_thresholds(support::random_source& random) {
  auto const& r = problem.rules;
  given_score = memory(element::fp32, queries, r.scope_heads(), 1, what.row_order, 1);
  given_position = memory(element::fp32, queries, r.scope_heads(), 1, what.row_order, 3);
  for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
    auto const& s = problem.sequences[b];
    limits.emplace_back();
    for (int h = 0; h < r.scope_heads(); ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        oracle::threshold limit{0.0, -1};
        auto const seen = oracle::scored_positions(r, s, i);
        if (what.given_threshold == 2) {
          double const ends[] = {nan, infinity, -infinity};
          limit = {ends[random.below(3)], random.below(2) == 0 ? -1 : int_max};
        } else if (!seen.empty()) {
          int const at = seen[random.below(seen.size())];
          limit = {oracle::selection_scores(r, s, i, h, {at})[0],
                   static_cast<int>(random.between(at - 1, at))};
        }
        float const score = static_cast<float>(limit.score);
        tka::location const where = queries.at[b][static_cast<std::size_t>(i)];
        given_score.put(where, h, &score, 1);
        *given_position.words(where, h) = limit.position;
        limits.back().push_back(limit);
      }
    }
  }
}

void prepared::make_lists(std::int32_t capacity) {
  support::random_source random("lists", static_cast<std::uint64_t>(what.seed) + 1);
  auto const& r = problem.rules;
  positions = memory(element::fp32, queries, r.scope_heads(), capacity, what.row_order, 1, 0x5a);
  count = memory(element::fp32, queries, r.scope_heads(), 1, what.row_order, 1, 0x5a);
  for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
    auto const& s = problem.sequences[b];
    lists.emplace_back();
    for (int h = 0; h < r.scope_heads(); ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        std::vector<std::int32_t> list(static_cast<std::size_t>(random.between(0, capacity)));
        bool const broken = what.lists == 2 && random.below(3) == 0;
        auto length = static_cast<std::int32_t>(list.size());
        if (broken && random.below(2) == 0) {
          length = -static_cast<std::int32_t>(random.between(1, 100));
          list.clear();
        } else if (broken) {
          length = capacity + static_cast<std::int32_t>(random.between(1, 100));
          list.resize(static_cast<std::size_t>(capacity));
        }
        for (auto& j : list) {
          bool const valid = what.lists == 0 && s.kv_len > 0;
          j = static_cast<std::int32_t>(valid ? random.between(0, s.kv_len - 1)
                                              : random.between(-3, s.kv_len + 3));
          if (what.lists == 0 && s.kv_len == 0) j = -1;
        }
        tka::location const where = queries.at[b][static_cast<std::size_t>(i)];
        std::copy(list.begin(), list.end(), positions.words(where, h));
        *count.words(where, h) = length;
        if (broken) must_report |= bit(tka::data_error::budget_out_of_range);
        std::vector<std::int32_t> met;
        for (auto const j : list) {
          if (j == -1) continue;
          if (j < 0 || j >= s.kv_len) {
            must_report |= bit(tka::data_error::position_out_of_range);
          } else if (oracle::is_here(r, s, j)) {
            met.push_back(j);
          } else if (j / r.shard_block % r.shard_count == r.shard_index) {
            must_report |= bit(tka::data_error::page_out_of_range);
          }
        }
        lists.back().push_back(std::move(met));
      }
    }
  }
  may_report |= must_report;
}

void prepared::make_outputs(std::int32_t capacity) {
  auto const& r = problem.rules;
  auto const poison = static_cast<unsigned char>(what.poison);
  bool const attends = traits.task != task::select;
  if (attends) {
    o = memory(traits.output, queries, r.q_heads, r.v_dim, what.o_order, grain(traits.output),
               poison);
  }
  auto const make = [&](memory& m, bool wanted, int heads, std::int64_t dim, std::int64_t odd) {
    if (wanted) m = memory(element::fp32, queries, heads, dim, what.row_order, odd, poison);
  };
  bool const metric = what.visible_metrics != 0;
  make(lse, attends && what.no_lse == 0, r.q_heads, 1, 1);
  make(entropy, attends && what.no_entropy == 0, r.q_heads, 1, 3);
  make(lse_visible, metric && what.no_lse_visible == 0, r.q_heads, 1, 1);
  make(entropy_visible, metric && what.no_entropy_visible == 0, r.q_heads, 1, 5);
  make(retained_mass, metric && what.no_retained_mass == 0, r.q_heads, 1, 1);
  if (traits.task == task::lists) return;
  make(positions, what.no_positions == 0, r.scope_heads(), capacity, 1);
  make(count, what.no_count == 0, r.scope_heads(), 1, 3);
  make(scores, what.no_scores == 0, r.scope_heads(), capacity, 7);
  make(threshold_score, what.no_threshold_score == 0, r.scope_heads(), 1, 1);
  make(threshold_position, what.no_threshold_position == 0, r.scope_heads(), 1, 5);
}

std::uint64_t prepared::digest_of_inputs() const {
  std::uint64_t all = 0;
  auto const add = [&all](std::uint64_t x) { all = all * 0x9e3779b97f4a7c15u + x; };
  for (memory const* m : {&q, &k, &v, &index_q, &index_k, &index_k_scales, &index_weights, &stored,
                          &given_score, &given_position, &row_begin, &row_end, &drafts}) {
    add(m->digest());
  }
  if (traits.task == task::lists) {
    add(positions.digest());
    add(count.digest());
  }
  for (auto const* list :
       {&q_cumulative, &q_positions, &kv_cumulative, &kv_lengths, &table, &table_begin, &budgets}) {
    for (auto const x : *list) add(static_cast<std::uint64_t>(static_cast<std::uint32_t>(x)));
  }
  return all;
}

}  // namespace fuzz
