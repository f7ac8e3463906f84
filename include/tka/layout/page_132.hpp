// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A page of DeepSeek's 132-byte index cache: where each part of it lies.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// A page under `index_layout::page_132`: `page_size` rows of `dim` e4m3, then as many fp32 scales.
/// (With a dim of 128 a token takes 132 bytes.) Offsets count bytes from the page's first.
struct page_132_geometry {
  std::int64_t page_size = 0;
  std::int32_t dim = 0;

  [[nodiscard]] TKA_INLINE constexpr std::int64_t row_at(std::int64_t slot) const noexcept {
    return slot * dim;
  }
  [[nodiscard]] TKA_INLINE constexpr std::int64_t scale_at(std::int64_t slot) const noexcept {
    return page_size * dim + slot * 4;
  }
  [[nodiscard]] TKA_INLINE constexpr std::int64_t bytes() const noexcept {
    return scale_at(page_size);
  }
};
static_assert(page_132_geometry{1, 128}.bytes() == 132);

}  // namespace tka::inline TKA_ABI
