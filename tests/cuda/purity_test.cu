// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A score is a function of its two rows: the bits that the scan orders by, those that attending
/// uses, those of a list from outside, of decoding and of prefill.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <cuda/instances.cuh>
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using namespace support;

constexpr int q_len = 20;
constexpr int kv_len = 700;

oracle::rules rules(int dim) {
  oracle::rules r;
  r.q_heads = 6;
  r.kv_heads = 2;
  r.qk_dim = dim;
  r.v_dim = 64;
  r.k = 16;
  r.scale = 0.125;  // a power of two: scale * score is exact
  return r;
}

template <class Precision>
void scores_are_pure(char const* name, int dim) {
  random_source random(name);
  INFO(random);
  CAPTURE(dim);
  auto const p = make_problem(rules(dim), {{q_len, kv_len}}, contents::normal, random);
  arranged<Precision, tka::form<>> const a(p, {});
  auto const options = options_of(p.rules);
  auto const scanned = select<tka::exact_radix>(a, options);
  auto const attended = attend<tka::exact_radix>(a, options);
  REQUIRE(fault(scanned) == "");
  REQUIRE(fault(attended) == "");
  CHECK(selection_difference(scanned.sequences[0], attended.sequences[0]) == "");

  // One key a list: lse is scale * score.
  for (std::size_t n = 0; n < 16; n += 5) {
    lists one_key(1);
    std::vector<float> expected;
    for (int h = 0; h < p.rules.q_heads; ++h) {
      for (int i = 0; i < q_len; ++i) {
        one_key[0].push_back({scanned.positions_of(0, q_len, h, i)[n]});
        expected.push_back(0.125f * scanned.scores_of(0, q_len, h, i)[n]);
      }
    }
    auto const got = attend_lists(a, options, one_key);
    REQUIRE(fault(got) == "");
    CHECK(bit_difference("scale * score", expected, got.sequences[0].lse) == "");
  }

  // Each query token on its own.
  for (int const i : {0, 7, q_len - 1}) {
    auto decode = p;
    auto& s = decode.sequences[0];
    s.q.clear();
    for (int h = 0; h < p.rules.q_heads; ++h) {
      auto const begin = p.sequences[0].q.begin() + std::ptrdiff_t{h * q_len + i} * dim;
      s.q.insert(s.q.end(), begin, begin + dim);
    }
    s.q_len = 1;
    s.query_position = {p.sequences[0].position_of_query(i)};
    arranged<Precision, tka::form<>> const alone(decode, {});
    auto const got = select<tka::exact_radix>(alone, options);
    REQUIRE(fault(got) == "");
    for (int h = 0; h < p.rules.q_heads; ++h) {
      CHECK(got.positions_of(0, 1, h, 0) == scanned.positions_of(0, q_len, h, i));
      CHECK(bit_difference("score", scanned.scores_of(0, q_len, h, i), got.scores_of(0, 1, h, 0)) ==
            "");
    }
  }
}

TEST_CASE("[tka.score] [tka.invariant] scan, attend, lists, decode and prefill score alike") {
  for (int const dim : {16, 64, 96, 128, 192, 256, 576}) {
    scores_are_pure<tka::bf16>("pure bf16", dim);
    scores_are_pure<tka::fp32>("pure fp32", dim);
  }
}

}  // namespace
