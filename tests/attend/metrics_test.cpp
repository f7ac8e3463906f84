// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What is measured beside the output, the sink logit, the soft cap, and rows without keys.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace {

using namespace support;

constexpr settings visible{.metrics = tka::metrics::visible};
constexpr double inf = std::numeric_limits<double>::infinity();

/// Each measure against fp64; the selected keys are those that the run names.
std::string metrics_fault(results const& got, oracle::problem const& p) {
  if (auto const found = fault(got); !found.empty()) return found;
  error_rule lse, entropy, mass;
  int const share = p.rules.q_heads / p.rules.scope_heads();
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    auto const& s = p.sequences[b];
    for (int h = 0; h < p.rules.q_heads; ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        auto const seen = oracle::visible_positions(p.rules, s, i);
        auto const all = oracle::attend(p.rules, s, i, h, seen);
        auto const kept =
            oracle::attend(p.rules, s, i, h, got.positions_of(b, s.q_len, h / share, i));
        auto const plain_all = plain_attention(p.rules, s, i, h, seen);
        auto const row = static_cast<std::size_t>(h * s.q_len + i);
        auto const& of = got.sequences[b];
        double const eps = 0x1p-23;
        lse.add(static_cast<double>(of.lse_visible[row]), static_cast<double>(plain_all.lse),
                all.lse, eps * (std::abs(all.lse) + 1.0), at_row(b, h, i, "lse_visible"));
        entropy.add(static_cast<double>(of.entropy_visible[row]),
                    static_cast<double>(plain_all.entropy), all.entropy,
                    4.0 * eps * (all.entropy + 1.0), at_row(b, h, i, "entropy_visible"));
        double const expected = seen.empty() ? 1.0 : std::exp(kept.lse - all.lse);
        // exp turns an absolute error of lse into a relative one of the mass.
        double const slack = 4.0 * eps * (std::abs(all.lse) + 2.0);
        mass.add(static_cast<double>(of.retained_mass[row]), expected, expected, slack,
                 at_row(b, h, i, "retained_mass"));
      }
    }
  }
  return first_of({lse.fault(), entropy.fault(), mass.fault()});
}

oracle::rules rules() {
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  r.qk_dim = 32;
  r.v_dim = 32;
  r.k = 30;
  r.scale = 0.25;
  return r;
}

template <class Form = tka::form<>>
void check_metrics(char const* name, oracle::rules const& r) {
  random_source random(name);
  INFO(random);
  auto const p = make_problem(r, {{4, 400}, {4, 129}, {4, 20}, {4, 2}}, contents::normal, random);
  arranged<tka::fp32, Form> const a(p, {});
  auto const got = attend<tka::exact_radix>(a, options_of(r), visible);
  CHECK(metrics_fault(got, p) == "");
  CHECK(attention_fault<tka::fp32>(got, p, lists_of(got, p)) == "");
  // Measuring changes nothing else.
  auto const bare = attend<tka::exact_radix>(a, options_of(r));
  REQUIRE(fault(bare) == "");
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    CHECK(bit_difference("o", bare.sequences[b].o, got.sequences[b].o) == "");
    CHECK(bit_difference("lse", bare.sequences[b].lse, got.sequences[b].lse) == "");
    CHECK(selection_difference(bare.sequences[b], got.sequences[b]) == "");
  }
}

TEST_CASE("[tka.metrics] lse_visible, entropies and retained mass against fp64") {
  check_metrics("metrics", rules());
}
TEST_CASE("[tka.metrics] the same under a soft cap") {
  auto r = rules();
  r.soft_cap = 2.0;
  r.scale = 1.0;
  check_metrics("metrics cap", r);
}
TEST_CASE("[tka.metrics] the same for groups and a window with sinks") {
  auto r = rules();
  r.visibility = oracle::visibility::sliding_window;
  r.window = 200;
  r.sinks = 3;
  r.scope = oracle::scope::kv_group;
  check_metrics<tka::form<tka::scope::kv_group, tka::visibility::sliding_window>>("metrics window",
                                                                                  r);
}
TEST_CASE("[tka.metrics] [tka.sink_logit] a sink logit joins the denominator, not lse") {
  auto r = rules();
  r.sink_logits = {-3.0, 0.0, 5.0, 100.0};
  check_metrics("metrics sink", r);

  random_source random("sink");
  auto p = make_problem(r, {{2, 300}}, contents::normal, random);
  auto without = p;
  without.rules.sink_logits.clear();
  arranged<tka::fp32, tka::form<>> const a(p, {});
  arranged<tka::fp32, tka::form<>> const b(without, {});
  auto const sunk = attend<tka::exact_radix>(a, options_of(r), visible);
  auto const plain = attend<tka::exact_radix>(b, options_of(r), visible);
  CHECK(bit_difference("lse", sunk.sequences[0].lse, plain.sequences[0].lse) == "");
  CHECK(bit_difference("entropy", sunk.sequences[0].entropy, plain.sequences[0].entropy) == "");
  // A sink of 100 takes everything.
  for (std::size_t d = 0; d < 32; ++d) CHECK(std::abs(sunk.sequences[0].o[6 * 32 + d]) < 1e-20f);

  p.rules.sink_logits.assign(4, -inf);
  arranged<tka::fp32, tka::form<>> const c(p, {});
  auto const none = attend<tka::exact_radix>(c, options_of(r), visible);
  CHECK(bit_difference("o", none.sequences[0].o, plain.sequences[0].o) == "");
}

