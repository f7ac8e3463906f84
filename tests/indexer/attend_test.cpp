// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// All heads of all groups attend over the one set that the indexer selects.

#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#include <doctest/doctest.h>
#include <indexer/index_oracle.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace {

using namespace index_test;

constexpr std::int32_t capacity = 37;

/// o and lse of one head over given keys, in fp64.
struct row_result {
  std::vector<double> o;
  double lse;
};

row_result attend_plainly(float const* q, std::vector<float> const& k, std::vector<float> const& v,
                          std::vector<std::int32_t> const& keys, std::int32_t kv_heads,
                          std::int32_t head, std::int32_t qk_dim, std::int32_t v_dim,
                          double scale) {
  std::vector<double> x;
  for (std::int32_t const key : keys) {
    double dot = 0.0;
    for (std::int32_t d = 0; d < qk_dim; ++d) {
      dot += static_cast<double>(q[d]) *
             static_cast<double>(k[static_cast<std::size_t>((key * kv_heads + head) * qk_dim + d)]);
    }
    x.push_back(dot * scale);
  }
  double const top = *std::max_element(x.begin(), x.end());
  double sum = 0.0;
  row_result r{std::vector<double>(static_cast<std::size_t>(v_dim)), 0.0};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    double const p = std::exp(x[i] - top);
    sum += p;
    for (std::int32_t d = 0; d < v_dim; ++d) {
      r.o[static_cast<std::size_t>(d)] +=
          p *
          static_cast<double>(v[static_cast<std::size_t>((keys[i] * kv_heads + head) * v_dim + d)]);
    }
  }
  for (double& y : r.o) y /= sum;
  r.lse = top + std::log(sum);
  return r;
}

