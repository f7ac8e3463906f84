// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Every combination of the pairwise list: the exact set on integers, the outputs over it, and the
/// same bits under other schedules and with next to no scratch.

#include <support/cases.hpp>
#include <support/combination.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <cuda/pairwise_list.hpp>
#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace support;

/// Forces what a first plan would not choose: one block, more blocks than fit, tiny units, and
/// scratch for a single unit.
std::vector<settings> odd_settings() {
  if (fast())
    return {{.schedule = tka::schedule{.workers = 3, .query_tile = 5}, .scratch_limit = 1}};
  return {
      {.schedule = tka::schedule{.workers = 1, .query_tile = 1}, .scratch = int_poison},
      {.schedule = tka::schedule{.workers = on_cuda ? 1000000 : 9, .query_tile = 7}},
      {.schedule = tka::schedule{.workers = 3, .query_tile = 64, .splits = 3}, .scratch_limit = 1},
      {.scratch = 0, .scratch_limit = 1},
  };
}

template <class Selection, class Precision, class Form>
void check(char const* name, std::vector<lengths> const& sizes, int k) {
  random_source random(name);
  INFO(random);
  auto const p = combination<Selection, Precision, Form>::problem(sizes, k, random);
  CAPTURE(combination_number);
  CAPTURE(k);
  arranged<Precision, Form> const a(p, {.q = order::nhd, .kv = order::sliced, .page_size = 7});
  auto const options = options_of(p.rules);
  auto const got = attend<Selection>(a, options);
  auto const wrong_set = selection_fault(got, p);
  CHECK(wrong_set == "");
  CHECK(got.error == 0u);
  if (!wrong_set.empty()) return;
  CHECK(attention_fault<Precision>(got, p, lists_of(got, p)) == "");
  for (settings const& odd : odd_settings()) {
    CHECK(difference(got, attend<Selection>(a, options, odd)) == "");
  }
}

TEST_CASE("[tka.exact] [tka.approximate] [tka.attention] [tka.invariant] decode") {
  combination_number = 0;
  each_combination([]<class S, class P, class F>(combination<S, P, F>) {
    ++combination_number;
    check<S, P, F>("pairwise decode", {{1, 700}, {1, 24}, {1, 1}, {1, 0}}, 48);
  });
}

TEST_CASE("[tka.exact] [tka.approximate] [tka.attention] [tka.invariant] several query tokens") {
  combination_number = 0;
  each_combination([]<class S, class P, class F>(combination<S, P, F>) {
    ++combination_number;
    check<S, P, F>("pairwise tokens", {{8, 290}, {8, 24}, {8, 3}}, 24);
  });
}

TEST_CASE("[tka.exact] [tka.approximate] [tka.attention] [tka.invariant] prefill") {
  combination_number = 0;
  each_combination([]<class S, class P, class F>(combination<S, P, F>) {
    ++combination_number;
    int const n = fast() ? 40 : 150;
    check<S, P, F>("pairwise prefill", {{n, n}}, 32);
  });
}

}  // namespace
