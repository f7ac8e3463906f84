// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The selection policy that errs on purpose, by a known share.

#pragma once

#include <tka/config.hpp>
#include <tka/select/selection_tensors.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// What takes the place of the true top keys that a `synthetic_fidelity` leaves out.
enum class fill : std::int32_t {
  next_ranked,  ///< the keys that rank after the true top: an indexer that errs at the border
  random        ///< any other visible keys: one that misses at random
};

/// What a row of `synthetic_fidelity` needs: integers alone, so that every backend draws the same.
struct fidelity_numbers {
  std::uint64_t seed = 0;
  std::uint32_t share = 0;  ///< of the true top that is kept, in 2^-24
  tka::fill fill = tka::fill::next_ranked;
  friend constexpr bool operator==(fidelity_numbers const&, fidelity_numbers const&) = default;

  /// How many of the `top` largest of `keys` competing keys are kept: round(share * top), and more
  /// where too few other keys exist to fill up with.
  [[nodiscard]] TKA_INLINE constexpr std::int32_t kept(std::int32_t top,
                                                       std::int32_t keys) const noexcept {
    auto const wanted =
        static_cast<std::int32_t>((static_cast<std::uint64_t>(top) * share + (1u << 23)) >> 24);
    std::int32_t const needed = top - (keys - top);
    return wanted > needed ? wanted : needed;
  }
  /// The stream of draws of one selection: of the query token at a position, and a scope head.
  [[nodiscard]] TKA_INLINE constexpr std::uint64_t stream(std::int64_t query_position,
                                                          std::int32_t head) const noexcept {
    return mixed(mixed(seed + static_cast<std::uint64_t>(query_position)) +
                 static_cast<std::uint64_t>(head));
  }
  /// The draw of the key at `position`, in [0, 2^31); the largest are taken, earlier ones of equal.
  [[nodiscard]] TKA_INLINE static constexpr std::int32_t draw(std::uint64_t stream,
                                                              std::int64_t position) noexcept {
    return static_cast<std::int32_t>(mixed(stream + static_cast<std::uint64_t>(position)) >> 33);
  }

 private:
  /// Sebastiano Vigna's splitmix64: one step of the counter, then the finaliser.
  [[nodiscard]] TKA_INLINE static constexpr std::uint64_t mixed(std::uint64_t x) noexcept {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
  }
};

/// As many keys as `exact_radix` keeps, of which a share `precision` are true top-k keys, drawn at
/// random, and the rest are others: the instrument by which arXiv 2512.03494 measures what a
/// selector's retrieval precision is worth. (The paper does not say how it fills up: see `fill`.)
/// Of t = min(k, competing keys) round(precision * t) true ones stay; more where the row has too
/// few other keys, so a row with visible <= k keeps all. Forced keys are outside of the count.
/// Draws are integer hashes of (seed, position of the query, scope head, position of the key): the
/// same sets on every backend for the same scores, in any batch, alone or in a schedule. An
/// instrument: a row costs several passes and scratch for all its keys.
///
///     attend.plan(shape, options, device, tka::synthetic_fidelity{.precision = 0.6f});
struct synthetic_fidelity {
  using selector = synthetic_fidelity;
  using score_source = detail::query_key_scores;
  using tensors = detail::no_tensors;
  using row_numbers = fidelity_numbers;
  static constexpr bool is_exact = false;

  float precision = 1.0f;  ///< in [0, 1]; 1 selects the set of `exact_radix`
  tka::fill fill = tka::fill::next_ranked;
  std::uint64_t seed = 0;

  [[nodiscard]] TKA_INLINE constexpr status check() const noexcept {
    bool const known = fill == tka::fill::next_ranked || fill == tka::fill::random;
    return precision >= 0.0f && precision <= 1.0f && known ? status::ok : status::invalid_selection;
  }
  [[nodiscard]] TKA_INLINE constexpr row_numbers derive() const noexcept {
    return {.seed = seed,
            .share = static_cast<std::uint32_t>(precision * 16777216.0f + 0.5f),
            .fill = fill};
  }
  friend constexpr bool operator==(synthetic_fidelity const&, synthetic_fidelity const&) = default;
};

}  // namespace tka::inline TKA_ABI
