// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Speed of attending, and the head sizes that its buffers hold.

#pragma once

#include <tka/config.hpp>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Query heads with one selection that are attended together.
inline constexpr int attend_heads = 16;

/// Head sizes that the buffers hold.
inline constexpr int max_qk_dim = 576;
inline constexpr int max_v_dim = 512;

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
