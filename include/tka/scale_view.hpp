// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Dequantisation scales of any granularity.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// fp32 scales that multiply what is stored. A stride of 0 shares: all strides 0 is one scale for
/// the tensor, `head` alone one a head, `token` one a token, `block` one for each 128 values.
/// `batch` and `token` count as in the view of the tensor (pages and slots for `kv::paged`).
/// Scales are finite and > 0.
template <class Float = float const>
struct basic_scale_view {
  Float* data = nullptr;  ///< null: every scale is 1
  std::int64_t batch = 0;
  std::int64_t head = 0;
  std::int64_t token = 0;
  std::int64_t block = 0;

  [[nodiscard]] TKA_HOST_DEVICE constexpr Float* at(std::int64_t b, std::int64_t h,
                                                    std::int64_t t) const noexcept {
    return data + (b * batch + h * head + t * token);
  }
};

using scale_view = basic_scale_view<float const>;
/// Where `append` and `quantize_rows` write the scales that they choose.
using mutable_scale_view = basic_scale_view<float>;

/// Values that share one scale where `block` is not 0.
inline constexpr std::int32_t scale_block = 128;

}  // namespace tka::inline TKA_ABI
