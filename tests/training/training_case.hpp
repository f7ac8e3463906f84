// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A ragged batch to train on: packed arrays, the library's forward and backward pass over them,
/// and both in fp64 over frozen sets.

#pragma once

#include <tka/attend_selected.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>
#include <tka/sparse_attention_backward.hpp>

#include <support/backend.hpp>
#include <support/seed.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace training {

using support::random_source;

constexpr float poison = 12345.0f;

template <class T>
std::vector<T> filled(std::size_t count, random_source& random, float size, bool integers = false) {
  std::vector<T> out(count);
  for (T& x : out) {
    x = static_cast<T>(integers ? static_cast<float>(random.between(-2, 2))
                                : size * static_cast<float>(random.normal()));
  }
  return out;
}

/// All packed [head][token of all sequences][dim].
template <class Precision>
struct batch {
  using query_type = typename Precision::query_type;
  using output_type = typename Precision::output_type;

  int q_heads, kv_heads, qk_dim, v_dim;
  std::vector<std::int32_t> q_begin, kv_begin;  ///< cumulative
  std::vector<query_type> q;
  std::vector<typename Precision::key_type> k;
  std::vector<typename Precision::value_type> v;
  std::vector<output_type> d_o;
  std::vector<float> sinks;  ///< [q_heads], or empty
  std::vector<std::int32_t> k_of_sequence;
  std::vector<std::int32_t> first_keys;  ///< [sequences] left padding, or empty

  int group() const { return q_heads / kv_heads; }
  int rows() const { return q_begin.back(); }
  int keys() const { return kv_begin.back(); }
  int sequences() const { return static_cast<int>(q_begin.size()) - 1; }

  tka::shape shape() const {
    tka::shape s{.batch = sequences(),
                 .q_heads = q_heads,
                 .kv_heads = kv_heads,
                 .q_len = 0,
                 .kv_len = 0,
                 .qk_dim = qk_dim,
                 .v_dim = v_dim};
    for (int b = 0; b < sequences(); ++b) {
      auto const n = static_cast<std::size_t>(b);
      s.q_len = std::max(s.q_len, q_begin[n + 1] - q_begin[n]);
      s.kv_len = std::max(s.kv_len, kv_begin[n + 1] - kv_begin[n]);
    }
    return s;
  }
};

struct length {
  int q_len, kv_len;
};

template <class Precision>
batch<Precision> make_batch(int q_heads, int kv_heads, int qk_dim, int v_dim,
                            std::vector<length> const& lengths, random_source& random,
                            bool integers = false) {
  batch<Precision> x{q_heads, kv_heads, qk_dim, v_dim, {0}, {0}, {}, {}, {}, {}, {}, {}, {}};
  for (length const& n : lengths) {
    x.q_begin.push_back(x.q_begin.back() + n.q_len);
    x.kv_begin.push_back(x.kv_begin.back() + n.kv_len);
  }
  auto const size = [](int heads, int tokens, int dim) {
    return static_cast<std::size_t>(heads) * static_cast<std::size_t>(tokens) *
           static_cast<std::size_t>(dim);
  };
  x.q = filled<typename Precision::query_type>(size(q_heads, x.rows(), qk_dim), random, 1.0f,
                                               integers);
  x.k = filled<typename Precision::key_type>(size(kv_heads, x.keys(), qk_dim), random, 1.0f,
                                             integers);
  x.v = filled<typename Precision::value_type>(size(kv_heads, x.keys(), v_dim), random, 1.0f);
  x.d_o = filled<typename Precision::output_type>(size(q_heads, x.rows(), v_dim), random, 1.0f);
  return x;
}

template <class T>
tka::tensor_view<T> view(std::vector<T>& x, int tokens, int dim) {
  return {x.data(), 0, std::int64_t{tokens} * dim, dim};
}
template <class T>
tka::tensor_view<T const> view(std::vector<T> const& x, int tokens, int dim) {
  return {x.data(), 0, std::int64_t{tokens} * dim, dim};
}

/// What a forward pass left.
template <class Precision>
struct saved {
  tka::plan plan{};
  std::vector<typename Precision::output_type> o;
  std::vector<float> lse, lse_visible;
  std::vector<std::int32_t> positions, count, threshold_position;
  std::vector<float> threshold_score;

