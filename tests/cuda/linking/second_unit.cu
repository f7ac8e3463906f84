// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The other translation unit, and the comparison.

#include <cuda/linking/one_call.cuh>
#include <doctest/doctest.h>

std::vector<int> of_first_unit(int n);

TEST_CASE("two translation units with the same instance link, and both run") {
  for (int const n : {3, 10, 5000}) {
    std::vector<int> const expected{n - 3, n - 2, n - 1};
    CHECK(of_first_unit(n) == expected);
    CHECK(last_three(n) == expected);
  }
}
