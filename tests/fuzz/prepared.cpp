// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Lengths, rules, and where the tokens of queries and keys lie.

#include <fuzz/prepared.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <utility>

namespace fuzz {

namespace {

constexpr int int_max = std::numeric_limits<std::int32_t>::max();

template <class List>
void shuffle(List& list, support::random_source& random) {
  for (std::size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[random.below(i)]);
}

std::vector<int> lengths(std::int64_t count, std::int64_t longest, std::int64_t how,
                         support::random_source& random) {
  std::vector<int> out;
  for (std::int64_t b = 0; b < count; ++b) {
    std::int64_t const own = how == 0               ? longest
                             : how == 1             ? random.between(0, longest)
                             : random.below(2) == 0 ? 0
                                                    : longest;
    out.push_back(static_cast<int>(own));
  }
  if (how != 0) out[random.below(out.size())] = static_cast<int>(longest);
  return out;
}

}  // namespace

prepared::prepared(scenario const& s, instance_traits const& t) : what(s), traits(t) {
  support::random_source random("scenario", static_cast<std::uint64_t>(s.seed));
  draw_lengths(random);
  draw_rules(random);
  place_queries(random);
  place_keys(random);
  draw_masks(random);
  fill(random);
  put_cache(random);
  put_index();
  if (t.task != task::lists) draw_budgets(random);
  if (s.given_threshold != 0) draw_thresholds(random);
  error.assign(1, 0u);
}

void prepared::draw_lengths(support::random_source& random) {
  auto const q_len = lengths(what.batch, what.q_len, what.q_lengths, random);
  auto const kv_len = lengths(what.batch, what.kv_len, what.kv_lengths, random);
  for (std::size_t b = 0; b < q_len.size(); ++b) {
    oracle::sequence one;
    one.number = static_cast<int>(b);
    one.q_len = q_len[b];
    one.kv_len = kv_len[b];
    kv_lengths.push_back(kv_len[b]);
    if (what.broken_lengths != 0 && random.below(2) == 0) {
      // Its rows are then those of a sequence without keys.
      int const bound = static_cast<int>(what.kv_len + what.kv_bound);
      kv_lengths.back() = random.below(2) == 0 ? bound + 1 : -1;
      one.kv_len = 0;
      may_report |= static_cast<std::uint32_t>(tka::data_error::length_out_of_bounds);
      if (one.q_len > 0) must_report |= may_report;
    }
    for (int i = 0; i < one.q_len && what.positions != 0; ++i) {
      int const implied = one.kv_len - one.q_len + i;
      one.query_position.push_back(
          what.positions == 1 ? implied : static_cast<int>(random.between(-3, one.kv_len + 5)));
    }
    problem.sequences.push_back(std::move(one));
  }
  shape.batch = static_cast<std::int32_t>(what.batch);
  shape.kv_heads = static_cast<std::int32_t>(what.kv_heads);
  shape.q_heads = static_cast<std::int32_t>(what.kv_heads * what.group);
  shape.q_len = static_cast<std::int32_t>(what.q_len + what.q_bound);
  shape.kv_len = static_cast<std::int32_t>(what.kv_len + what.kv_bound);
  shape.qk_dim = static_cast<std::int32_t>(what.qk_dim);
  shape.v_dim = static_cast<std::int32_t>(what.v_dim);
  if (traits.keys == keys::paged) shape.page_size = static_cast<std::int32_t>(what.page_size);
  if (traits.score == oracle::score::index) {
    shape.index_heads = static_cast<std::int32_t>(what.index_heads);
    shape.index_dim = static_cast<std::int32_t>(what.index_dim);
  }
}

void prepared::draw_rules(support::random_source& random) {
  auto const narrow = [](std::int64_t x) { return static_cast<int>(x); };
  auto& r = problem.rules;
  r.q_heads = shape.q_heads;
  r.kv_heads = shape.kv_heads;
  r.qk_dim = shape.qk_dim;
  r.v_dim = shape.v_dim;
  r.index_heads = shape.index_heads;
  r.index_dim = shape.index_dim;
  r.score = traits.score;
  r.scope = traits.scope;
  r.combine = static_cast<oracle::combine>(what.combine);
  r.visibility = traits.visibility;
  r.window = narrow(what.window);
  r.sinks = narrow(what.sinks);
  r.recent = narrow(what.recent);
  r.k = narrow(what.k);
  r.numerator = narrow(what.numerator);
  r.denominator = narrow(what.denominator);
  r.k_min = narrow(what.k_min);
  // A power of two near 1 / sqrt(dim): exact in fp32.
  r.scale = std::ldexp(1.0, static_cast<int>(random.between(-1, 1)) -
                                static_cast<int>(std::log2(static_cast<double>(r.qk_dim)) / 2.0));
  r.soft_cap = static_cast<double>(what.soft_cap);
  for (int h = 0; h < r.q_heads && what.sink_logits != 0; ++h) {
    double const logit = 0.5 * static_cast<double>(random.between(-16, 16));
    r.sink_logits.push_back(logit);
    sink_logits.push_back(static_cast<float>(logit));
  }
  r.shard_block = narrow(what.shard_block);
  r.shard_index = narrow(what.shard_index);
  r.shard_count = narrow(what.shard_count);

  options.budget = {.k = r.denominator > 0 ? 0 : r.k,
                    .numerator = r.numerator,
                    .denominator = r.denominator,
                    .k_min = r.k_min};
  // A selection alone needs no scale unless heads are combined by softmax.
  bool const no_scale = traits.task == task::select && what.combine != 2 && what.seed % 2 == 0;
  options.scale = no_scale ? 0.0f : static_cast<float>(r.scale);
  options.soft_cap = static_cast<float>(r.soft_cap);
  options.sinks = r.sinks;
  options.recent = r.recent;
  options.window = r.window;
  options.combine = static_cast<tka::combine>(what.combine);
  options.metrics = what.visible_metrics != 0 ? tka::metrics::visible : tka::metrics::selected;
  options.shard = {r.shard_block, r.shard_index, r.shard_count};
  if (traits.bucketed && what.buckets > 0) {
    r.buckets = narrow(what.buckets);
    r.per_bucket = narrow(what.per_bucket);
  }
  if (what.scratch_limit > 0) options.scratch_limit = what.scratch_limit;
  std::int64_t most = r.k;
  if (r.denominator > 0) {
    most = (std::int64_t{r.numerator} * shape.kv_len + r.denominator - 1) / r.denominator;
    most = std::max<std::int64_t>(most, r.k_min);
  }
  if (traits.task != task::lists) {
    r.capacity = static_cast<int>(std::min<std::int64_t>(most, shape.kv_len));
  }
}

void prepared::place_queries(support::random_source&) {
  std::int64_t token = traits.ragged_queries ? 2 : 0;  // rows of no sequence lie in front
  if (traits.ragged_queries && what.positions != 0) q_positions.assign(2, int_max);
  for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
    auto const& s = problem.sequences[b];
    q_cumulative.push_back(static_cast<std::int32_t>(token));
    std::vector<tka::location> at;
    for (int i = 0; i < s.q_len; ++i) {
      at.push_back(traits.ragged_queries ? tka::location{0, token + i}
                                         : tka::location{static_cast<std::int64_t>(b), i});
    }
    if (traits.ragged_queries) token += s.q_len;
    queries.at.push_back(std::move(at));
    if (what.positions == 0) continue;
    q_positions.insert(q_positions.end(), s.query_position.begin(), s.query_position.end());
    for (std::int64_t n = 0; n < what.positions_gap; ++n) q_positions.push_back(-1000);
  }
  q_cumulative.push_back(static_cast<std::int32_t>(token));
  if (what.positions != 0 && q_positions.empty()) q_positions.push_back(0);
  queries.outer_count = traits.ragged_queries ? 1 : what.batch;
  queries.token_count = traits.ragged_queries ? token + 1 : what.q_len + 1;
}

