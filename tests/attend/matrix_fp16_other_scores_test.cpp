// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The share of the matrix that is scored by an indexer or the caller, in fp16.

#include "matrix.hpp"

namespace {

TEST_CASE("[tka.storage] [tka.attention] fp16, indexer and stored scores: contiguous keys") {
  matrix::check_other_scores<tka::fp16, tka::kv::contiguous>();
}
TEST_CASE("[tka.storage] [tka.attention] fp16, indexer and stored scores: ragged keys") {
  matrix::check_other_scores<tka::fp16, tka::kv::ragged>();
}
TEST_CASE("[tka.storage] [tka.attention] fp16, indexer and stored scores: paged keys") {
  matrix::check_other_scores<tka::fp16, tka::kv::paged>();
}

}  // namespace