  std::vector<int> list(int rows, int scope_head, int row) const {
    auto const n = static_cast<std::size_t>(scope_head * rows + row);
    auto const begin = positions.begin() + static_cast<std::ptrdiff_t>(n) * plan.capacity;
    return {begin, begin + count[n]};
  }
  tka::saved_selection selection(int rows) const {
    tka::saved_selection s{};
    s.positions = view(positions, rows, plan.capacity);
    s.count = view(count, rows, 1);
    s.threshold_score = view(threshold_score, rows, 1);
    s.threshold_position = view(threshold_position, rows, 1);
    return s;
  }
};

template <class... Parts>
using ragged = tka::form<tka::query::ragged, tka::kv::ragged, Parts...>;

template <class Precision, class Form>
saved<Precision> forward(batch<Precision> const& x, tka::options o) {
  constexpr auto call = tka::sparse_attention<tka::exact_radix, Precision, support::backend, Form>;
  o.metrics = tka::metrics::visible;
  saved<Precision> r{};
  r.plan = call.plan(x.shape(), o, {.threads = 1});
  auto const rows = static_cast<std::size_t>(x.rows());
  auto const heads = static_cast<std::size_t>(x.q_heads);
  auto const lists = static_cast<std::size_t>(r.plan.scope_heads) * rows;
  r.o.resize(heads * rows * static_cast<std::size_t>(x.v_dim));
  r.lse.resize(heads * rows);
  r.lse_visible.resize(heads * rows);
  r.positions.resize(lists * static_cast<std::size_t>(r.plan.capacity));
  r.count.resize(lists);
  r.threshold_score.resize(lists);
  r.threshold_position.resize(lists);
  typename decltype(call)::tensors t{};
  t.q = view(x.q, x.rows(), x.qk_dim);
  t.k = view(x.k, x.keys(), x.qk_dim);
  t.v = view(x.v, x.keys(), x.v_dim);
  t.o = view(r.o, x.rows(), x.v_dim);
  t.kv.cumulative = x.kv_begin.data();
  t.query.cumulative = x.q_begin.data();
  t.k_per_sequence = x.k_of_sequence.empty() ? nullptr : x.k_of_sequence.data();
  t.mask.first = x.first_keys.empty() ? nullptr : x.first_keys.data();
  t.sink_logits = x.sinks.empty() ? nullptr : x.sinks.data();
  t.lse = view(r.lse, x.rows(), 1);
  t.lse_visible = view(r.lse_visible, x.rows(), 1);
  t.positions = view(r.positions, x.rows(), r.plan.capacity);
  t.count = view(r.count, x.rows(), 1);
  t.threshold_score = view(r.threshold_score, x.rows(), 1);
  t.threshold_position = view(r.threshold_position, x.rows(), 1);
  tka::throw_if(support::run(call, r.plan, t));
  return r;
}

template <class Gradients>
struct gradients {
  std::vector<typename Gradients::query_type> q;
  std::vector<typename Gradients::key_type> k;
  std::vector<typename Gradients::value_type> v;
  std::vector<float> sinks;
  std::uint32_t error = 0;
};

/// How a backward pass is run.
struct manner {
  tka::saved_form form = tka::saved_form::positions;
  tka::gradient_order order = tka::gradient_order::by_row;
  int threads = 1;
  int splits = 0;  ///< > 0: so many
  int query_tile = 64;
};

