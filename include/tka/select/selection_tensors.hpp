// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a selection policy says of itself to the calls: where its scores come from.

#pragma once

#include <tka/config.hpp>

namespace tka::inline TKA_ABI {

namespace detail {

struct no_tensors {};

struct query_key_scores {};  ///< q.k, one score a query head
struct index_scores {};      ///< the lightning indexer, one score for all heads
struct given_scores {};      ///< an array of the caller's

}  // namespace detail

}  // namespace tka::inline TKA_ABI
