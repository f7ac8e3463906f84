// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The bits of one type as another, on the host and on a device.

#pragma once

#include <tka/config.hpp>

#include <type_traits>

namespace tka::inline TKA_ABI::detail {

/// std::bit_cast, which CUDA does not let device code call.
template <class To, class From>
  requires(sizeof(To) == sizeof(From) && std::is_trivially_copyable_v<To> &&
           std::is_trivially_copyable_v<From>)
[[nodiscard]] TKA_HOST_DEVICE constexpr To bits_as(From const& from) noexcept {
  return __builtin_bit_cast(To, from);
}

}  // namespace tka::inline TKA_ABI::detail
