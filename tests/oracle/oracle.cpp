// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The oracle's arithmetic: written to be read, not to be fast.

#include <oracle/oracle.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

namespace oracle {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::size_t row_of(int head, int len, int token, int dim) {
  return (static_cast<std::size_t>(head) * static_cast<std::size_t>(len) +
          static_cast<std::size_t>(token)) *
         static_cast<std::size_t>(dim);
}

double dot(float const* a, float const* b, int dim) {
  double total = 0.0;
  for (int d = 0; d < dim; ++d) total += static_cast<double>(a[d]) * static_cast<double>(b[d]);
  return total;
}

bool contains(std::vector<int> const& list, int x) {
  return std::find(list.begin(), list.end(), x) != list.end();
}

/// What a row may look at at all, leaving windows aside.
mask reach_of(rules const& r) {
  if (r.mask) return r.mask;
  return r.visibility == visibility::all ? masks::everything() : masks::causal();
}

mask_row row_of_mask(rules const& r, sequence const& s, int i) {
  bool const top_left = r.visibility == visibility::causal_top_left;
  return {s.number, i, s.position_of_query(i, top_left), s.q_len, s.kv_len};
}

double to_logit(rules const& r, double score) {
  double const x = r.scale * score;
  return r.soft_cap > 0.0 ? r.soft_cap * std::tanh(x / r.soft_cap) : x;
}

std::vector<double> logits_of(rules const& r, sequence const& s, int i, int q_head,
                              std::vector<int> const& at, std::vector<double> const& scores) {
  std::vector<double> out;
  for (std::size_t n = 0; n < at.size(); ++n) {
    double const bias = r.slopes.empty() ? 0.0
                                         : r.slopes[static_cast<std::size_t>(q_head)] *
                                               (at[n] - s.position_of_query(i));
    out.push_back(to_logit(r, scores[n]) + bias);
  }
  return out;
}

double log_sum_exp(std::vector<double> const& logits) {
  double largest = -infinity;
  for (double const x : logits) {
    if (std::isnan(x)) return x;
    largest = std::max(largest, x);
  }
  if (largest == -infinity) return -infinity;
  double sum = 0.0;
  for (double const x : logits) sum += std::exp(x - largest);
  return largest + std::log(sum);
}

/// The best `count` of candidates (ascending positions), in the order of selection.
std::vector<std::size_t> best(std::vector<double> const& scores, std::vector<std::size_t> from,
                              std::size_t count) {
  std::stable_sort(from.begin(), from.end(),
                   [&](std::size_t a, std::size_t b) { return is_larger(scores[a], scores[b]); });
  from.resize(std::min(from.size(), count));
  return from;
}

/// What the largest few of each bucket leave over.
std::vector<std::size_t> bucket_survivors(rules const& r, std::vector<int> const& positions,
                                          std::vector<double> const& scores,
                                          std::vector<std::size_t> const& from) {
  std::vector<std::vector<std::size_t>> in_bucket(static_cast<std::size_t>(r.buckets));
  for (std::size_t const c : from) {
    in_bucket[static_cast<std::size_t>(index_in_shard(r, positions[c]) % r.buckets)].push_back(c);
  }
  std::vector<std::size_t> out;
  for (auto& candidates : in_bucket) {
    auto const kept = best(scores, std::move(candidates), static_cast<std::size_t>(r.per_bucket));
    out.insert(out.end(), kept.begin(), kept.end());
  }
  std::sort(out.begin(), out.end());
  return out;
}

double index_score(rules const& r, sequence const& s, int i, int position) {
  double total = 0.0;
  float const* const key = s.index_k.data() + row_of(0, s.kv_len, position, r.index_dim);
  for (int h = 0; h < r.index_heads; ++h) {
    double const product =
        dot(s.index_q.data() + row_of(h, s.q_len, i, r.index_dim), key, r.index_dim);
    double const positive = product < 0.0 ? 0.0 : product;  // NaN stays
    total += static_cast<double>(s.index_weight[row_of(h, s.q_len, i, 1)]) * positive;
  }
  return total * static_cast<double>(s.index_k_scale[static_cast<std::size_t>(position)]);
}

/// q . k and, where asked for, what the slope adds to it.
std::vector<double> biased_scores(rules const& r, sequence const& s, int i, int q_head,
                                  std::vector<int> const& at) {
  auto out = dot_scores(r, s, i, q_head, at);
  if (r.slopes.empty() || !r.slopes_select) return out;
  for (std::size_t n = 0; n < at.size(); ++n) {
    out[n] +=
        r.slopes[static_cast<std::size_t>(q_head)] * (at[n] - s.position_of_query(i)) / r.scale;
  }
  return out;
}

/// One score from the scores of a group's heads.
std::vector<double> combine_heads(rules const& r, sequence const& s, int i, int kv_head,
                                  std::vector<int> const& at) {
  std::vector<double> out(at.size(), 0.0);
  for (int g = 0; g < r.group(); ++g) {
    int const head = kv_head * r.group() + g;
    auto const own = r.combine == combine::softmax_sum ? dot_scores(r, s, i, head, at)
                                                       : biased_scores(r, s, i, head, at);
    double lse = 0.0;
    std::vector<double> logits;
    if (r.combine == combine::softmax_sum) {
      auto const scored = scored_positions(r, s, i);
      logits = logits_of(r, s, i, head, scored, dot_scores(r, s, i, head, scored));
      lse = log_sum_exp(logits);
      logits = logits_of(r, s, i, head, at, own);
    }
    for (std::size_t n = 0; n < at.size(); ++n) {
      switch (r.combine) {
        case combine::max:
          if (g == 0 || is_larger(own[n], out[n])) out[n] = own[n];
          break;
        case combine::sum: out[n] += own[n]; break;
        case combine::softmax_sum: out[n] += std::exp(logits[n] - lse); break;
      }
    }
  }
  return out;
}

}  // namespace

