// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The loss of a lightning indexer and its gradients against fp64 and finite differences.

#include <tka/indexer_loss.hpp>
#include <tka/select_top_k.hpp>

#include <support/compare.hpp>

#include <doctest/doctest.h>
#include <training/training_case.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace training;
using support::bit_difference;
using tka::gradient_order;
using tka::saved_form;

using form = ragged<>;

/// What the indexer has, packed like a batch.
template <class IndexPrecision>
struct index_case {
  int heads, dim;
  std::vector<typename IndexPrecision::query_type> q;  ///< [heads][rows][dim]
  std::vector<typename IndexPrecision::key_type> k;    ///< [keys][dim]
  std::vector<float> weights;                          ///< [heads][rows]
  std::vector<float> d_loss;                           ///< [rows]
};

template <class IndexPrecision, class Precision>
index_case<IndexPrecision> make_index(batch<Precision> const& x, int heads, int dim,
                                      random_source& random) {
  auto const rows = static_cast<std::size_t>(x.rows());
  auto const n = static_cast<std::size_t>(heads) * rows;
  auto const width = static_cast<std::size_t>(dim);
  return {heads,
          dim,
          filled<typename IndexPrecision::query_type>(n * width, random, 0.5f),
          filled<typename IndexPrecision::key_type>(static_cast<std::size_t>(x.keys()) * width,
                                                    random, 0.5f),
          filled<float>(n, random, 0.5f),
          filled<float>(rows, random, 1.0f)};
}

struct outcome {
  std::vector<float> loss, q, k, weights;
};

std::string difference(outcome const& a, outcome const& b) {
  return support::first_of({bit_difference("loss", a.loss, b.loss), bit_difference("dq", a.q, b.q),
                            bit_difference("dk", a.k, b.k),
                            bit_difference("dw", a.weights, b.weights)});
}

template <class Precision, class IndexPrecision>
outcome run(batch<Precision> const& x, index_case<IndexPrecision> const& i,
            saved<Precision> const& s, tka::options o, manner const& how = {}) {
  constexpr auto call = tka::indexer_loss<Precision, IndexPrecision, tka::cpu, form>;
  if (how.form == saved_form::positions) o.budget = tka::top_k(s.plan.capacity);
  auto shape = x.shape();
  shape.index_heads = i.heads;
  shape.index_dim = i.dim;
  tka::plan p = call.plan(shape, o, {.threads = how.threads}, {how.form, how.order});
  if (how.splits > 0) {
    p = call.reschedule(
        p, {.workers = how.threads, .query_tile = how.query_tile, .splits = how.splits});
  }
  outcome g{std::vector<float>(i.d_loss.size(), poison), std::vector<float>(i.q.size(), poison),
            std::vector<float>(i.k.size(), poison), std::vector<float>(i.weights.size(), poison)};
  typename decltype(call)::tensors t{};
  t.q = view(x.q, x.rows(), x.qk_dim);
  t.k = view(x.k, x.keys(), x.qk_dim);
  t.lse = view(how.form == saved_form::visible ? s.lse_visible : s.lse, x.rows(), 1);
  t.index.q = view(i.q, x.rows(), i.dim);
  t.index.k = view(i.k, x.keys(), i.dim);
  t.index.weights = view(i.weights, x.rows(), 1);
  t.kv.cumulative = x.kv_begin.data();
  t.query.cumulative = x.q_begin.data();
  t.saved = s.selection(x.rows());
  t.sink_logits = x.sinks.empty() ? nullptr : x.sinks.data();
  t.d_loss = view(i.d_loss, x.rows(), 1);
  t.loss = view(g.loss, x.rows(), 1);
  t.d_index_q = view(g.q, x.rows(), i.dim);
  t.d_index_k = view(g.k, x.keys(), i.dim);
  t.d_weights = view(g.weights, x.rows(), 1);
  tka::throw_if(support::run(call, p, t));
  return g;
}

