// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Scores of the lightning indexer.

#pragma once

#include <tka/config.hpp>
#include <tka/layout/page_132.hpp>
#include <tka/options.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/shape.hpp>
#include <tka/source/location.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// sum over heads of weight * max(q . k, 0), times the key's scale. Members: see
/// `query_key_source`.
template <class Problem>
struct index_source {
  using query_type = typename Problem::selection::precision::query_type;
  using key_type = typename Problem::selection::precision::key_type;
  using key_layout = typename Problem::selection::cache_layout;

  static constexpr bool by_products = true;
  static constexpr bool each_head = false;
  static constexpr bool is_attention_score = false;
  static constexpr bool has_key_factor = true;

  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t scan_heads(shape const&) noexcept {
    return 1;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t score_heads(shape const& s) noexcept {
    return s.index_heads;
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t dim(shape const& s) noexcept {
    return s.index_dim;
  }

  template <class Arguments, class Extents>
  [[nodiscard]] TKA_HOST_DEVICE static query_type const* query_row(Arguments const& a,
                                                                   Extents const&, location query,
                                                                   std::int32_t,
                                                                   std::int32_t head) noexcept {
    return a.index.q.at(query.outer, head, query.token);
  }
  template <class Arguments>
  [[nodiscard]] TKA_HOST_DEVICE static tensor_view<key_type const> keys(
      Arguments const& a) noexcept {
    return a.index.k;
  }

  [[nodiscard]] TKA_HOST_DEVICE static constexpr float first(options const&) noexcept {
    return 0.0f;
  }
  template <class Arithmetic, class Value, class Arguments>
  [[nodiscard]] TKA_HOST_DEVICE static Value join(Arithmetic const& arithmetic, options const&,
                                                  Arguments const& a, Value joined, Value next,
                                                  location query, std::int32_t head) noexcept {
    float const weight = *a.index.weights.at(query.outer, head, query.token);
    return arithmetic.multiply_add(weight, arithmetic.rectified(next), joined);
  }

  /// What the joined score of the key at `key` is multiplied by.
  template <class Arguments>
  [[nodiscard]] TKA_HOST_DEVICE static float key_factor(Arguments const& a, shape const& s,
                                                        location key) noexcept {
    if constexpr (std::is_same_v<key_layout, index_layout::page_132>) {
      page_132_geometry const page{s.page_size, s.index_dim};
      float scale;
      __builtin_memcpy(&scale, a.index.k.at(key.outer, 0, 0) + page.scale_at(key.token),
                       sizeof(scale));
      return scale;
    } else {
      return a.index.k_scales ? *a.index.k_scales.at(key.outer, 0, key.token) : 1.0f;
    }
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
