// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Telling the caller that data broke a rule.

#pragma once

#include <tka/config.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

__device__ inline void report(std::uint32_t* word, data_error bit) noexcept {
  if (word != nullptr) atomicOr(word, static_cast<std::uint32_t>(bit));
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
