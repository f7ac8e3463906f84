// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The 656-byte row of DeepSeek's MLA cache: where each part of it lies.

#pragma once

#include <tka/config.hpp>
#include <tka/scale_view.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// One token of a cache under `layout::mla_656`: 512 e4m3 of the latent, an fp32 scale for each 128
/// of them, 64 bf16 of the rotated part. As a key it has 576 dimensions, as a value the first 512.
struct mla_656_row {
  static constexpr std::int32_t latent_dim = 512;
  static constexpr std::int32_t rope_dim = 64;
  static constexpr std::int32_t scales = latent_dim / scale_block;
  static constexpr std::int32_t qk_dim = latent_dim + rope_dim;
  static constexpr std::int32_t v_dim = latent_dim;

  // Offsets in bytes.
  static constexpr std::int32_t scales_at = latent_dim;
  static constexpr std::int32_t rope_at = scales_at + scales * 4;
  static constexpr std::int32_t bytes = rope_at + rope_dim * 2;

  [[nodiscard]] TKA_INLINE static constexpr std::int32_t scale_at(std::int32_t block) noexcept {
    return scales_at + block * 4;
  }
  [[nodiscard]] TKA_INLINE static constexpr std::int32_t rope_at_dim(std::int32_t d) noexcept {
    return rope_at + d * 2;
  }
};
static_assert(mla_656_row::bytes == 656);

}  // namespace tka::inline TKA_ABI
