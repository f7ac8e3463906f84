// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Selection by q.k of small integers: every precision must give the oracle's set and scores, bit
/// for bit, from every source of keys and queries.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace support;

order any_order(random_source& random) { return static_cast<order>(random.below(3)); }

template <class Precision, class Form>
void check_exact(char const* name) {
  random_source random(name);
  INFO(random);
  int const rounds = fast() ? 5 : 25;
  for (int round = 0; round < rounds; ++round) {
    oracle::rules r;
    r.kv_heads = static_cast<int>(random.between(1, 3));
    r.q_heads = r.kv_heads * static_cast<int>(random.between(1, 4));
    r.qk_dim = 16 * static_cast<int>(random.between(1, 5));
    r.k = static_cast<int>(random.between(0, 90));
    constexpr bool ragged = std::is_same_v<typename Form::query_source, tka::query::ragged>;
    std::vector<lengths> sizes;
    int const q_len = static_cast<int>(random.between(1, 5));
    for (auto b = random.between(1, 4); b > 0; --b) {
      sizes.push_back({ragged ? static_cast<int>(random.between(0, 6)) : q_len,
                       static_cast<int>(random.between(0, 300))});
    }
    auto p = make_problem(r, sizes, contents::integers, random);
    arrangement const how{.q = any_order(random),
                          .kv = any_order(random),
                          .out = any_order(random),
                          .page_size = static_cast<int>(random.between(1, 40))};
    CAPTURE(round);
    arranged<Precision, Form> const a(p, how);
    auto const got = select<tka::exact_radix>(a, options_of(r));
    CHECK(selection_fault(got, p) == "");
    CHECK(got.error == 0u);
  }
}

TEST_CASE("[tka.score] [tka.exact] fp32 scores of small integers are exact") {
  check_exact<tka::fp32, tka::form<>>("fp32");
  check_exact<tka::fp32, tka::form<tka::query::ragged, tka::kv::paged>>("fp32 paged");
}
TEST_CASE("[tka.score] [tka.exact] fp16 scores of small integers are exact") {
  check_exact<tka::fp16, tka::form<>>("fp16");
  check_exact<tka::fp16, tka::form<tka::query::ragged, tka::kv::ragged>>("fp16 ragged");
}
TEST_CASE("[tka.score] [tka.exact] bf16 scores of small integers are exact") {
  check_exact<tka::bf16, tka::form<tka::kv::ragged>>("bf16 ragged");
  check_exact<tka::bf16, tka::form<tka::query::ragged, tka::kv::paged>>("bf16 paged");
}
TEST_CASE("[tka.score] [tka.exact] e4m3 scores of small integers are exact") {
  check_exact<tka::fp8, tka::form<tka::query::ragged>>("fp8");
  check_exact<tka::fp8, tka::form<tka::kv::paged>>("fp8 paged");
}

}  // namespace
