// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Attention whose lists nobody asks for: a backend may then take shorter ways, to the same bits.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <limits>
#include <vector>

namespace {

using namespace support;

constexpr settings without_lists{.lists = false};

oracle::rules rules(int k) {
  oracle::rules r;
  r.q_heads = 6;
  r.kv_heads = 2;
  r.qk_dim = 64;
  r.v_dim = 64;
  r.k = k;
  r.scale = 0.125;
  return r;
}

template <class Precision>
void lists_change_nothing(oracle::problem const& p) {
  arranged<Precision, tka::form<>> const a(p, {});
  auto const options = options_of(p.rules);
  auto const asked = attend<tka::exact_radix>(a, options);
  auto const bare = attend<tka::exact_radix>(a, options, without_lists);
  REQUIRE(fault(asked) == "");
  REQUIRE(fault(bare) == "");
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    CAPTURE(b);
    CHECK(attention_difference(asked.sequences[b], bare.sequences[b]) == "");
  }
}

/// Short rows, rows of several parts, and rows that many blocks of a GPU select together.
oracle::problem problem_of(int k, contents what, random_source& random) {
  int const longest = fast() ? 6000 : 40000;
  return make_problem(rules(k), {{1, longest}, {1, 9001}, {1, 700}, {1, 128}, {1, 1}}, what,
                      random);
}

TEST_CASE("[tka.attention] [tka.order] lists that are not asked for change no bit: many ties") {
  random_source random("no lists, ties");
  INFO(random);
  for (int const k : {1, 100, 1111}) {
    CAPTURE(k);
    auto const p = problem_of(k, contents::integers, random);
    lists_change_nothing<tka::bf16>(p);
    lists_change_nothing<tka::fp32>(p);
  }
}

TEST_CASE("[tka.attention] lists that are not asked for change no bit: normal scores") {
  random_source random("no lists");
  INFO(random);
  for (int const k : {0, 33, 2048}) {
    CAPTURE(k);
    auto const p = problem_of(k, contents::normal, random);
    lists_change_nothing<tka::bf16>(p);
  }
}

TEST_CASE("[tka.attention] [tka.order] lists that are not asked for change no bit: equal scores") {
  random_source random("no lists, equal");
  INFO(random);
  auto p = problem_of(777, contents::normal, random);
  for (auto& s : p.sequences) s.k.assign(s.k.size(), 0.5f);
  lists_change_nothing<tka::bf16>(p);
}

TEST_CASE("[tka.attention] [tka.minus_inf] lists that are not asked for: few scores above -inf") {
  random_source random("no lists, -inf");
  INFO(random);
  for (int const k : {100, 2048}) {
    CAPTURE(k);
    auto p = problem_of(k, contents::normal, random);
    std::size_t const dim = 64;
    for (auto& s : p.sequences) {
      for (std::size_t n = 0; n < s.q.size(); n += dim) s.q[n] = 1.0f;
      for (std::size_t n = 0; n < s.k.size(); n += dim) {
        if (random.between(0, 9) > 0) s.k[n] = -std::numeric_limits<float>::infinity();
      }
    }
    lists_change_nothing<tka::bf16>(p);
  }
}

/// As many rows as fill a GPU several times, as long as its blocks have room for.
TEST_CASE("[tka.attention] many long rows, without lists and in other cuts") {
  random_source random("no lists, many rows");
  INFO(random);
  auto r = rules(300);
  r.q_heads = 32;
  r.kv_heads = 2;
  int const tokens = fast() ? 2 : 23;
  auto const p = make_problem(r, {{tokens, 11970}, {tokens, 7874}}, contents::integers, random);
  lists_change_nothing<tka::bf16>(p);
}

TEST_CASE("[tka.attention] [tka.invariant] long rows in units that are not full") {
  random_source random("no lists, odd units");
  INFO(random);
  auto const p = make_problem(rules(300), {{3, 10000}, {3, 3000}}, contents::integers, random);
  arranged<tka::bf16, tka::form<>> const a(p, {});
  auto const expected = attend<tka::exact_radix>(a, options_of(p.rules));
  REQUIRE(fault(expected) == "");
  for (bool const lists : {false, true}) {
    settings how;
    how.lists = lists;
    how.schedule = tka::schedule{.workers = on_cuda ? 1 << 30 : 8, .query_tile = 2};
    auto const got = attend<tka::exact_radix>(a, options_of(p.rules), how);
    REQUIRE(fault(got) == "");
    for (std::size_t b = 0; b < p.sequences.size(); ++b) {
      CHECK(attention_difference(expected.sequences[b], got.sequences[b]) == "");
    }
  }
}

}  // namespace
