// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Memory that the caller lends to one call.

#pragma once

#include <tka/config.hpp>

#include <cstddef>

namespace tka::inline TKA_ABI {

/// The caller owns every byte. `scratch` may hold any bits before and after a call. `state` is
/// made once by `initialize`, left ready by each call, and serves one call at a time; after a
/// failed call initialise it again. Both are aligned to 64 bytes; sizes are in the plan.
struct workspace {
  void* scratch = nullptr;
  std::size_t scratch_bytes = 0;
  void* state = nullptr;
  std::size_t state_bytes = 0;
};

/// Bases of `scratch` and `state` are multiples of this.
inline constexpr std::size_t workspace_alignment = 64;

}  // namespace tka::inline TKA_ABI
