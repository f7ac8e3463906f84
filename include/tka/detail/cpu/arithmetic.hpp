// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The canonical arithmetic of the CPU backend: what decides the bits of a result. Change a number
/// here and results change; what only changes speed stands in tuning.hpp.
///
/// Score. A dot product is one chain a lane: lane l adds the products of dimensions l, l + lanes,
/// l + 2 * lanes, ... in ascending order, fused where the target fuses; then a tree of additions
/// over neighbouring lanes. (Keys in bf16 are widened two registers at a time, even places before
/// odd ones: see dot_products.hpp.) Neither the neighbours of a pair nor the shape of a block
/// enter.
///
/// Sums over visible keys. Local indices are cut into tiles of `tile_keys`, wherever a row begins.
/// Each tile has its softmax sums, and these merge in ascending order.
///
/// Sums over selected keys. A list is cut into steps of `step_keys` entries that are keys. Each
/// step refers the sums to the maximum so far, then adds its own: probabilities lane by lane and
/// then by the tree, values key after key, fused where the target fuses.
///
/// Nothing here depends on workers, query tiles, splits, bounds or the batch.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/functions.hpp>
#include <tka/detail/cpu/lanes.hpp>

#include <cmath>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Keys whose scores are made, and whose visible sums are cut, together.
inline constexpr std::int32_t tile_keys = 128;

/// Selected keys that are attended together.
inline constexpr std::int32_t step_keys = 64;

/// Head sizes are multiples of it.
inline constexpr std::int32_t head_dim_grain = 16;

static_assert(tile_keys % lane_count == 0 && step_keys % lane_count == 0,
              "tka::cpu: sums go over whole registers");
static_assert(head_dim_grain % lane_count == 0,
              "tka::cpu: a row is whole registers; widen head_dim_grain");
static_assert(tile_keys % step_keys == 0, "tka::cpu: a step of a full list lies in one tile");

/// Exponential and logarithm of softmax sums.
struct lane_math {
  [[nodiscard]] static float exp(float x) noexcept { return exponential(x); }
  [[nodiscard]] static float log(float x) noexcept { return std::log(x); }
  [[nodiscard]] static float exp_of_lse(float x) noexcept { return std::exp(x); }
};

/// How a score source joins heads, over the keys of one register.
struct lane_arithmetic {
  [[nodiscard]] lanes add(lanes a, lanes b) const noexcept { return cpu::add(a, b); }
  /// weight * x + sum
  [[nodiscard]] lanes multiply_add(float weight, lanes x, lanes sum) const noexcept {
    return cpu::multiply_add(splat(weight), x, sum);
  }
  /// x where x > 0 or NaN, else 0.
  [[nodiscard]] lanes rectified(lanes x) const noexcept { return rectify(x); }
  /// The larger one; NaN of either passes.
  [[nodiscard]] lanes larger(lanes a, lanes b) const noexcept { return larger_or_nan(a, b); }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
