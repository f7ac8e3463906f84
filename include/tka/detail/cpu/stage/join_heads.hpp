// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// From the scores of several heads on one tile to the one score that a selection goes by.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/lanes.hpp>
#include <tka/detail/cpu/softmax.hpp>
#include <tka/options.hpp>
#include <tka/source/location.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// out[i] = the score of key i, of `raw` [heads][tile_keys]. Heads join in order, so bits do not
/// depend on blocking. `factor`: of the keys, where the source has some. Whole registers are read
/// and written. Not inlined: every caller runs the same instructions.
template <class Source, class Arguments>
[[gnu::noinline]] void join_heads(options const& o, Arguments const& a, location query,
                                  float const* raw, std::int32_t heads, float const* factor,
                                  std::int32_t count, float* out) noexcept {
  constexpr lane_arithmetic arithmetic{};
  for (std::int32_t i = 0; i < count; i += lane_count) {
    lanes joined = splat(Source::first(o));
    for (std::int32_t h = 0; h < heads; ++h) {
      lanes const next = load(raw + std::int64_t{h} * tile_keys + i);
      joined = Source::join(arithmetic, o, a, joined, next, query, h);
    }
    if constexpr (Source::has_key_factor) joined = multiply(joined, load(factor + i));
    store(out + i, joined);
  }
}

/// The sum of the heads' probabilities; a key that every head excludes stays excluded. `visible`
/// [heads]: the sums of each head over all visible keys. Whole registers are read and written.
inline void join_probabilities(logit_map const& to_logit, float const* raw, std::int32_t heads,
                               softmax_sums const* visible, std::int32_t count,
                               float* out) noexcept {
  alignas(64) float logit[tile_keys];
  lanes const none = splat(minus_infinity);
  for (std::int32_t i = 0; i < count; i += lane_count) store(out + i, none);
  for (std::int32_t h = 0; h < heads; ++h) {
    float const* const score = raw + std::int64_t{h} * tile_keys;
    float const lse = visible[h].lse();
    std::copy_n(score, count, logit);
    std::fill(logit + count, logit + tile_keys, minus_infinity);
    to_logit.apply(logit, tile_keys);
    for (std::int32_t i = 0; i < count; i += lane_count) {
      lanes const p = exponential(subtract(load(logit + i), splat(lse)));
      lanes const joined = load(out + i);
      lanes const more = joined == none ? p : add(joined, p);
      store(out + i, load(score + i) == none ? joined : more);
    }
  }
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