bool is_larger(double a, double b) {
  if (std::isnan(b)) return false;
  return std::isnan(a) || a > b;
}

bool at_or_before(double score, int position, threshold const& limit) {
  if (is_larger(score, limit.score)) return true;
  return !is_larger(limit.score, score) && position <= limit.position;
}

std::vector<int> visible_positions(rules const& r, sequence const& s, int i) {
  mask const reach = reach_of(r);
  mask_row const row = row_of_mask(r, s, i);
  std::vector<int> reachable;
  for (int j = 0; j < s.kv_len; ++j) {
    if (reach(row, j)) reachable.push_back(j);
  }
  if (r.visibility != visibility::sliding_window) return reachable;
  // What is forced is also visible: the first and the last of what can be reached.
  mask const window = masks::window(r.window);
  std::vector<int> out;
  auto const reached = static_cast<std::int64_t>(reachable.size());
  for (std::int64_t n = 0; n < reached; ++n) {
    int const j = reachable[static_cast<std::size_t>(n)];
    if (window(row, j) || n < r.sinks || n >= reached - r.recent) out.push_back(j);
  }
  return out;
}

bool is_here(rules const& r, sequence const& s, int position) {
  if (position / r.shard_block % r.shard_count != r.shard_index) return false;
  return s.missing.empty() || s.missing[static_cast<std::size_t>(position)] == 0;
}

std::vector<int> scored_positions(rules const& r, sequence const& s, int i) {
  std::vector<int> out;
  for (int const j : visible_positions(r, s, i)) {
    if (is_here(r, s, j)) out.push_back(j);
  }
  return out;
}

int index_in_shard(rules const& r, int position) {
  int const whole_rounds = position / (r.shard_block * r.shard_count);
  return whole_rounds * r.shard_block + position % r.shard_block;
}

