// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// From a position in the whole sequence to the local index of a shard.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/options.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// The local index of `position` >= 0; -1: it is another shard's.
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t local_index_of(
    shard const& part, std::int64_t position) noexcept {
  std::int64_t const local = local_below(part, position);
  return local_below(part, position + 1) == local ? -1 : local;
}

/// The same for an entry of a caller's list over a sequence of `length` keys: -1 stands for no key,
/// anything else outside is reported; both give -1.
template <class Report>
[[nodiscard]] TKA_HOST_DEVICE std::int32_t local_index_of_entry(shard const& part,
                                                                std::int64_t length,
                                                                std::int32_t position,
                                                                Report&& report) noexcept {
  if (position < 0 || position >= length) {
    if (position != -1) report(data_error::position_out_of_range);
    return -1;
  }
  return static_cast<std::int32_t>(local_index_of(part, position));
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
