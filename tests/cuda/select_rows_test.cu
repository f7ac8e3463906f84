// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows of stored scores by every way that one kernel has for them, and past every end of its
/// buffers: tuning that no plan would choose forces each.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/prepared.cuh>

#include <cuda/instances.cuh>
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

namespace {

using namespace support;
using stored = tka::stored_scores<tka::exact_radix>;

constexpr float inf = std::numeric_limits<float>::infinity();

struct pattern {
  char const* name;
  float (*score)(int i, int n, random_source& random);
};

pattern const patterns[] = {
    {"normal", [](int, int, random_source& r) { return static_cast<float>(r.normal()); }},
    {"all equal", [](int, int, random_source&) { return -1.5f; }},
    {"mostly zero",
     [](int, int, random_source& r) {
       return r.below(100) < 94 ? (r.below(2) == 0 ? 0.0f : -0.0f) : static_cast<float>(r.normal());
     }},
    {"two values", [](int i, int, random_source&) { return i % 61 == 0 ? 2.0f : 1.0f; }},
    {"ascending", [](int i, int, random_source&) { return static_cast<float>(i) - 500.0f; }},
    {"descending", [](int i, int, random_source&) { return 500.0f - static_cast<float>(i); }},
    {"integers",
     [](int, int, random_source& r) { return static_cast<float>(r.below(50)) - 25.0f; }},
    {"a hot run",
     [](int i, int n, random_source& r) {
       return static_cast<float>(r.normal()) + (i > n / 2 && i < n / 2 + 700 ? 9.0f : 0.0f);
     }},
    {"few finite",
     [](int, int, random_source& r) {
       return r.below(300) == 0 ? static_cast<float>(r.normal()) : -inf;
     }},
    {"NaN and infinities",
     [](int, int, random_source& r) {
       float const from[] = {inf, -inf, std::numeric_limits<float>::quiet_NaN(), 0.0f, -1.0f};
       return from[r.below(5)];
     }},
    {"one NaN",
     [](int i, int, random_source&) {
       return i == 3 ? std::numeric_limits<float>::quiet_NaN() : 1.0f;
     }},
};

oracle::problem rows_of(pattern const& of, int n, int k, random_source& random) {
  oracle::rules r;
  r.score = oracle::score::stored;
  r.visibility = oracle::visibility::all;
  r.k = k;
  oracle::problem p{r, {}};
  // Short rows between long ones: what one leaves in shared memory the next one meets.
  for (int const length : {n, n / 3, n}) {
    oracle::sequence s;
    s.q_len = 1;
    s.kv_len = length;
    for (int i = 0; i < length; ++i) s.stored.push_back(of.score(i, length, random));
    p.sequences.push_back(std::move(s));
  }
  return p;
}

TEST_CASE("[tka.exact] [tka.order] every pattern by every way of selecting from rows") {
  for (pattern const& of : patterns) {
    for (int const n : {2, 90, 1500, 9001, 40000}) {
      if (fast() && n > 9001) continue;
      for (int const k : {1, 33, 500, n - 1}) {
        if (k < 1 || k > n) continue;
        random_source random(of.name);
        INFO(random);
        CAPTURE(of.name);
        CAPTURE(n);
        CAPTURE(k);
        auto const p = rows_of(of, n, k, random);
        arranged<tka::fp32, tka::form<tka::visibility::all>> const a(p, {});
        auto const got = select<stored>(a, options_of(p.rules));
        CHECK(selection_fault(got, p) == "");
        for (int way = 1; way <= static_cast<int>(std::size(row_tunings)); ++way) {
          CAPTURE(way);
          auto const again =
              select<stored>(a, options_of(p.rules), {.scratch = int_poison, .row_tuning = way});
          CHECK(difference(got, again) == "");
        }
      }
    }
  }
}

TEST_CASE("[tka.forced] [tka.threshold] forced keys and windows by every way") {
  for (int const window : {5, 700, 5000}) {
    for (int const sinks : {0, 3}) {
      random_source random("windows of rows");
      INFO(random);
      oracle::rules r;
      r.visibility = oracle::visibility::sliding_window;
      r.window = window;
      r.sinks = sinks;
      r.recent = 2 * sinks;
      r.k = 100;
      r.score = oracle::score::stored;
      auto p = make_problem(r, {{3, 6000}, {3, 40}, {3, 9500}}, contents::integers, random);
      for (auto& s : p.sequences) s.stored[0] = -inf;  // where there are sinks, one is lost
      arranged<tka::fp32, tka::form<tka::visibility::sliding_window>> const a(p, {});
      auto const got = select<stored>(a, options_of(r));
      CHECK(selection_fault(got, p) == "");
      for (int way = 1; way <= static_cast<int>(std::size(row_tunings)); ++way) {
        CAPTURE(way);
        CHECK(difference(got, select<stored>(a, options_of(r), {.row_tuning = way})) == "");
        CHECK(difference(got, select<stored>(a, options_of(r), {.row_tuning = way}, &got)) == "");
      }
    }
  }
}

}  // namespace