template <class Precision, class Form, class Gradients = tka::fp32>
gradients<Gradients> backward(batch<Precision> const& x, saved<Precision> const& s, tka::options o,
                              manner const& how = {}) {
  constexpr auto call =
      tka::sparse_attention_backward<Precision, support::backend, Form, Gradients>;
  o.metrics = tka::metrics::selected;
  if (how.form == tka::saved_form::positions) o.budget = tka::top_k(s.plan.capacity);
  tka::plan p = call.plan(x.shape(), o, {.threads = how.threads}, {how.form, how.order});
  if (how.splits > 0) {
    p = call.reschedule(
        p, {.workers = how.threads, .query_tile = how.query_tile, .splits = how.splits});
  }
  gradients<Gradients> g{};
  g.q.assign(x.q.size(), static_cast<typename Gradients::query_type>(poison));
  g.k.assign(x.k.size(), static_cast<typename Gradients::key_type>(poison));
  g.v.assign(x.v.size(), static_cast<typename Gradients::value_type>(poison));
  g.sinks.assign(x.sinks.size(), poison);
  typename decltype(call)::tensors t{};
  t.q = view(x.q, x.rows(), x.qk_dim);
  t.k = view(x.k, x.keys(), x.qk_dim);
  t.v = view(x.v, x.keys(), x.v_dim);
  t.o = view(s.o, x.rows(), x.v_dim);
  t.d_o = view(x.d_o, x.rows(), x.v_dim);
  t.lse = view(how.form == tka::saved_form::visible ? s.lse_visible : s.lse, x.rows(), 1);
  t.kv.cumulative = x.kv_begin.data();
  t.query.cumulative = x.q_begin.data();
  t.saved = s.selection(x.rows());
  t.k_per_sequence = x.k_of_sequence.empty() ? nullptr : x.k_of_sequence.data();
  t.mask.first = x.first_keys.empty() ? nullptr : x.first_keys.data();
  t.sink_logits = x.sinks.empty() ? nullptr : x.sinks.data();
  t.dq = view(g.q, x.rows(), x.qk_dim);
  t.dk = view(g.k, x.keys(), x.qk_dim);
  t.dv = view(g.v, x.keys(), x.v_dim);
  t.d_sink_logits = x.sinks.empty() ? nullptr : g.sinks.data();
  t.error = &g.error;
  // Data that broke a rule is passed over; the word says what it was.
  if (tka::status const st = support::run(call, p, t); st != tka::status::data_error) {
    tka::throw_if(st);
  }
  return g;
}

/// The batch in fp64.
struct reference {
  std::vector<double> q, k, v, d_o, sinks;
};

template <class T>
std::vector<double> widened(std::vector<T> const& x) {
  std::vector<double> out;
  for (T const& e : x) out.push_back(static_cast<double>(static_cast<float>(e)));
  return out;
}

/// Calls visit(sequence, row of all, query head, list) for every row and head; lists are positions
/// within the sequence.
template <class Precision, class Visit>
void each_row(batch<Precision> const& x, saved<Precision> const& s, Visit&& visit) {
  for (int b = 0; b < x.sequences(); ++b) {
    for (int row = x.q_begin[static_cast<std::size_t>(b)];
         row < x.q_begin[static_cast<std::size_t>(b) + 1]; ++row) {
      for (int h = 0; h < x.q_heads; ++h) {
        int const scope = s.plan.scope_heads == x.q_heads    ? h
                          : s.plan.scope_heads == x.kv_heads ? h / x.group()
                                                             : 0;
        visit(b, row, h, s.list(x.rows(), scope, row));
      }
    }
  }
}

/// One head of one row in fp64.
struct fp64_row {
  std::vector<double> p;      ///< of each entry, the sink in the denominator
  std::vector<double> slope;  ///< d logit / d score
  double p_sink = 0.0;
};

template <class Precision>
fp64_row attend_fp64(batch<Precision> const& x, reference const& r, tka::options const& o, int b,
                     int row, int h, std::vector<int> const& list) {
  fp64_row out;
  std::vector<double> logit;
  double largest = -std::numeric_limits<double>::infinity();
  for (int const j : list) {
    double score = 0.0;
    for (int d = 0; d < x.qk_dim; ++d) {
      score += r.q[static_cast<std::size_t>((h * x.rows() + row) * x.qk_dim + d)] *
               r.k[static_cast<std::size_t>(
                   ((h / x.group()) * x.keys() + x.kv_begin[static_cast<std::size_t>(b)] + j) *
                       x.qk_dim +
                   d)];
    }
    double const scaled = static_cast<double>(o.scale) * score;
    double const cap = static_cast<double>(o.soft_cap);
    logit.push_back(cap > 0.0 ? cap * std::tanh(scaled / cap) : scaled);
    double const bent = cap > 0.0 ? std::tanh(scaled / cap) : 0.0;
    out.slope.push_back(static_cast<double>(o.scale) * (1.0 - bent * bent));
    largest = std::max(largest, logit.back());
  }
  double sum = 0.0;
  for (double const l : logit) sum += std::exp(l - largest);
  double const sink =
      r.sinks.empty() ? 0.0 : std::exp(r.sinks[static_cast<std::size_t>(h)] - largest);
  for (double const l : logit) out.p.push_back(std::exp(l - largest) / (sum + sink));
  out.p_sink = sink / (sum + sink);
  return out;
}

