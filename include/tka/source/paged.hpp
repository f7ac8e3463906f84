// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Keys in pages that a block table strings together.

#pragma once

#include <tka/source/location.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

namespace kv {

/// k [pages, kv_heads, page_size, dim] by strides (`batch` is the stride between pages). Token i
/// of sequence b lies in page block_table[b][i / page_size] at slot i % page_size. Any page size.
struct paged {
  using part = form_part::kv_source;
  static constexpr bool has_pages = true;

  struct tensors {
    /// [batch] keys of each sequence; required. Outside 0..kv_len: empty rows.
    std::int32_t const* lengths = nullptr;
    /// [batch, ceil(kv_len / page_size)] page numbers; required. A page outside 0..pages - 1 is
    /// never read and its tokens are invisible.
    std::int32_t const* block_table = nullptr;
    std::int64_t table_stride = 0;  ///< elements from one sequence's table to the next
    /// [batch] where the table of each sequence begins (CSR); null: b * table_stride.
    std::int32_t const* table_begin = nullptr;
    std::int32_t pages = 0;  ///< pages that exist
  };

  [[nodiscard]] TKA_HOST_DEVICE static constexpr bool complete(tensors const& t) noexcept {
    return t.lengths != nullptr && t.block_table != nullptr;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int64_t length(tensors const& t,
                                                                     std::int32_t b,
                                                                     std::int32_t bound) noexcept {
    std::int32_t const n = t.lengths[b];
    return n < 0 || n > bound ? -1 : n;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int64_t room(tensors const&, std::int32_t,
                                                                   std::int32_t bound) noexcept {
    return bound;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr location locate(tensors const& t, std::int32_t b,
                                                                 std::int32_t local,
                                                                 std::int32_t page_size) noexcept {
    std::int64_t const begin = t.table_begin != nullptr ? t.table_begin[b] : b * t.table_stride;
    std::int32_t const page = t.block_table[begin + local / page_size];
    if (page < 0 || page >= t.pages) return {-1, 0};
    return {page, local % page_size};
  }
};

}  // namespace kv

}  // namespace tka::inline TKA_ABI
