// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Where a token lies: the answer of every source.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

namespace form_part {
struct query_source;
struct kv_source;
}  // namespace form_part

/// Indices for the batch and token strides of a view. `outer` < 0: the token is not there.
struct location {
  std::int64_t outer;
  std::int64_t token;
};

}  // namespace tka::inline TKA_ABI