namespace {

/// The budget of a row that sees `visible` keys.
int budget_of_visible(rules const& r, sequence const& s, std::size_t visible) {
  auto const capped = [&r](long long k) {
    return static_cast<int>(r.capacity >= 0 ? std::min<long long>(k, r.capacity) : k);
  };
  if (s.k_of_sequence >= 0) return capped(s.k_of_sequence);
  if (r.denominator == 0) return capped(r.k);
  auto const product = static_cast<long long>(visible) * r.numerator;
  long long share = product / r.denominator;
  if (product % r.denominator != 0) ++share;
  return capped(std::max<long long>(share, r.k_min));
}

std::vector<int> forced_of(rules const& r, std::vector<int> const& visible, int budget) {
  int left = budget;
  std::vector<int> out;
  for (auto it = visible.rbegin(); it != visible.rend(); ++it) {
    if (left == 0 || static_cast<int>(out.size()) == r.recent) break;
    out.push_back(*it);
    --left;
  }
  std::size_t const first_recent = visible.size() - out.size();
  for (std::size_t n = 0; n < first_recent && n < static_cast<std::size_t>(r.sinks); ++n) {
    if (left == 0) break;
    out.push_back(visible[n]);
    --left;
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

int budget_of(rules const& r, sequence const& s, int i) {
  return budget_of_visible(r, s, visible_positions(r, s, i).size());
}

std::vector<int> forced_positions(rules const& r, sequence const& s, int i) {
  auto const visible = visible_positions(r, s, i);
  return forced_of(r, visible, budget_of_visible(r, s, visible.size()));
}

std::vector<double> dot_scores(rules const& r, sequence const& s, int i, int q_head,
                               std::vector<int> const& at) {
  std::vector<double> out;
  float const* const q = s.q.data() + row_of(q_head, s.q_len, i, r.qk_dim);
  for (int const j : at) {
    out.push_back(dot(q, s.k.data() + row_of(q_head / r.group(), s.kv_len, j, r.qk_dim), r.qk_dim));
  }
  return out;
}

std::vector<double> selection_scores(rules const& r, sequence const& s, int i, int h,
                                     std::vector<int> const& at) {
  if (r.score == score::query_key) {
    return r.scope == scope::query_head ? biased_scores(r, s, i, h, at)
                                        : combine_heads(r, s, i, h, at);
  }
  std::vector<double> out;
  for (int const j : at) {
    out.push_back(
        r.score == score::index
            ? index_score(r, s, i, j)
            : static_cast<double>(
                  s.stored[row_of(h, s.q_len, i, s.kv_len) + static_cast<std::size_t>(j)]));
  }
  return out;
}

selection select(rules const& r, sequence const& s, int i, int h, threshold const* limit) {
  auto const all_visible = visible_positions(r, s, i);
  int left = budget_of_visible(r, s, all_visible.size());
  std::vector<int> visible, forced;
  for (int const j : all_visible) {
    if (is_here(r, s, j)) visible.push_back(j);
  }
  for (int const j : forced_of(r, all_visible, left)) {
    if (is_here(r, s, j)) forced.push_back(j);
  }
  auto const scores = selection_scores(r, s, i, h, visible);

  std::vector<char> kept(visible.size(), 0);
  std::vector<std::size_t> rest;
  std::size_t next_forced = 0;
  for (std::size_t n = 0; n < visible.size(); ++n) {
    bool const is_forced = next_forced < forced.size() && forced[next_forced] == visible[n];
    if (is_forced) ++next_forced;
    if (scores[n] == -infinity) continue;
    if (is_forced) {
      kept[n] = 1;
      --left;
    } else if (!limit || at_or_before(scores[n], visible[n], *limit)) {
      rest.push_back(n);
    }
  }
  if (r.buckets > 0) rest = bucket_survivors(r, visible, scores, rest);

  selection out;
  for (std::size_t const n : best(scores, rest, static_cast<std::size_t>(std::max(left, 0)))) {
    kept[n] = 1;
    out.threshold_score = scores[n];
    out.threshold_position = visible[n];
  }
  for (std::size_t n = 0; n < visible.size(); ++n) {
    if (kept[n] == 0) continue;
    out.positions.push_back(visible[n]);
    out.scores.push_back(scores[n]);
  }
  return out;
}

std::vector<int> set_of_threshold(rules const& r, sequence const& s, int i, int h,
                                  double threshold_score, int threshold_position) {
  auto const visible = scored_positions(r, s, i);
  auto const scores = selection_scores(r, s, i, h, visible);
  auto const forced = forced_positions(r, s, i);
  std::vector<int> out;
  for (std::size_t n = 0; n < visible.size(); ++n) {
    if (scores[n] == -infinity) continue;
    if (contains(forced, visible[n]) ||
        at_or_before(scores[n], visible[n], {threshold_score, threshold_position})) {
      out.push_back(visible[n]);
    }
  }
  return out;
}

attention attend(rules const& r, sequence const& s, int i, int q_head,
                 std::vector<int> const& positions) {
  auto const dim = static_cast<std::size_t>(r.v_dim);
  attention out;
  out.o.assign(dim, 0.0);
  out.magnitude.assign(dim, 0.0);
  auto const logits = logits_of(r, s, i, q_head, positions, dot_scores(r, s, i, q_head, positions));
  out.lse = log_sum_exp(logits);
  if (out.lse == -infinity) return out;

  double denominator_lse = out.lse;
  if (!r.sink_logits.empty()) {
    denominator_lse = log_sum_exp({out.lse, r.sink_logits[static_cast<std::size_t>(q_head)]});
  }
  for (std::size_t n = 0; n < positions.size(); ++n) {
    double const p = std::exp(logits[n] - denominator_lse);
    double const own = std::exp(logits[n] - out.lse);
    if (own > 0.0) out.entropy -= own * (logits[n] - out.lse);
    if (std::isnan(own)) out.entropy = own;
    float const* const v = s.v.data() + row_of(q_head / r.group(), s.kv_len, positions[n], r.v_dim);
    for (std::size_t d = 0; d < dim; ++d) {
      out.o[d] += p * static_cast<double>(v[d]);
      out.magnitude[d] += p * std::abs(static_cast<double>(v[d]));
    }
  }
  return out;
}

}  // namespace oracle
