// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Where a token lies: the answer of every source.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

namespace form_part {
struct query_source;
struct kv_source;
}  // namespace form_part

/// Indices for the batch and token strides of a view. `outer` < 0: the token is not there.
struct location {
  std::int64_t outer;
  std::int64_t token;
};

namespace detail {

/// Stands where a source with pages has a member, so that giving it is told in one sentence. (Not
/// [[no_unique_address]]: nvcc 13.0 then places what follows elsewhere in kernels than on the
/// host.)
template <int Member>
struct paged_only {
  paged_only() = default;
  template <class T>
  TKA_INLINE constexpr paged_only(T const&) noexcept {
    static_assert(sizeof(T) == 0,
                  "tka::form: this kv source has no pages; use form<kv::paged> for a block_table");
  }
};

}  // namespace detail

}  // namespace tka::inline TKA_ABI
