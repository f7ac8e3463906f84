// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The error word of a call that has seen its data when it returns.

#pragma once

#include <tka/config.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// True for a backend that runs a call while the caller waits.
template <class Backend>
inline constexpr bool waits = requires { typename Backend::serial; };

/// Ors what was found into the caller's word, unless that is null; other threads may do the same.
[[nodiscard]] inline status told(std::uint32_t found, std::uint32_t* word) noexcept {
  if (found == 0) return status::ok;
  if (word != nullptr) __atomic_fetch_or(word, found, __ATOMIC_RELAXED);
  return status::data_error;
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
