// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Where the keys of one tile lie.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/tuning.hpp>
#include <tka/source/location.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Locations of tile_keys keys and of some that follow, which are asked for ahead of their use.
template <class KvSource>
class key_tile {
 public:
  /// Locates `count` keys of sequence b from local index `first` on; no key stands at `end` or
  /// after it.
  void locate(typename KvSource::tensors const& kv, std::int32_t b, std::int32_t page_size,
              std::int32_t first, std::int32_t count, std::int32_t end) noexcept {
    first_ = first;
    count_ = count;
    page_size_ = page_size;
    reach_ = std::min(count + tuned.keys_ahead, end - first);
    missing_ = false;
    each_run(reach_, [&](std::int32_t i, std::int32_t n) {
      location const at = KvSource::locate(kv, b, first + i, page_size);
      for (std::int32_t j = 0; j < n; ++j) at_[i + j] = {at.outer, at.token + j};
      missing_ |= at.outer < 0 && i < count;
    });
  }

  [[nodiscard]] std::int32_t first() const noexcept { return first_; }
  [[nodiscard]] std::int32_t count() const noexcept { return count_; }
  /// Keys that are located: those of the tile and those ahead.
  [[nodiscard]] std::int32_t reach() const noexcept { return reach_; }
  /// A page of the tile is out of range: its keys are invisible.
  [[nodiscard]] bool missing() const noexcept { return missing_; }
  [[nodiscard]] location at(std::int32_t i) const noexcept { return at_[i]; }
  [[nodiscard]] bool there(std::int32_t i) const noexcept { return at_[i].outer >= 0; }

  /// Calls function(i, n) for keys i .. i + n of the tile that lie one after the other: those of a
  /// page, or all.
  template <class Function>
  void each_run(std::int32_t count, Function&& function) const noexcept {
    if constexpr (KvSource::has_pages) {
      std::int32_t left = page_size_ - first_ % page_size_;
      for (std::int32_t i = 0; i < count; left = page_size_) {
        std::int32_t const n = std::min(left, count - i);
        function(i, n);
        i += n;
      }
    } else {
      function(0, count);
    }
  }

 private:
  std::int32_t first_ = 0;
  std::int32_t count_ = 0;
  std::int32_t reach_ = 0;
  std::int32_t page_size_ = 1;
  bool missing_ = false;
  location at_[tile_keys + tuned.keys_ahead];
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
