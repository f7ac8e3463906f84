// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Scores that are the attention's own: q . k.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/softmax_sums.hpp>
#include <tka/options.hpp>
#include <tka/plan.hpp>
#include <tka/scale_view.hpp>
#include <tka/shape.hpp>
#include <tka/source/location.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// A score source says what is scored and how the scores of several heads become one. Its members
/// are the same for every source and on every backend; `Arithmetic` is the backend's, over as many
/// values at once as it likes.
template <class Problem>
struct query_key_source {
  using query_type = typename Problem::precision::query_type;
  using key_type = typename Problem::precision::key_type;
  using key_layout = typename Problem::cache_layout;

  /// Scores are dot products of a query row and a key row.
  static constexpr bool by_products = true;
  /// Each score head has a selection of its own; else the score heads are joined.
  static constexpr bool each_head = Problem::per_query_head;
  /// The score of a selected key is the one that attention weighs it by.
  static constexpr bool is_attention_score = true;
  /// A joined score is multiplied by a factor of its key.
  static constexpr bool has_key_factor = false;

  /// Heads that scan keys on their own.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t scan_heads(shape const& s) noexcept {
    return s.kv_heads;
  }
  /// Scores of one token and key that one scanning head makes.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t score_heads(shape const& s) noexcept {
    return s.group();
  }
  /// Of the rows that are multiplied.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t dim(shape const& s) noexcept {
    return s.qk_dim;
  }

  /// `s`: a shape, or what else knows its group.
  template <class Arguments, class Extents>
  [[nodiscard]] TKA_HOST_DEVICE static query_type const* query_row(Arguments const& a,
                                                                   Extents const& s, location query,
                                                                   std::int32_t scan_head,
                                                                   std::int32_t head) noexcept {
    return a.q.at(query.outer, std::int64_t{scan_head} * s.group() + head, query.token);
  }
  template <class Arguments>
  [[nodiscard]] TKA_HOST_DEVICE static tensor_view<key_type const> keys(
      Arguments const& a) noexcept {
    return a.k;
  }
  /// Scales inside a key's dot product, where the layout has some.
  template <class Arguments>
  [[nodiscard]] TKA_HOST_DEVICE static auto const& key_scales(Arguments const& a) noexcept {
    return a.scales;
  }

  /// Of all heads together, before the first has joined.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr float first(options const& o) noexcept {
    return o.combine == combine::max ? minus_infinity : 0.0f;
  }
  /// `joined` with the score `next` of head `head`, in head order. (Not for combine::softmax_sum,
  /// which needs sums over all keys first.)
  template <class Arithmetic, class Value, class Arguments>
  [[nodiscard]] TKA_HOST_DEVICE static Value join(Arithmetic const& arithmetic, options const& o,
                                                  Arguments const&, Value joined, Value next,
                                                  location, std::int32_t head) noexcept {
    if (o.combine == combine::max) return arithmetic.larger(joined, next);
    // The first head's score goes in as it is: 0 + -0 is another zero.
    return head == 0 ? next : arithmetic.add(joined, next);
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
