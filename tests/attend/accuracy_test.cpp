// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Outputs with the selection fixed, against fp64 and a plain fp32 implementation.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

namespace {

using namespace support;

template <class Precision>
void check_accuracy(char const* name) {
  random_source random(name);
  INFO(random);
  int const rounds = fast() ? 4 : 24;
  for (int round = 0; round < rounds; ++round) {
    oracle::rules r;
    r.kv_heads = static_cast<int>(random.between(1, 2));
    r.q_heads = r.kv_heads * static_cast<int>(random.between(1, 6));
    r.qk_dim = 16 * static_cast<int>(random.between(1, 8));
    r.v_dim = 16 * static_cast<int>(random.between(1, 8));
    r.k = static_cast<int>(random.between(1, 300));
    r.scale = round % 3 == 0 ? 1.0 : exact_scale(r.qk_dim);
    r.soft_cap = round % 4 == 1 ? 8.0 : 0.0;
    auto p =
        make_problem(r, {{2, static_cast<int>(random.between(1, 700))}}, contents::normal, random);
    round_to<Precision>(p);
    CAPTURE(round);
    CAPTURE(r.qk_dim);
    CAPTURE(r.v_dim);
    CAPTURE(r.k);
    arranged<Precision, tka::form<>> const a(p, {});
    auto const whole = attend<tka::exact_radix>(a, options_of(r));
    REQUIRE(fault(whole) == "");
    CHECK(near_selection_fault(whole, p, 1e-4) == "");
    auto const given = lists_of(whole, p);
    CHECK(attention_fault<Precision>(whole, p, given) == "");
    // The same positions given from outside: the same sums, re-scored.
    auto const replayed = attend_lists(a, options_of(r), given);
    REQUIRE(fault(replayed) == "");
    CHECK(attention_difference(whole.sequences[0], replayed.sequences[0]) == "");
  }
}

TEST_CASE("[tka.error_bound] [tka.attention] fp32: at most twice the plain error") {
  check_accuracy<tka::fp32>("accuracy fp32");
}
TEST_CASE("[tka.error_bound] [tka.attention] fp16: at most twice the plain error") {
  check_accuracy<on_backend<tka::fp16, tka::bf16>>("accuracy fp16");
}
TEST_CASE("[tka.error_bound] [tka.attention] bf16: at most twice the plain error") {
  check_accuracy<tka::bf16>("accuracy bf16");
}
TEST_CASE("[tka.error_bound] [tka.attention] fp8: at most twice the plain error") {
  check_accuracy<tka::fp8>("accuracy fp8");
}

}  // namespace
