// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The share of the matrix that is scored by q.k, in fp8.

#include "matrix.hpp"

namespace {

TEST_CASE("[tka.storage] [tka.attention] fp8, q.k") {
  matrix::check_query_key<tka::fp8>("matrix fp8 query_key");
}

}  // namespace
