// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CPU backend as second oracle: on integers both keep the same sets with the same scores, bit
/// for bit, and their outputs differ by rounding alone.

#include <support/combination.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <cuda/cpu_reference.hpp>
#include <cuda/instances.cuh>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace {

using namespace support;
using cpu_reference::instance;

template <class T>
double largest_difference(std::vector<T> const& a, std::vector<T> const& b) {
  double worst = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;  // infinities
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return worst;
}

/// -0 equals +0, and which of them a sum gives depends on its order.
std::vector<float> no_minus_zero(std::vector<float> scores) {
  for (float& x : scores) x += 0.0f;
  return scores;
}

template <class Selection, class Precision, class Form>
void same_as_cpu(instance which, char const* name) {
  random_source random(name);
  INFO(random);
  CAPTURE(name);
  for (int const k : {3, 40, 1000}) {
    auto const p = combination<Selection, Precision, Form>::problem(
        {{3, fast() ? 500 : 5000}, {3, 300}, {3, 2}, {3, 0}}, k, random);
    arranged<Precision, Form> const a(p, {.page_size = 7});
    auto const got = attend<Selection>(a, options_of(p.rules));
    REQUIRE(fault(got) == "");
    auto const expected = cpu_reference::attend(which, p);
    REQUIRE(expected.size() == got.sequences.size());
    for (std::size_t b = 0; b < expected.size(); ++b) {
      CAPTURE(b);
      auto const& ours = got.sequences[b];
      CHECK(bit_difference("count", expected[b].count, ours.count) == "");
      CHECK(bit_difference("positions", expected[b].positions, ours.positions) == "");
      CHECK(bit_difference("scores", no_minus_zero(expected[b].scores),
                           no_minus_zero(ours.scores)) == "");
      CHECK(bit_difference("threshold", expected[b].threshold_position, ours.threshold_position) ==
            "");
      double const rounding = sizeof(typename Precision::output_type) == 4 ? 1e-5 : 4e-2;
      CHECK(largest_difference(expected[b].o, ours.o) < rounding);
      CHECK(largest_difference(expected[b].lse, ours.lse) < 1e-4);
    }
  }
}

TEST_CASE("[tka.exact] [tka.approximate] [tka.attention] both backends keep the same sets") {
  using indexer =
      tka::lightning_indexer<tka::exact_radix, tka::index_fp8, tka::index_layout::page_132>;
  using groups = tka::form<tka::kv::paged, tka::query::ragged, tka::scope::kv_group>;
  using pages =
      tka::form<tka::kv::paged, tka::query::ragged, tka::scope::all_heads, tka::visibility::all>;
  same_as_cpu<tka::exact_radix, tka::fp32, tka::form<>>(instance::exact_fp32, "exact fp32");
  same_as_cpu<tka::exact_radix, tka::bf16, tka::form<>>(instance::exact_bf16, "exact bf16");
  same_as_cpu<tka::bucketed, tka::bf16, tka::form<>>(instance::bucketed_bf16, "bucketed bf16");
  same_as_cpu<tka::exact_radix, tka::fp16, groups>(instance::exact_fp16_groups, "fp16 groups");
  same_as_cpu<indexer, tka::bf16, pages>(instance::indexer_pages, "indexer pages");
}

}  // namespace
