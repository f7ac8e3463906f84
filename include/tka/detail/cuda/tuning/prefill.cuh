// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How a prefill samples keys before it looks at all of them.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Keys of a first sample, all of whose scores are kept, and of a second one; 0: there is none.
struct prefill_samples {
  std::int32_t first = 0;
  std::int32_t second = 0;
  friend constexpr bool operator==(prefill_samples const&, prefill_samples const&) = default;
};

/// For rows that see at most `keys` keys.
[[nodiscard]] TKA_HOST_DEVICE constexpr prefill_samples samples_of(std::int32_t keys) noexcept {
  if (keys <= 1024) return {0, 0};
  if (keys <= 12 * 1024) return {512, 0};
  return {512, keys / 8 / 256 * 256};
}
static_assert(samples_of(32768) == prefill_samples{512, 4096});

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
