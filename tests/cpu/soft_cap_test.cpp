// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Soft caps: near saturation, and so small that their reciprocal is infinite.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace {

using namespace support;

TEST_CASE("[tka.error_bound] caps from 0.1 to 1000, also near saturation: twice the plain error") {
  random_source random("soft caps");
  INFO(random);
  for (double const cap : {0.1, 1.0, 15.0, 30.0, 50.0, 100.0, 1000.0}) {
    for (double const scale : {0.125, 1.0, 8.0}) {
      CAPTURE(cap);
      CAPTURE(scale);
      oracle::rules r;
      r.q_heads = 4;
      r.kv_heads = 2;
      r.qk_dim = 64;
      r.v_dim = 32;
      r.k = 200;
      r.scale = scale;
      r.soft_cap = static_cast<double>(static_cast<float>(cap));
      auto p = make_problem(r, {{3, 400}}, contents::normal, random);
      round_to<tka::fp32>(p);
      arranged<tka::fp32, tka::form<>> const a(p, {});
      auto const got = attend<tka::exact_radix>(a, options_of(r));
      REQUIRE(fault(got) == "");
      CHECK(attention_fault<tka::fp32>(got, p, lists_of(got, p)) == "");
    }
  }
}

TEST_CASE("[tka.attention] a tiny cap levels the scores: the mean of the values, no NaN") {
  random_source random("tiny caps");
  for (float const cap : {1e-15f, 1e-17f, 0x1p-60f}) {
    CAPTURE(cap);
    oracle::rules r;
    r.q_heads = 1;
    r.kv_heads = 1;
    r.qk_dim = 16;
    r.v_dim = 16;
    r.k = 50;
    r.scale = 1.0;
    auto p = make_problem(r, {{1, 50}}, contents::normal, random);
    // A zero score, too: 0 / cap is 0.
    std::fill_n(p.sequences[0].k.begin(), 16, 0.0f);
    arranged<tka::fp32, tka::form<>> const a(p, {});
    auto options = options_of(r);
    options.soft_cap = cap;
    auto const got = attend<tka::exact_radix>(a, options);
    REQUIRE(fault(got) == "");
    CHECK(got.sequences[0].lse[0] == doctest::Approx(std::log(50.0)).epsilon(1e-6));
    for (std::size_t d = 0; d < 16; ++d) {
      double mean = 0.0;
      for (std::size_t j = 0; j < 50; ++j) {
        mean += static_cast<double>(p.sequences[0].v[j * 16 + d]) / 50.0;
      }
      CHECK(std::abs(static_cast<double>(got.sequences[0].o[d]) - mean) < 1e-5);
    }
  }
}

}  // namespace
