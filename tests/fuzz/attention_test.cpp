// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// sparse_attention with every argument and option drawn together, over the pairwise list of types.

#include <support/combination.hpp>

#include <cuda/pairwise_list.hpp>
#include <doctest/doctest.h>
#include <fuzz/instance.hpp>

namespace {

std::vector<fuzz::instance> instances() {
  std::vector<fuzz::instance> all;
  each_combination([&all]<class S, class P, class F>(support::combination<S, P, F>) {
    all.push_back(fuzz::attend_instance<S, P, F>(__PRETTY_FUNCTION__));
  });
  return all;
}

TEST_CASE("[tka.exact] [tka.approximate] [tka.attention] sparse_attention, all arguments drawn") {
  auto const ran = fuzz::run_campaign("attention", instances(), fuzz::effort_of(1000));
  MESSAGE(ran.of.rows.size() << " cases, of them " << ran.of.pairwise_rows << " for "
                             << ran.of.pairs << " pairs; " << ran.of.triples << " triples");
  for (auto const& fault : ran.faults) FAIL_CHECK(fault);
  CHECK(!ran.of.rows.empty());
}

}  // namespace