TEST_CASE("[tka.attention] a soft cap bounds the logits") {
  auto r = rules();
  r.scale = 0.4;  // not 1: the cap comes after it
  for (double const cap : {0.5, 30.0, 1000.0}) {
    r.soft_cap = cap;
    random_source random("cap");
    auto const p = make_problem(r, {{2, 200}}, contents::normal, random);
    arranged<tka::fp32, tka::form<>> const a(p, {});
    auto const got = attend<tka::exact_radix>(a, options_of(r), visible);
    CHECK(attention_fault<tka::fp32>(got, p, lists_of(got, p)) == "");
    CHECK(selection_difference(got.sequences[0],
                               select<tka::exact_radix>(a, options_of(r)).sequences[0]) == "");
  }
}

TEST_CASE("[tka.attention] a single key is copied, and equal keys are averaged exactly") {
  random_source random("exact arithmetic");
  auto r = rules();
  auto p = make_problem(r, {{1, 64}}, contents::integers, random);
  std::fill(p.sequences[0].q.begin(), p.sequences[0].q.end(), 0.0f);
  for (int const k : {1, 2, 4, 8, 16, 32, 64}) {
    p.rules.k = k;
    arranged<tka::fp32, tka::form<>> const a(p, {});
    auto const got = attend<tka::exact_radix>(a, options_of(p.rules), visible);
    REQUIRE(fault(got) == "");
    std::vector<int> first(static_cast<std::size_t>(k));
    std::iota(first.begin(), first.end(), 0);
    std::vector<float> expected;
    for (int h = 0; h < 4; ++h) {
      for (std::size_t d = 0; d < 32; ++d) {
        float sum = 0.0f;
        for (int j = 0; j < k; ++j) {
          sum += p.sequences[0].v[static_cast<std::size_t>(h / 2 * 64 + j) * 32 + d];
        }
        expected.push_back(sum / static_cast<float>(k));
      }
      CHECK(got.positions_of(0, 1, h, 0) == first);
      CHECK(got.sequences[0].retained_mass[static_cast<std::size_t>(h)] ==
            doctest::Approx(k / 64.0).epsilon(1e-6));
    }
    for (float& x : expected) x += 0.0f;
    auto o = got.sequences[0].o;
    for (float& x : o) x += 0.0f;
    CHECK(bit_difference("o", expected, o) == "");
  }
}

TEST_CASE("[tka.empty] a row without visible keys: o 0, lse -inf, entropy 0, mass 1, count 0") {
  random_source random("empty");
  auto r = rules();
  r.sink_logits = {1.0, 2.0, 3.0, 4.0};
  auto const p = make_problem(r, {{5, 2}, {5, 0}}, contents::normal, random);
  arranged<tka::fp32, tka::form<>> const a(p, {.kv_bound = 9});
  for (auto const& got :
       {attend<tka::exact_radix>(a, options_of(r), visible),
        attend<on_backend<tka::bucketed, tka::exact_radix>>(a, options_of(r), visible)}) {
    REQUIRE(fault(got) == "");
    for (std::size_t b = 0; b < 2; ++b) {
      for (int h = 0; h < 4; ++h) {
        for (int i = 0; i < (b == 0 ? 3 : 5); ++i) {
          auto const row = static_cast<std::size_t>(h * 5 + i);
          auto const& s = got.sequences[b];
          CHECK(s.count[row] == 0);
          CHECK(s.lse[row] == -std::numeric_limits<float>::infinity());
          CHECK(s.lse_visible[row] == -std::numeric_limits<float>::infinity());
          CHECK(s.entropy[row] == 0.0f);
          CHECK(s.entropy_visible[row] == 0.0f);
          CHECK(s.retained_mass[row] == 1.0f);
          for (std::size_t d = 0; d < 32; ++d) CHECK(s.o[row * 32 + d] == 0.0f);
        }
      }
    }
  }
}

TEST_CASE("[tka.empty] [tka.budget] k = 0 is an empty row") {
  random_source random("k 0");
  auto r = rules();
  r.k = 0;
  r.sink_logits = {1.0, 2.0, 3.0, 4.0};
  auto const p = make_problem(r, {{1, 50}}, contents::normal, random);
  arranged<tka::fp32, tka::form<>> const a(p, {});
  auto const got = attend<tka::exact_radix>(a, options_of(r), visible);
  REQUIRE(fault(got) == "");
  for (std::size_t row = 0; row < 4; ++row) {
    CHECK(got.sequences[0].count[row] == 0);
    CHECK(got.sequences[0].lse[row] == -std::numeric_limits<float>::infinity());
    CHECK(got.sequences[0].entropy[row] == 0.0f);
    for (std::size_t d = 0; d < 32; ++d) CHECK(got.sequences[0].o[row * 32 + d] == 0.0f);
  }
  r.k = 5;
  auto p0 = make_problem(r, {{1, 50}}, contents::normal, random);
  p0.sequences[0].k_of_sequence = 0;
  arranged<tka::fp32, tka::form<>> const b(p0, {});
  auto const zero = attend<tka::exact_radix>(b, options_of(r), visible);
  REQUIRE(fault(zero) == "");
  CHECK(zero.sequences[0].count == std::vector<std::int32_t>(4, 0));
  for (float const x : zero.sequences[0].o) CHECK(x == 0.0f);
}

TEST_CASE("[tka.metrics] without every attention score they are metric_unavailable") {
  random_source random("unavailable");
  auto r = rules();
  r.score = oracle::score::stored;
  auto const p = make_problem(r, {{1, 50}}, contents::normal, random);
  arranged<tka::fp32, tka::form<>> const a(p, {});
  constexpr auto call =
      tka::sparse_attention<tka::stored_scores<tka::exact_radix>, tka::fp32, backend>;
  auto o = options_of(r);
  CHECK(call.supported(a.shape(), o, device_of()) == tka::status::ok);
  o.metrics = tka::metrics::visible;
  CHECK(call.supported(a.shape(), o, device_of()) == tka::status::metric_unavailable);
}

}  // namespace
