// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Many query tokens a sequence, lists not asked for: a backend may find thresholds alone and
/// attend under a mask. Sets and thresholds are those of the lists, to the bit; sums are near.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace {

using namespace support;

constexpr settings without_positions{.positions = false};
constexpr settings without_lists{.lists = false};
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

oracle::rules rules(int k, int dim) {
  oracle::rules r;
  r.q_heads = 3;
  r.kv_heads = 1;
  r.qk_dim = dim;
  r.v_dim = dim;
  r.k = k;
  r.scale = exact_scale(dim);
  return r;
}

std::string thresholds_difference(results const& a, results const& b) {
  for (std::size_t s = 0; s < a.sequences.size(); ++s) {
    auto const& x = a.sequences[s];
    auto const& y = b.sequences[s];
    auto const found = first_of(
        {bit_difference("count", x.count, y.count),
         bit_difference("threshold_score", x.threshold_score, y.threshold_score),
         bit_difference("threshold_position", x.threshold_position, y.threshold_position)});
    if (!found.empty()) return "sequence " + std::to_string(s) + ": " + found;
  }
  return "";
}

/// Lists, thresholds alone, and neither.
template <class Precision, class Form = tka::form<>>
void check_prefill(oracle::problem p) {
  round_to<Precision>(p);
  arranged<Precision, Form> const a(p, {});
  auto const options = options_of(p.rules);
  auto const asked = attend<tka::exact_radix>(a, options);
  auto const thresholds = attend<tka::exact_radix>(a, options, without_positions);
  auto const bare = attend<tka::exact_radix>(a, options, without_lists);
  REQUIRE(fault(asked) == "");
  REQUIRE(fault(thresholds) == "");
  REQUIRE(fault(bare) == "");
  CHECK(near_selection_fault(asked, p, 1e-4) == "");
  CHECK(thresholds_difference(asked, thresholds) == "");
  auto const given = lists_of(asked, p);
  CHECK(attention_fault<Precision>(thresholds, p, given) == "");
  CHECK(attention_fault<Precision>(bare, p, given) == "");
}

TEST_CASE("[tka.exact] [tka.attention] prefill: random rows, any lengths") {
  random_source random("prefill");
  INFO(random);
  int const rounds = fast() ? 2 : 10;
  for (int round = 0; round < rounds; ++round) {
    auto const size = [&](int most) { return static_cast<int>(random.between(1, most)); };
    auto r = rules(size(300), 16 * size(8));
    r.v_dim = 16 * size(8);
    r.q_heads = size(5);
    int const tokens = 64 + size(fast() ? 30 : 500);
    CAPTURE(round);
    check_prefill<tka::bf16>(make_problem(
        r, {{tokens, size(1500)}, {tokens, tokens}, {tokens, 1500}}, contents::normal, random));
    check_prefill<tka::bf16, tka::form<tka::kv::ragged, tka::query::ragged>>(make_problem(
        r, {{tokens, size(1500)}, {1, 700}, {0, 5}, {70, 1300}}, contents::normal, random));
  }
}

TEST_CASE("[tka.exact] [tka.order] prefill: ties") {
  random_source random("prefill, ties");
  INFO(random);
  for (int const k : {1, 64, 700}) {
    CAPTURE(k);
    auto p = make_problem(rules(k, 64), {{80, 1400}, {80, 90}}, contents::integers, random);
    check_prefill<tka::bf16>(p);
    // All equal, to both zeros.
    for (oracle::sequence& s : p.sequences) {
      for (std::size_t i = 0; i < s.k.size(); ++i) s.k[i] = i % 3 == 0 ? -0.0f : 0.0f;
    }
    check_prefill<tka::bf16>(p);
  }
}

/// The first row by both ways: what is NaN, and what is not.
TEST_CASE("[tka.nan] prefill: NaN and infinite keys and values touch only rows that keep them") {
  random_source random("prefill, nan");
  INFO(random);
  auto p = make_problem(rules(40, 64), {{100, 1200}}, contents::normal, random);
  oracle::sequence& s = p.sequences[0];
  auto const spoil = [&](std::vector<float>& x, int token, float with) {
    x[static_cast<std::size_t>(token * 64 + 5)] = with;
  };
  spoil(s.k, 1150, nan);     // seen by the last rows
  spoil(s.v, 20, infinity);  // kept by few
  spoil(s.v, 700, nan);
  round_to<tka::bf16>(p);
  arranged<tka::bf16, tka::form<>> const a(p, {});
  auto const options = options_of(p.rules);
  auto const asked = attend<tka::exact_radix>(a, options);
  auto const thresholds = attend<tka::exact_radix>(a, options, without_positions);
  REQUIRE(fault(asked) == "");
  REQUIRE(fault(thresholds) == "");
  CHECK(thresholds_difference(asked, thresholds) == "");
  auto const& x = asked.sequences[0];
  auto const& y = thresholds.sequences[0];
  REQUIRE(x.o.size() == y.o.size());
  int different = 0;
  int nans = 0;
  for (std::size_t i = 0; i < x.o.size(); ++i) {
    nans += x.o[i] != x.o[i] ? 1 : 0;
    bool const both = x.o[i] != x.o[i] && y.o[i] != y.o[i];
    float const distance = x.o[i] - y.o[i];
    if (!(both || x.o[i] == y.o[i] || (distance < 0.05f && distance > -0.05f))) ++different;
  }
  CHECK(different == 0);
  CHECK(nans > 0);
  CHECK(nans < static_cast<int>(x.o.size()));
}

TEST_CASE("[tka.exact] prefill: more NaN keys than are kept, none that can be kept") {
  random_source random("prefill, all nan");
  INFO(random);
  for (float const with : {nan, -infinity}) {
    auto p = make_problem(rules(40, 64), {{70, 300}}, contents::normal, random);
    for (int token = 0; token < 250; ++token) {
      p.sequences[0].k[static_cast<std::size_t>(token * 64)] = with;
    }
    for (std::size_t i = 0; i < p.sequences[0].q.size(); i += 64) p.sequences[0].q[i] = 1.0f;
    round_to<tka::bf16>(p);
    arranged<tka::bf16, tka::form<>> const a(p, {});
    auto const options = options_of(p.rules);
    auto const asked = attend<tka::exact_radix>(a, options);
    auto const thresholds = attend<tka::exact_radix>(a, options, without_positions);
    REQUIRE(fault(asked) == "");
    REQUIRE(fault(thresholds) == "");
    CHECK(thresholds_difference(asked, thresholds) == "");
  }
}

}  // namespace
