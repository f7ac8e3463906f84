// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The list of regions of a workspace: run once without memory for its size, once to carve.

#pragma once

#include <tka/config.hpp>
#include <tka/workspace.hpp>

#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI::detail {

/// Hands out aligned regions of one block. With a null base it only counts.
class arena {
 public:
  explicit constexpr arena(void* base) noexcept : base_(static_cast<std::byte*>(base)) {}

  template <class T>
  [[nodiscard]] T* take(std::int64_t count) noexcept {
    std::size_t const here = used_;
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + workspace_alignment - 1) /
             workspace_alignment * workspace_alignment;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + here);
  }
  [[nodiscard]] constexpr std::size_t used() const noexcept { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail
