// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The oracle's arithmetic: written to be read, not to be fast.

#include <oracle/oracle.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

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

/// Positions before which the query may look at all, leaving windows aside.
std::vector<int> reachable_positions(rules const& r, sequence const& s, int i) {
  std::vector<int> out;
  for (int j = 0; j < s.kv_len; ++j) {
    bool const all = r.visibility == visibility::all && s.position_of_query(i) >= 0;
    if (all || j <= s.position_of_query(i)) out.push_back(j);
  }
  return out;
}

double to_logit(rules const& r, double score) {
  double const x = r.scale * score;
  return r.soft_cap > 0.0 ? r.soft_cap * std::tanh(x / r.soft_cap) : x;
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
  std::vector<std::size_t> out;
  for (int bucket = 0; bucket < r.buckets; ++bucket) {
    std::vector<std::size_t> in_bucket;
    for (std::size_t const c : from) {
      if (positions[c] % r.buckets == bucket) in_bucket.push_back(c);
    }
    auto const kept = best(scores, in_bucket, static_cast<std::size_t>(r.per_bucket));
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

/// One score from the scores of a group's heads.
std::vector<double> combine_heads(rules const& r, sequence const& s, int i, int kv_head,
                                  std::vector<int> const& at) {
  std::vector<double> out(at.size(), 0.0);
  for (int g = 0; g < r.group(); ++g) {
    int const head = kv_head * r.group() + g;
    auto const own = dot_scores(r, s, i, head, at);
    double lse = 0.0;
    if (r.combine == combine::softmax_sum) {
      std::vector<double> logits;
      for (double const x : dot_scores(r, s, i, head, visible_positions(r, s, i))) {
        logits.push_back(to_logit(r, x));
      }
      lse = log_sum_exp(logits);
    }
    for (std::size_t n = 0; n < at.size(); ++n) {
      switch (r.combine) {
        case combine::max:
          if (g == 0 || is_larger(own[n], out[n])) out[n] = own[n];
          break;
        case combine::sum: out[n] += own[n]; break;
        case combine::softmax_sum: out[n] += std::exp(to_logit(r, own[n]) - lse); break;
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

std::vector<int> visible_positions(rules const& r, sequence const& s, int i) {
  auto const reachable = reachable_positions(r, s, i);
  if (r.visibility != visibility::sliding_window) return reachable;
  std::vector<int> out;
  int const reached = static_cast<int>(reachable.size());
  for (int const j : reachable) {
    bool const in_window = j > s.position_of_query(i) - r.window;
    bool const sink = j < r.sinks;
    bool const recent = j >= reached - r.recent;
    if (in_window || sink || recent) out.push_back(j);
  }
  return out;
}

int budget_of(rules const& r, sequence const& s, int i) {
  if (s.k_of_sequence >= 0) return s.k_of_sequence;
  if (r.denominator == 0) return r.k;
  auto const visible = static_cast<long long>(visible_positions(r, s, i).size());
  long long share = visible * r.numerator / r.denominator;
  if (visible * r.numerator % r.denominator != 0) ++share;
  return static_cast<int>(std::max<long long>(share, r.k_min));
}

std::vector<int> forced_positions(rules const& r, sequence const& s, int i) {
  auto const visible = visible_positions(r, s, i);
  int left = budget_of(r, s, i);
  std::vector<int> out;
  for (auto it = visible.rbegin(); it != visible.rend(); ++it) {
    if (left == 0 || static_cast<int>(out.size()) == r.recent) break;
    out.push_back(*it);
    --left;
  }
  for (int const j : visible) {
    if (left == 0 || j >= r.sinks) break;
    if (contains(out, j)) continue;
    out.push_back(j);
    --left;
  }
  std::sort(out.begin(), out.end());
  return out;
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
    return r.scope == scope::query_head ? dot_scores(r, s, i, h, at)
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

selection select(rules const& r, sequence const& s, int i, int h) {
  auto const visible = visible_positions(r, s, i);
  auto const scores = selection_scores(r, s, i, h, visible);
  auto const forced = forced_positions(r, s, i);

  std::vector<char> kept(visible.size(), 0);
  std::vector<std::size_t> rest;
  int left = budget_of(r, s, i);
  std::size_t next_forced = 0;
  for (std::size_t n = 0; n < visible.size(); ++n) {
    bool const is_forced = next_forced < forced.size() && forced[next_forced] == visible[n];
    if (is_forced) ++next_forced;
    if (scores[n] == -infinity) continue;
    if (is_forced) {
      kept[n] = 1;
      --left;
    } else {
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
  auto const visible = visible_positions(r, s, i);
  auto const scores = selection_scores(r, s, i, h, visible);
  auto const forced = forced_positions(r, s, i);
  std::vector<int> out;
  for (std::size_t n = 0; n < visible.size(); ++n) {
    if (scores[n] == -infinity) continue;
    bool const before = is_larger(scores[n], threshold_score);
    bool const level = !before && !is_larger(threshold_score, scores[n]);
    if (contains(forced, visible[n]) || before || (level && visible[n] <= threshold_position)) {
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
  std::vector<double> logits;
  for (double const x : dot_scores(r, s, i, q_head, positions)) logits.push_back(to_logit(r, x));
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
