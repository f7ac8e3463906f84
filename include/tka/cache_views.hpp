// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Views of the caches whose rows are not plain: DeepSeek's 656-byte rows and 132-byte pages.

#pragma once

#include <tka/config.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI {

namespace detail {

template <class Byte>
using e4m3_like = std::conditional_t<std::is_const_v<Byte>, float8_e4m3_t const, float8_e4m3_t>;

}  // namespace detail

/// k of layout::mla_656: packed rows [outer, tokens, 656 bytes], where `outer` counts sequences
/// (kv::contiguous, `tokens` = kv_len), pages (kv::paged, `tokens` = page_size) or is 1
/// (kv::ragged). `Byte`: any type of one byte, const for a cache that is read.
template <class Byte>
[[nodiscard]] TKA_INLINE inline tensor_view<detail::e4m3_like<Byte>> mla_656_rows(
    Byte* data, std::int64_t outer, std::int64_t tokens) noexcept {
  constexpr std::int64_t row = 656;
  return {data,
          {.batch = outer, .head = 1, .token = tokens, .last = row},
          {.batch = tokens * row, .head = 0, .token = row}};
}

/// k of index_layout::page_132: packed pages, each of page_size rows of index_dim e4m3 and then
/// page_size fp32 scales (132 bytes a token where index_dim is 128).
template <class Byte>
[[nodiscard]] TKA_INLINE inline tensor_view<detail::e4m3_like<Byte>> index_pages_132(
    Byte* data, std::int64_t pages, std::int64_t page_size, std::int64_t index_dim = 128) noexcept {
  return {data,
          {.batch = pages, .head = 1, .token = page_size, .last = index_dim},
          {.batch = page_size * (index_dim + 4), .head = 0, .token = index_dim}};
}

}  // namespace tka::inline TKA_ABI
