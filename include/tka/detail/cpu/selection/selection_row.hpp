// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Whose selection begins: what a selector may know of it.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// One query token and scope head.
struct selection_row {
  std::int32_t keep = 0;            ///< keys that it keeps at most, forced ones among them
  std::int32_t keys = 0;            ///< visible keys
  std::int64_t query_position = 0;  ///< in the whole sequence
  std::int32_t scope_head = 0;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