/// The indexer selects, and attention goes over its lists.
template <class Precision, class IndexPrecision>
saved<Precision> select_and_attend(batch<Precision> const& x, index_case<IndexPrecision> const& i,
                                   tka::options const& o) {
  using selection = tka::lightning_indexer<tka::exact_radix, IndexPrecision>;
  constexpr auto call = tka::sparse_attention<selection, Precision, tka::cpu, form>;
  auto shape = x.shape();
  shape.index_heads = i.heads;
  shape.index_dim = i.dim;
  saved<Precision> s{};
  s.plan = call.plan(shape, o, {.threads = 1});
  auto const rows = static_cast<std::size_t>(x.rows());
  s.o.resize(x.d_o.size());
  s.lse.resize(static_cast<std::size_t>(x.q_heads) * rows);
  s.positions.resize(rows * static_cast<std::size_t>(s.plan.capacity));
  s.count.resize(rows);
  s.threshold_score.resize(rows);
  s.threshold_position.resize(rows);
  typename decltype(call)::tensors t{};
  t.q = view(x.q, x.rows(), x.qk_dim);
  t.k = view(x.k, x.keys(), x.qk_dim);
  t.v = view(x.v, x.keys(), x.v_dim);
  t.o = view(s.o, x.rows(), x.v_dim);
  t.index.q = view(i.q, x.rows(), i.dim);
  t.index.k = view(i.k, x.keys(), i.dim);
  t.index.weights = view(i.weights, x.rows(), 1);
  t.kv.cumulative = x.kv_begin.data();
  t.query.cumulative = x.q_begin.data();
  t.lse = view(s.lse, x.rows(), 1);
  t.positions = view(s.positions, x.rows(), s.plan.capacity);
  t.count = view(s.count, x.rows(), 1);
  t.threshold_score = view(s.threshold_score, x.rows(), 1);
  t.threshold_position = view(s.threshold_position, x.rows(), 1);
  tka::throw_if(support::run(call, s.plan, t));
  return s;
}

/// The indexer in fp64.
struct index_reference {
  std::vector<double> q, k, weights;
};

/// All visible keys of each row, as lists.
saved<tka::fp32> everything(batch<tka::fp32> const& x) {
  saved<tka::fp32> s{};
  s.plan.scope_heads = 1;
  s.plan.capacity = x.shape().kv_len;
  for (int b = 0; b < x.sequences(); ++b) {
    auto const n = static_cast<std::size_t>(b);
    int const queries = x.q_begin[n + 1] - x.q_begin[n];
    int const keys = x.kv_begin[n + 1] - x.kv_begin[n];
    for (int i = 0; i < queries; ++i) {
      s.count.push_back(std::max(0, keys - queries + i + 1));
      for (int j = 0; j < s.plan.capacity; ++j) s.positions.push_back(j);
    }
  }
  return s;
}

/// The losses of all rows; `slopes`, if given, receives the gradients of their sum weighted by
/// `d_loss`. `lists`: the sets, the same for all heads.
template <class Precision, class IndexPrecision>
std::vector<double> losses_fp64(batch<Precision> const& x, index_case<IndexPrecision> const& i,
                                index_reference const& r, saved<Precision> const& lists,
                                tka::options const& o, index_reference* slopes) {
  reference const attention = reference_of(x);
  std::vector<double> out(static_cast<std::size_t>(x.rows()), 0.0);
  std::vector<std::vector<double>> target(out.size());
  each_row(x, lists, [&](int b, int row, int h, std::vector<int> const& list) {
    auto const a = attend_fp64(x, attention, o, b, row, h, list);
    auto& p = target[static_cast<std::size_t>(row)];
    p.resize(list.size());
    for (std::size_t n = 0; n < list.size(); ++n) p[n] += a.p[n];
  });
  for (int b = 0; b < x.sequences(); ++b) {
    int const first = x.kv_begin[static_cast<std::size_t>(b)];
    for (int row = x.q_begin[static_cast<std::size_t>(b)];
         row < x.q_begin[static_cast<std::size_t>(b) + 1]; ++row) {
      auto const list = lists.list(x.rows(), 0, row);
      auto p = target[static_cast<std::size_t>(row)];
      double total = 0.0;
      for (double const e : p) total += e;
      auto const product = [&](int h, int j) {
        double sum = 0.0;
        for (int d = 0; d < i.dim; ++d) {
          sum += r.q[static_cast<std::size_t>((h * x.rows() + row) * i.dim + d)] *
                 r.k[static_cast<std::size_t>((first + j) * i.dim + d)];
        }
        return sum;
      };
      std::vector<double> score(list.size());
      double sum = 0.0;
      for (std::size_t n = 0; n < list.size(); ++n) {
        for (int h = 0; h < i.heads; ++h) {
          score[n] += r.weights[static_cast<std::size_t>(h * x.rows() + row)] *
                      std::max(product(h, list[n]), 0.0);
        }
        sum += std::exp(score[n]);
      }
      double loss = 0.0;
      for (std::size_t n = 0; n < list.size(); ++n) {
        double const share = p[n] / total;
        if (share > 0.0) loss += share * (std::log(share) - score[n] + std::log(sum));
        if (slopes == nullptr) continue;
        double const change = static_cast<double>(i.d_loss[static_cast<std::size_t>(row)]) *
                              (std::exp(score[n]) / sum - share);
        for (int h = 0; h < i.heads; ++h) {
          auto const w = static_cast<std::size_t>(h * x.rows() + row);
          double const own = product(h, list[n]);
          if (own <= 0.0) continue;
          slopes->weights[w] += change * own;
          for (int d = 0; d < i.dim; ++d) {
            auto const at_q = w * static_cast<std::size_t>(i.dim) + static_cast<std::size_t>(d);
            auto const at_k = static_cast<std::size_t>((first + list[n]) * i.dim + d);
            slopes->q[at_q] += change * r.weights[w] * r.k[at_k];
            slopes->k[at_k] += change * r.weights[w] * r.q[at_q];
          }
        }
      }
      out[static_cast<std::size_t>(row)] = loss;
    }
  }
  return out;
}