template <class Selector>
void every_head_attends(std::int32_t q_heads, std::int32_t kv_heads, int threads,
                        tka::bucketing const& buckets) {
  support::random_source random("attend");
  INFO(random);
  std::int32_t const qk_dim = 48;
  std::int32_t const v_dim = 80;
  extents const e{1, 3, 300, 4, 32};
  numbers const n = numbers::integers(e, random);
  std::vector<float> q(static_cast<std::size_t>(q_heads * e.q_len * qk_dim));
  std::vector<float> k(static_cast<std::size_t>(kv_heads * e.kv_len * qk_dim));
  std::vector<float> v(static_cast<std::size_t>(kv_heads * e.kv_len * v_dim));
  for (auto* const all : {&q, &k, &v}) {
    for (float& x : *all) x = static_cast<float>(random.normal());
  }
  aligned<tka::float8_e4m3_t> index_q(n.q.size());
  aligned<tka::float8_e4m3_t> index_k(n.k.size());
  for (std::size_t i = 0; i < n.q.size(); ++i) index_q.data[i] = tka::float8_e4m3_t{n.q[i]};
  for (std::size_t i = 0; i < n.k.size(); ++i) index_k.data[i] = tka::float8_e4m3_t{n.k[i]};

  constexpr auto attend =
      tka::sparse_attention<tka::lightning_indexer<Selector>, tka::fp32, tka::cpu>;
  tka::shape const s{.q_heads = q_heads,
                     .kv_heads = kv_heads,
                     .q_len = e.q_len,
                     .kv_len = e.kv_len,
                     .qk_dim = qk_dim,
                     .v_dim = v_dim,
                     .index_heads = e.heads,
                     .index_dim = e.dim};
  tka::options const o{.budget = tka::top_k(capacity), .scale = 0.2f, .bucketing = buckets};
  tka::plan const p = attend.plan(s, o, {.threads = threads});
  REQUIRE(p.status == tka::status::ok);
  REQUIRE(p.scope_heads == 1);
  aligned<float> in_q(q.size());
  aligned<float> in_k(k.size());
  aligned<float> in_v(v.size());
  std::copy(q.begin(), q.end(), in_q.data);
  std::copy(k.begin(), k.end(), in_k.data);
  std::copy(v.begin(), v.end(), in_v.data);
  aligned<float> out(static_cast<std::size_t>(q_heads * e.q_len * v_dim));
  std::vector<float> lse(static_cast<std::size_t>(q_heads * e.q_len));
  std::vector<std::int32_t> positions(static_cast<std::size_t>(e.q_len * capacity));
  aligned<unsigned char> scratch(p.scratch_bytes);
  typename std::remove_const_t<decltype(attend)>::tensors t{};
  t.q = tka::nhd(static_cast<float const*>(in_q.data), q_heads, e.q_len, qk_dim);
  t.k = tka::nhd(static_cast<float const*>(in_k.data), kv_heads, e.kv_len, qk_dim);
  t.v = tka::nhd(static_cast<float const*>(in_v.data), kv_heads, e.kv_len, v_dim);
  t.o = tka::nhd(out.data, q_heads, e.q_len, v_dim);
  t.lse = tka::nhd(lse.data(), q_heads, e.q_len, 1);
  t.positions = {positions.data(), 0, 0, capacity};
  t.index.q =
      tka::nhd(static_cast<tka::float8_e4m3_t const*>(index_q.data), e.heads, e.q_len, e.dim);
  t.index.k = {index_k.data, e.kv_len * e.dim, 0, e.dim};
  t.index.k_scales = {n.k_scale.data(), e.kv_len, 0, 1};
  t.index.weights = tka::nhd(n.weight.data(), e.heads, e.q_len, 1);
  REQUIRE(attend(p, t, {.scratch = scratch.data, .scratch_bytes = p.scratch_bytes}) ==
          tka::status::ok);

  double worst = 0.0;
  double worst_lse = 0.0;
  for (std::int32_t i = 0; i < e.q_len; ++i) {
    std::vector<double> scores;
    for (std::int32_t key = 0; key <= e.kv_len - e.q_len + i; ++key) {
      scores.push_back(n.score(0, i, key));
    }
    auto const first = positions.begin() + i * capacity;
    std::vector<std::int32_t> const keys(first, first + capacity);
    if (Selector::is_exact) CHECK(keys == largest(scores, capacity));
    for (std::int32_t h = 0; h < q_heads; ++h) {
      row_result const want =
          attend_plainly(q.data() + (i * q_heads + h) * qk_dim, k, v, keys, kv_heads,
                         h / (q_heads / kv_heads), qk_dim, v_dim, static_cast<double>(o.scale));
      auto const row = static_cast<std::size_t>(i * q_heads + h);
      worst_lse = std::max(worst_lse, std::fabs(static_cast<double>(lse[row]) - want.lse));
      for (std::size_t d = 0; d < want.o.size(); ++d) {
        auto const got = static_cast<double>(out.data[row * want.o.size() + d]);
        worst = std::max(worst, std::fabs(got - want.o[d]));
      }
    }
  }
  CHECK(worst <= 2e-6);
  CHECK(worst_lse <= 2e-6);
}

TEST_CASE("[tka.indexer] [tka.scope] every query head of every group attends over the one set") {
  every_head_attends<tka::exact_radix>(8, 2, 1, {});
  every_head_attends<tka::exact_radix>(8, 2, 3, {});
  every_head_attends<tka::exact_radix>(3, 3, 1, {});
}
TEST_CASE("[tka.indexer] groups beyond one block of heads") {
  every_head_attends<tka::exact_radix>(40, 1, 1, {});
  every_head_attends<tka::exact_radix>(40, 2, 2, {});
}
TEST_CASE("[tka.indexer] [tka.approximate] over buckets") {
  every_head_attends<tka::bucketed>(4, 2, 1, {.buckets = 50, .per_bucket = 2});
}

TEST_CASE("[tka.metrics] an indexer cannot tell of visible attention scores") {
  constexpr auto attend =
      tka::sparse_attention<tka::lightning_indexer<tka::exact_radix>, tka::fp32, tka::cpu>;
  tka::shape const s{.q_heads = 1,
                     .kv_heads = 1,
                     .kv_len = 10,
                     .qk_dim = 16,
                     .v_dim = 16,
                     .index_heads = 1,
                     .index_dim = 16};
  tka::options o{.budget = tka::top_k(4), .scale = 1.0f, .metrics = tka::metrics::visible};
  CHECK(attend.supported(s, o, {}) == tka::status::metric_unavailable);
  o.metrics = tka::metrics::selected;
  CHECK(attend.supported(s, o, {}) == tka::status::ok);
}

}  // namespace
