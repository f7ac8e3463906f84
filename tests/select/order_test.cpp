// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// exact_radix over stored scores: the exact set for named score patterns that break selections.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();

float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

struct pattern {
  char const* name;
  float (*score)(std::uint32_t i, random_source& random);
};

pattern const patterns[] = {
    {"all_equal", [](std::uint32_t, random_source&) { return 1.25f; }},
    {"one_histogram_bin",
     [](std::uint32_t i, random_source&) { return from_bits(0x3f800000u + i % 7u); }},
    {"bits_from_one", [](std::uint32_t i, random_source&) { return from_bits(0x3f800000u + i); }},
    {"bits_pivot_mismatch",
     [](std::uint32_t i, random_source&) { return from_bits(0x3805ed27u + i); }},
    {"bf16_cycle_of_64",
     [](std::uint32_t i, random_source&) { return from_bits((0x3f80u + i % 64u) << 16); }},
    {"zeros_of_both_signs",
     [](std::uint32_t i, random_source&) { return i % 3 == 0 ? 0.0f : -0.0f; }},
    {"zeros_among_small",
     [](std::uint32_t i, random_source& random) {
       float const from[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-149f};
       return from[(i + random.below(4)) % 4];
     }},
    {"nan_of_both_signs",
     [](std::uint32_t i, random_source& random) {
       if (random.below(3) == 0) return from_bits(i % 2 == 0 ? 0x7fc00000u + i : 0xffc00001u);
       return static_cast<float>(random.normal());
     }},
    {"all_nan", [](std::uint32_t i,
                   random_source&) { return from_bits(i % 2 == 0 ? 0x7fc00001u : 0xffffffffu); }},
    {"infinities_and_nan",
     [](std::uint32_t, random_source& random) {
       float const from[] = {inf,
                             -inf,
                             from_bits(0x7f800001u),
                             1.0f,
                             -1.0f,
                             std::numeric_limits<float>::max(),
                             std::numeric_limits<float>::lowest()};
       return from[random.below(7)];
     }},
    {"all_minus_inf", [](std::uint32_t, random_source&) { return -inf; }},
    {"mostly_minus_inf",
     [](std::uint32_t, random_source& random) {
       return random.below(10) == 0 ? static_cast<float>(random.normal()) : -inf;
     }},
    {"denormals",
     [](std::uint32_t, random_source& random) {
       return from_bits(static_cast<std::uint32_t>(random.below(2)) << 31 |
                        static_cast<std::uint32_t>(random.below(1u << 23)));
     }},
    {"ascending", [](std::uint32_t i, random_source&) { return static_cast<float>(i) - 1000.0f; }},
    {"descending", [](std::uint32_t i, random_source&) { return 1000.0f - static_cast<float>(i); }},
    {"mostly_zero",
     [](std::uint32_t, random_source& random) {
       return random.below(100) < 94 ? 0.0f : static_cast<float>(random.normal());
     }},
    {"negative",
     [](std::uint32_t, random_source& random) {
       return -std::abs(static_cast<float>(random.normal()));
     }},
    {"random_bits",
     [](std::uint32_t, random_source& random) {
       return from_bits(static_cast<std::uint32_t>(random()));
     }},
};

using form = tka::form<tka::visibility::all>;

oracle::problem stored_problem(pattern const& of, int n, random_source& random) {
  oracle::rules r;
  r.score = oracle::score::stored;
  r.visibility = oracle::visibility::all;
  oracle::problem p{r, {}};
  oracle::sequence s;
  s.q_len = 1;
  s.kv_len = n;
  for (int i = 0; i < n; ++i) s.stored.push_back(of.score(static_cast<std::uint32_t>(i), random));
  p.sequences.push_back(std::move(s));
  return p;
}

tka::schedule random_schedule(random_source& random) {
  return {.workers = static_cast<int>(random.between(1, 7)),
          .query_tile = static_cast<int>(random.between(1, 64)),
          .splits = static_cast<int>(random.between(1, 8))};
}

void check_pattern(pattern const& of, int n, std::vector<int> const& budgets) {
  random_source random(of.name);
  INFO(random);
  CAPTURE(of.name);
  CAPTURE(n);
  auto p = stored_problem(of, n, random);
  for (int const k : budgets) {
    if (k < 0) continue;
    CAPTURE(k);
    p.rules.k = k;
    arranged<tka::fp32, form> const a(p, {});
    auto const got = select<tka::stored_scores<tka::exact_radix>>(a, options_of(p.rules));
    CHECK(selection_fault(got, p) == "");
    auto const split = select<tka::stored_scores<tka::exact_radix>>(
        a, options_of(p.rules), {.schedule = random_schedule(random), .scratch = int_poison});
    CHECK(difference(got, split) == "");
  }
}

