// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// lse in base 2: the natural one times log2(e), and nothing else changes.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

namespace {

using namespace support;

std::vector<float> times_log2_of_e(std::vector<float> all) {
  for (float& x : all) x *= 1.44269504088896340736f;
  return all;
}

TEST_CASE("[tka.attention] [tka.metrics] lse in base 2 is the natural one times log2(e)") {
  random_source random("base 2");
  INFO(random);
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  r.k = 20;
  r.scale = 0.25;
  auto const p = make_problem(r, {{3, 300}, {2, 1}, {1, 0}}, contents::normal, random);
  using form = tka::form<tka::kv::ragged, tka::query::ragged>;
  arranged<tka::fp32, form> const a(p, {});
  settings const visible{.metrics = tka::metrics::visible};
  auto expected = attend<tka::exact_radix>(a, options_of(r), visible);
  REQUIRE(fault(expected) == "");
  for (auto& s : expected.sequences) {
    s.lse = times_log2_of_e(s.lse);
    s.lse_visible = times_log2_of_e(s.lse_visible);
  }
  auto o = options_of(r);
  o.lse_base = tka::lse_base::two;
  CHECK(difference(expected, attend<tka::exact_radix>(a, o, visible)) == "");
}

}  // namespace
