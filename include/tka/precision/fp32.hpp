// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// fp32 storage, the precision of references and of small CPU models.

#pragma once

#include <tka/config.hpp>

namespace tka::inline TKA_ABI {

/// q, k, v and o in fp32.
struct fp32 {
  using query_type = float;
  using key_type = float;
  using value_type = float;
  using output_type = float;
};

}  // namespace tka::inline TKA_ABI