void prepared::place_keys(support::random_source& random) {
  for (auto& s : problem.sequences) {
    std::vector<int> own;
    for (int j = 0; j < s.kv_len; ++j) {
      if (oracle::is_here(problem.rules, s, j)) own.push_back(j);
    }
    local.push_back(std::move(own));
  }
  if (traits.keys == keys::paged) {
    place_pages(random);
    return;
  }
  bool const ragged = traits.keys == keys::ragged;
  std::int64_t token = ragged ? 3 : 0;
  std::int64_t longest = 0;
  for (std::size_t b = 0; b < local.size(); ++b) {
    kv_cumulative.push_back(static_cast<std::int32_t>(token));
    std::vector<tka::location> at;
    auto const own_keys = static_cast<std::int64_t>(local[b].size());
    for (std::int64_t i = 0; i < own_keys; ++i) {
      at.push_back(ragged ? tka::location{0, token + i}
                          : tka::location{static_cast<std::int64_t>(b), i});
    }
    if (ragged) token += own_keys;
    longest = std::max(longest, own_keys);
    keys.at.push_back(std::move(at));
  }
  kv_cumulative.push_back(static_cast<std::int32_t>(token));
  keys.outer_count = ragged ? 1 : what.batch;
  keys.token_count = (ragged ? token : longest) + 2;
}