/// sum of d_o * o, with the sets of `s`.
template <class Precision>
double value_fp64(batch<Precision> const& x, reference const& r, saved<Precision> const& s,
                  tka::options const& o) {
  double total = 0.0;
  each_row(x, s, [&](int b, int row, int h, std::vector<int> const& list) {
    if (list.empty()) return;
    auto const a = attend_fp64(x, r, o, b, row, h, list);
    for (std::size_t n = 0; n < list.size(); ++n) {
      for (int d = 0; d < x.v_dim; ++d) {
        total += a.p[n] * r.d_o[static_cast<std::size_t>((h * x.rows() + row) * x.v_dim + d)] *
                 r.v[static_cast<std::size_t>(((h / x.group()) * x.keys() +
                                               x.kv_begin[static_cast<std::size_t>(b)] + list[n]) *
                                                  x.v_dim +
                                              d)];
      }
    }
  });
  return total;
}

/// Its gradients. `given_o`: O as the library rounded it, in place of the exact one; or empty.
template <class Precision>
reference gradients_fp64(batch<Precision> const& x, reference const& r, saved<Precision> const& s,
                         tka::options const& o, std::vector<double> const& given_o = {}) {
  reference g{std::vector<double>(r.q.size()),
              std::vector<double>(r.k.size()),
              std::vector<double>(r.v.size()),
              {},
              std::vector<double>(r.sinks.size())};
  each_row(x, s, [&](int b, int row, int h, std::vector<int> const& list) {
    if (list.empty()) return;
    auto const a = attend_fp64(x, r, o, b, row, h, list);
    auto const at = [&](int token, int dim, int d) {
      return static_cast<std::size_t>(((h / x.group()) * x.keys() + token) * dim + d);
    };
    auto const of_row = [&](int dim, int d) {
      return static_cast<std::size_t>((h * x.rows() + row) * dim + d);
    };
    std::vector<double> dp(list.size());
    double delta = 0.0;
    for (std::size_t n = 0; n < list.size(); ++n) {
      int const token = x.kv_begin[static_cast<std::size_t>(b)] + list[n];
      for (int d = 0; d < x.v_dim; ++d) {
        dp[n] += r.d_o[of_row(x.v_dim, d)] * r.v[at(token, x.v_dim, d)];
      }
      delta += a.p[n] * dp[n];
    }
    for (int d = 0; !given_o.empty() && d < x.v_dim; ++d) {
      delta = (d == 0 ? 0.0 : delta) + r.d_o[of_row(x.v_dim, d)] * given_o[of_row(x.v_dim, d)];
    }
    for (std::size_t n = 0; n < list.size(); ++n) {
      int const token = x.kv_begin[static_cast<std::size_t>(b)] + list[n];
      double const ds = a.p[n] * (dp[n] - delta) * a.slope[n];
      for (int d = 0; d < x.qk_dim; ++d) {
        g.q[of_row(x.qk_dim, d)] += ds * r.k[at(token, x.qk_dim, d)];
        g.k[at(token, x.qk_dim, d)] += ds * r.q[of_row(x.qk_dim, d)];
      }
      for (int d = 0; d < x.v_dim; ++d) {
        g.v[at(token, x.v_dim, d)] += a.p[n] * r.d_o[of_row(x.v_dim, d)];
      }
    }
    if (!r.sinks.empty()) g.sinks[static_cast<std::size_t>(h)] -= a.p_sink * delta;
  });
  return g;
}

template <class Precision>
reference reference_of(batch<Precision> const& x) {
  return {widened(x.q), widened(x.k), widened(x.v), widened(x.d_o), widened(x.sinks)};
}

/// The largest difference over the largest value, or over 0.01 where all are smaller than that:
/// sums of terms about 1 that cancel have errors of those terms.
template <class T>
double distance(std::vector<T> const& got, std::vector<double> const& wanted) {
  double largest = 0.01;
  double off = got.size() == wanted.size() ? 0.0 : std::numeric_limits<double>::infinity();
  for (std::size_t n = 0; n < got.size() && n < wanted.size(); ++n) {
    largest = std::max(largest, std::abs(wanted[n]));
    double const own = std::abs(static_cast<double>(static_cast<float>(got[n])) - wanted[n]);
    off = own <= off || std::isnan(off) ? off : own;  // a NaN stays
  }
  return off / largest;
}

}  // namespace training
