// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Who does one row: threads that share it, here one alone.

#pragma once

#include <tka/config.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail {

/// A crew of one. What is written over a crew is written once for all backends: theirs have the
/// same members, and every thread of a crew takes the same way through a row.
struct one_thread {
  static constexpr std::int32_t size = 1;
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int32_t rank() const noexcept { return 0; }
  /// What the crew wrote before is seen by all of it behind.
  TKA_HOST_DEVICE constexpr void sync() const noexcept {}
  /// The largest of what the threads bring, for all of them; none is NaN.
  [[nodiscard]] TKA_HOST_DEVICE constexpr float largest(float x) const noexcept { return x; }
  /// Sets the bit in the error word, unless that is null.
  TKA_HOST_DEVICE constexpr void report(std::uint32_t* word, data_error bit) const noexcept {
    if (word != nullptr) *word |= static_cast<std::uint32_t>(bit);
  }
};

/// A backend that runs the rows of `Work` where the last arguments of the call say.
template <class Backend, class Work, class... Where>
concept runs_rows =
    requires(Work const& work, Where const&... where) { Backend::run_rows(work, where...); };

}  // namespace tka::inline TKA_ABI::detail