/// Pages in a random order, some of no sequence; what the table says beside them is garbage.
void prepared::place_pages(support::random_source& random) {
  std::int64_t const size = what.page_size;
  std::vector<std::int64_t> pages_of;
  for (auto const& own : local) {
    pages_of.push_back((static_cast<std::int64_t>(own.size()) + size - 1) / size);
  }
  std::int64_t const needed = std::accumulate(pages_of.begin(), pages_of.end(), std::int64_t{0});
  std::vector<std::int32_t> free_pages(static_cast<std::size_t>(needed + 3));
  std::iota(free_pages.begin(), free_pages.end(), 0);
  shuffle(free_pages, random);
  pages = static_cast<std::int32_t>(needed + 3);

  std::vector<std::size_t> sequence_order(local.size());
  std::iota(sequence_order.begin(), sequence_order.end(), 0u);
  std::vector<std::int64_t> begin(local.size());
  if (what.table == 2) {
    shuffle(sequence_order, random);
    std::int64_t next = 1;
    for (std::size_t const b : sequence_order) {
      begin[b] = next;
      next += pages_of[b] + static_cast<std::int64_t>(random.below(3));
    }
    table.assign(static_cast<std::size_t>(next + 1), -7);
    for (auto const at : begin) table_begin.push_back(static_cast<std::int32_t>(at));
  } else {
    table_stride = std::max<std::int64_t>(1, *std::max_element(pages_of.begin(), pages_of.end()));
    if (what.table == 1) table_stride += 3;
    for (std::size_t b = 0; b < begin.size(); ++b) {
      begin[b] = static_cast<std::int64_t>(b) * table_stride;
    }
    table.assign(static_cast<std::size_t>(table_stride) * local.size(), -7);
  }
  for (std::size_t b = 0; b < local.size(); ++b) {
    auto& s = problem.sequences[b];
    std::vector<tka::location> at;
    for (std::int64_t page = 0; page < pages_of[b]; ++page) {
      table[static_cast<std::size_t>(begin[b] + page)] = free_pages.back();
      free_pages.pop_back();
    }
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(local[b].size()); ++i) {
      at.push_back({table[static_cast<std::size_t>(begin[b] + i / size)], i % size});
    }
    keys.at.push_back(std::move(at));
    for (std::int64_t lost = 0; lost < what.lost_pages && pages_of[b] > 0; ++lost) {
      auto const page =
          static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(pages_of[b])));
      std::int32_t const wrong[] = {-1, pages, int_max};
      table[static_cast<std::size_t>(begin[b] + page)] = wrong[random.below(3)];
      s.missing.resize(static_cast<std::size_t>(s.kv_len), 0);
      for (std::size_t i = static_cast<std::size_t>(page * size);
           i < std::min(local[b].size(), static_cast<std::size_t>((page + 1) * size)); ++i) {
        s.missing[static_cast<std::size_t>(local[b][i])] = 1;
      }
    }
  }
  keys.outer_count = pages;
  keys.token_count = size;
}

}  // namespace fuzz
