// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The rows of `append` and `merge`, one after the other on the calling thread.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/crew.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

template <class Work>
void run_rows(Work const& work) noexcept {
  constexpr one_thread crew{};
  float buffer[Work::buffered];
  for (std::int32_t b = 0; b < work.sequences(); ++b) {
    std::int64_t const rows = work.rows(b);
    if (rows < 0) crew.report(work.error(), data_error::query_range_invalid);
    for (std::int64_t row = 0; row < rows; ++row) work.row(b, row, crew, buffer);
  }
}

}  // namespace tka::inline TKA_ABI::detail::cpu