template <class Precision, class IndexPrecision>
void check_against_fp64(batch<Precision> const& x, index_case<IndexPrecision> const& i,
                        saved<Precision> const& lists, tka::options const& o, outcome const& got) {
  index_reference const r{widened(i.q), widened(i.k), widened(i.weights)};
  index_reference slopes{std::vector<double>(r.q.size()), std::vector<double>(r.k.size()),
                         std::vector<double>(r.weights.size())};
  auto const losses = losses_fp64(x, i, r, lists, o, &slopes);
  CHECK(distance(got.loss, losses) <= 1e-5);
  CHECK(distance(got.q, slopes.q) <= 1e-5);
  CHECK(distance(got.k, slopes.k) <= 1e-5);
  CHECK(distance(got.weights, slopes.weights) <= 1e-5);
}

std::vector<length> const lengths{{5, 300}, {3, 1}, {0, 7}, {4, 0}, {7, 5}, {9, 140}};

TEST_CASE("[tka.indexer_loss] gradients are those of finite differences") {
  random_source random("indexer finite differences");
  INFO(random);
  auto const x = make_batch<tka::fp32>(4, 2, 16, 16, {{3, 9}, {2, 2}}, random);
  auto const i = make_index<tka::fp32>(x, 3, 16, random);
  tka::options const o{.budget = tka::top_k(4), .scale = 0.25f};
  auto const s = select_and_attend(x, i, o);
  index_reference r{widened(i.q), widened(i.k), widened(i.weights)};
  index_reference slopes{std::vector<double>(r.q.size()), std::vector<double>(r.k.size()),
                         std::vector<double>(r.weights.size())};
  (void)losses_fp64(x, i, r, s, o, &slopes);
  auto const value = [&] {
    auto const losses = losses_fp64(x, i, r, s, o, nullptr);
    double sum = 0.0;
    for (std::size_t n = 0; n < losses.size(); ++n) {
      sum += losses[n] * static_cast<double>(i.d_loss[n]);
    }
    return sum;
  };
  auto const check = [&](std::vector<double>& inputs, std::vector<double> const& wanted) {
    double const h = 1e-6;
    for (std::size_t n = 0; n < inputs.size(); ++n) {
      double const was = inputs[n];
      inputs[n] = was + h;
      double const above = value();
      inputs[n] = was - h;
      double const below = value();
      inputs[n] = was;
      double const slope = (above - below) / (2.0 * h);
      CHECK(std::abs(slope - wanted[n]) <= 1e-7);
    }
  };
  check(r.q, slopes.q);
  check(r.k, slopes.k);
  check(r.weights, slopes.weights);
  check_against_fp64(x, i, s, o, run(x, i, s, o));
}

TEST_CASE("[tka.indexer_loss] dense warm-up against fp64") {
  random_source random("indexer dense");
  INFO(random);
  auto x = make_batch<tka::fp32>(4, 2, 32, 16, lengths, random);
  auto const i = make_index<tka::fp32>(x, 5, 32, random);
  for (bool const sinks : {false, true}) {
    if (sinks) x.sinks = filled<float>(4, random, 1.0f);
    tka::options const o{.budget = tka::top_k(3), .scale = 0.2f, .soft_cap = 2.0f};
    auto const s = forward<tka::fp32, form>(x, o);
    auto const one = run(x, i, s, o, {.form = saved_form::visible});
    check_against_fp64(x, i, everything(x), o, one);
    for (float const loss : one.loss) CHECK(loss >= -1e-5f);
    CHECK(difference(one, run(x, i, s, o,
                              {.form = saved_form::visible, .threads = 4, .splits = 3})) == "");
  }
}

