// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The share of the matrix that is scored by q.k, in fp16.

#include "matrix.hpp"

namespace {

TEST_CASE("[tka.storage] [tka.attention] fp16, q.k: contiguous keys") {
  matrix::check_query_key<tka::fp16, tka::kv::contiguous>();
}
TEST_CASE("[tka.storage] [tka.attention] fp16, q.k: ragged keys") {
  matrix::check_query_key<tka::fp16, tka::kv::ragged>();
}
TEST_CASE("[tka.storage] [tka.attention] fp16, q.k: paged keys") {
  matrix::check_query_key<tka::fp16, tka::kv::paged>();
}

}  // namespace