TEST_CASE("[tka.exact] [tka.order] [tka.nan] [tka.minus_inf] every pattern, sizes around tiles") {
  for (pattern const& of : patterns) {
    for (int const n : {0, 1, 2, 3, 127, 128, 129, 255, 256, 257, 1000}) {
      check_pattern(of, n, {0, 1, 2, n / 3, n / 2, n - 1, n, n + 1});
    }
  }
}

TEST_CASE("[tka.exact] every pattern, buffers that fill again and again") {
  for (pattern const& of : patterns) {
    for (int const n : {4095, 4096, 4097, 9000}) {
      if (fast() && n > 4096) continue;
      check_pattern(of, n, {1, 64, 1024, 1025, n / 2, n - 1, n});
    }
  }
}

TEST_CASE("[tka.exact] every pattern at 65536 - 1, 65536 and 65536 + 1 keys") {
  for (pattern const& of : patterns) {
    for (int const n : {65535, 65536, 65537}) {
      if (fast() && n != 65537) continue;
      check_pattern(of, n, {2048});
    }
    if (!fast()) check_pattern(of, 65537, {1, 65536, 65537});
  }
}

TEST_CASE("[tka.exact] every pattern at 2^20 keys") {
  for (pattern const& of : patterns) check_pattern(of, fast() ? 1 << 17 : 1 << 20, {2048});
}

TEST_CASE("[tka.exact] [tka.minus_inf] rows of few finite scores among others, again and again") {
  random_source random("few finite");
  INFO(random);
  int const n = 40000;
  auto p = stored_problem(patterns[0], n, random);
  p.rules.k = 600;
  auto& s = p.sequences[0];
  s.q_len = 5;
  s.stored.clear();
  for (int i = 0; i < s.q_len; ++i) {
    for (int j = 0; j < n; ++j) {
      bool const finite = i % 2 == 1 || (j < 4000 && random.below(16) == 0);
      s.stored.push_back(finite ? static_cast<float>(random.normal()) : -inf);
    }
  }
  arranged<tka::fp32, form> const a(p, {});
  auto const got = select<tka::stored_scores<tka::exact_radix>>(a, options_of(p.rules));
  CHECK(selection_fault(got, p) == "");
  // With 4 query tokens a unit there are rows behind the last token: blocks that select a row
  // together have several, which may not wait for one another where the first is done early.
  int const workers = on_cuda ? 1 << 30 : 7;  // all that there are; on a CPU each has scratch
  for (int round = 0; round < (fast() ? 3 : 20); ++round) {
    auto const again = select<tka::stored_scores<tka::exact_radix>>(
        a, options_of(p.rules),
        {.schedule = tka::schedule{.workers = workers, .query_tile = 4}, .scratch = int_poison});
    CHECK(difference(got, again) == "");
  }
}

std::vector<int> positions_of(std::vector<float> const& scores, int k) {
  random_source random("by hand");
  auto p = stored_problem(patterns[0], static_cast<int>(scores.size()), random);
  p.sequences[0].stored = scores;
  p.rules.k = k;
  arranged<tka::fp32, form> const a(p, {});
  auto const got = select<tka::stored_scores<tka::exact_radix>>(a, options_of(p.rules));
  REQUIRE(fault(got) == "");
  return got.positions_of(0, 1, 0, 0);
}

// By hand, without the oracle.
TEST_CASE("[tka.order] equal scores: smaller position wins") {
  CHECK(positions_of({2.0f, 3.0f, 3.0f, 3.0f, 1.0f}, 2) == std::vector<int>{1, 2});
  CHECK(positions_of({3.0f, 3.0f, 3.0f, 4.0f}, 2) == std::vector<int>{0, 3});
}
TEST_CASE("[tka.order] -0 equals +0") {
  CHECK(positions_of({-0.0f, 0.0f, 0.0f}, 1) == std::vector<int>{0});
  CHECK(positions_of({0.0f, -0.0f, 0.0f}, 2) == std::vector<int>{0, 1});
  CHECK(positions_of({-1.0f, -0.0f, 0.0f}, 1) == std::vector<int>{1});
}
TEST_CASE("[tka.nan] NaN ranks above +inf whatever its sign") {
  float const negative_nan = from_bits(0xffc12345u);
  float const nan = from_bits(0x7fc00000u);
  CHECK(positions_of({inf, negative_nan, inf, nan, inf}, 2) == std::vector<int>{1, 3});
  CHECK(positions_of({nan, negative_nan}, 1) == std::vector<int>{0});
  CHECK(positions_of({negative_nan, nan}, 1) == std::vector<int>{0});
}
TEST_CASE("[tka.minus_inf] -inf is never selected") {
  CHECK(positions_of({-inf, 1.0f, -inf}, 3) == std::vector<int>{1});
  CHECK(positions_of({-inf, -inf}, 2).empty());
  CHECK(positions_of({std::numeric_limits<float>::lowest(), -inf}, 2) == std::vector<int>{0});
}

}  // namespace