TEST_CASE("[tka.indexer_loss] sets that the indexer selected, by lists and by thresholds") {
  random_source random("indexer sets");
  INFO(random);
  auto const x = make_batch<tka::bf16>(6, 2, 32, 16, lengths, random);
  auto const i = make_index<tka::bf16>(x, 4, 16, random);
  tka::options o{.budget = tka::top_k(70), .scale = 0.2f};
  for (int const recent : {0, 4}) {
    o.recent = recent;
    o.sinks = recent / 2;
    auto const s = select_and_attend(x, i, o);
    auto const one = run(x, i, s, o);
    check_against_fp64(x, i, s, o, one);
    for (int const splits : {1, 2, 5}) {
      CAPTURE(splits);
      CHECK(difference(one, run(x, i, s, o,
                                {.form = saved_form::threshold,
                                 .threads = 3,
                                 .splits = splits,
                                 .query_tile = 2})) == "");
      auto const loose =
          run(x, i, s, o, {.order = gradient_order::unordered, .threads = 2, .splits = splits});
      CHECK(bit_difference("dq", one.q, loose.q) == "");
      CHECK(distance(loose.k, widened(one.k)) < 2e-6);
    }
    // Keys of no set.
    std::set<int> used;
    each_row(x, s, [&](int b, int, int, std::vector<int> const& list) {
      for (int const j : list) used.insert(x.kv_begin[static_cast<std::size_t>(b)] + j);
    });
    REQUIRE(static_cast<int>(used.size()) < x.keys());
    for (int token = 0; token < x.keys(); ++token) {
      for (int d = 0; d < i.dim && !used.contains(token); ++d) {
        CHECK(one.k[static_cast<std::size_t>(token * i.dim + d)] == 0.0f);
      }
    }
  }
}

TEST_CASE("[tka.indexer_loss] an indexer that says what attention says has no loss") {
  // One head of attention, one of the index, the same positive products: I = scale * score.
  random_source random("indexer agrees");
  INFO(random);
  auto x = make_batch<tka::fp32>(1, 1, 16, 16, {{4, 50}}, random);
  for (float& e : x.q) e = std::abs(e);
  for (float& e : x.k) e = std::abs(e);
  index_case<tka::fp32> i{
      1, 16, x.q, x.k, std::vector<float>(4, 0.25f), std::vector<float>(4, 1.0f)};
  tka::options const o{.budget = tka::top_k(50), .scale = 0.25f};
  auto const s = forward<tka::fp32, form>(x, o);
  auto const got = run(x, i, s, o, {.form = saved_form::visible});
  for (float const loss : got.loss) CHECK(std::abs(loss) < 1e-5f);
  CHECK(distance(got.q, std::vector<double>(got.q.size())) < 1e-3);
}

TEST_CASE("[tka.indexer_loss] [tka.nan] a NaN stays in its row") {
  random_source random("indexer NaN");
  INFO(random);
  auto const x = make_batch<tka::fp32>(2, 1, 16, 16, {{4, 40}}, random);
  auto i = make_index<tka::fp32>(x, 2, 16, random);
  tka::options const o{.budget = tka::top_k(6), .scale = 0.25f};
  auto const s = select_and_attend(x, i, o);
  auto const before = run(x, i, s, o);
  i.weights[1] = NAN;  // head 0 of row 1
  auto const got = run(x, i, s, o);
  for (std::size_t row = 0; row < 4; ++row) {
    CHECK(std::isnan(got.loss[row]) == (row == 1));
    if (row != 1) CHECK(got.loss[row] == before.loss[row]);
  }
}

TEST_CASE("[tka.indexer_loss] [tka.status] what cannot be done is said") {
  using tka::status;
  tka::shape const s{
      .q_heads = 2, .kv_heads = 1, .kv_len = 8, .qk_dim = 16, .index_heads = 2, .index_dim = 16};
  tka::options o{.budget = tka::top_k(4), .scale = 0.25f};
  constexpr auto call = tka::indexer_loss<tka::fp32, tka::fp32, tka::cpu>;
  CHECK(call.supported(s, o, {.threads = 1}) == status::ok);
  CHECK(call.supported(s, o, {.threads = 1}, {.form = saved_form::threshold}) == status::ok);
  constexpr auto fp8 = tka::indexer_loss<tka::fp32, tka::index_fp8, tka::cpu>;
  CHECK(fp8.supported(s, o, {.threads = 1}) == status::unsupported_call);
  tka::shape odd = s;
  odd.index_dim = 24;
  CHECK(call.supported(odd, o, {.threads = 1}) == status::unsupported_head_dim);
  odd.index_dim = 0;
  CHECK(call.supported(odd, o, {.threads = 1}) == status::invalid_shape);
  o.scale = 0.0f;
  CHECK(call.supported(s, o, {.threads = 1}) == status::invalid_scale);
  CHECK(call({}, {}, {}) == status::plan_mismatch);
}

}  // namespace
