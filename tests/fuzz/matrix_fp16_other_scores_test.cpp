// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The share of the matrix that is scored by an indexer or the caller, in fp16.

#include "matrix.hpp"

namespace {

TEST_CASE("[tka.storage] [tka.attention] fp16, indexer and stored scores") {
  matrix::check_other_scores<tka::fp16>("matrix fp16 other_scores");
}

}  // namespace
