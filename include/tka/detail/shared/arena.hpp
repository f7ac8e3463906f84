// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The list of regions of a workspace: run once without memory for its size, once to carve.

#pragma once

#include <tka/config.hpp>
#include <tka/workspace.hpp>

#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// Scratch beyond the address space of today's processors is refused.
inline constexpr std::int64_t max_scratch = std::int64_t{1} << 47;

/// a * b for a, b >= 0; what is beyond every limit stays there.
[[nodiscard]] constexpr std::int64_t bounded_product(std::int64_t a, std::int64_t b) noexcept {
  constexpr std::int64_t most = std::int64_t{1} << 60;
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) || product > most ? most : product;
}

/// Hands out aligned regions of one block. With a null base it only counts.
class arena {
 public:
  explicit constexpr arena(void* base) noexcept : base_(static_cast<std::byte*>(base)) {}

  template <class T>
  [[nodiscard]] T* take(std::int64_t count) noexcept {
    std::size_t const here = used_;
    auto const bytes = static_cast<std::size_t>(bounded_product(count, sizeof(T)));
    used_ += (bytes + workspace_alignment - 1) / workspace_alignment * workspace_alignment;
    if (used_ > static_cast<std::size_t>(bounded)) used_ = static_cast<std::size_t>(bounded);
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + here);
  }
  [[nodiscard]] constexpr std::size_t used() const noexcept { return used_; }

 private:
  static constexpr std::int64_t bounded = std::int64_t{1} << 60;

  std::byte* base_;
  std::size_t used_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
