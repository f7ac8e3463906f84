// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The share of the matrix that is scored by an indexer or the caller, in fp8.

#include "matrix.hpp"

namespace {

TEST_CASE("[tka.storage] [tka.attention] fp8, indexer and stored scores: contiguous keys") {
  matrix::check_other_scores<tka::fp8, tka::kv::contiguous>();
}
TEST_CASE("[tka.storage] [tka.attention] fp8, indexer and stored scores: ragged keys") {
  matrix::check_other_scores<tka::fp8, tka::kv::ragged>();
}
TEST_CASE("[tka.storage] [tka.attention] fp8, indexer and stored scores: paged keys") {
  matrix::check_other_scores<tka::fp8, tka::kv::paged>();
}

}  // namespace
