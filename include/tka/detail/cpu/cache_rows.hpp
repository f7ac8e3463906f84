// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// From local indices to rows of keys and values that can be multiplied.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/dot_products.hpp>
#include <tka/detail/cpu/lanes.hpp>
#include <tka/detail/cpu/tile.hpp>
#include <tka/form.hpp>
#include <tka/scale_view.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/source/location.hpp>
#include <tka/tensor_view.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cpu {

/// Widens `dim` stored values and multiplies them by their scales.
template <class T>
inline void widen_row(T const* row, int dim, float const* scale, std::int64_t block_stride,
                      float* out) noexcept {
  for (int d = 0; d < dim; d += lane_count) {
    lanes x = widen(row + d);
    if (scale != nullptr) x = multiply(x, splat(scale[d / scale_block * block_stride]));
    store(out + d, x);
  }
}

/// Rows of a plain cache: read where they lie.
template <class T>
struct plain_rows {
  using element = T;
  static constexpr bool in_place = true;
  tensor_view<T const> view;
  std::int64_t head;

  [[nodiscard]] T const* address(location at) const noexcept {
    return view.at(at.outer, head, at.token);
  }
};

/// Rows with scales: widened into the caller's buffer, a tile at a time.
template <class T>
struct scaled_rows {
  using element = float;
  static constexpr bool in_place = false;
  tensor_view<T const> view;
  scale_view scale;
  std::int64_t head;

  void widen_to(location at, int dim, float* out) const noexcept {
    widen_row(view.at(at.outer, head, at.token), dim,
              scale.data == nullptr ? nullptr : scale.at(at.outer, head, at.token), scale.block,
              out);
  }
};

/// DeepSeek's 656-byte rows: 512 e4m3, four fp32 scales, 64 bf16.
struct mla_656_rows {
  using element = float;
  static constexpr bool in_place = false;
  static constexpr int latent_dim = 512;
  static constexpr int rope_dim = 64;
  tensor_view<float8_e4m3_t const> view;

  void widen_to(location at, int dim, float* out) const noexcept {
    float8_e4m3_t const* const row = view.at(at.outer, 0, at.token);
    float scale[latent_dim / scale_block];
    std::memcpy(scale, row + latent_dim, sizeof(scale));
    widen_row(row, latent_dim, scale, 1, out);
    if (dim > latent_dim) {
      auto const* rope = reinterpret_cast<bfloat16_t const*>(row + latent_dim + sizeof(scale));
      widen_row(rope, rope_dim, nullptr, 0, out + latent_dim);
    }
  }
};

/// Index keys of DeepSeek's 132-byte cache: the page's rows, then the page's scales. The rows come
/// without their scales, which multiply the finished sums as in every other index cache.
struct index_page_rows {
  using element = float;
  static constexpr bool in_place = false;
  tensor_view<float8_e4m3_t const> view;
  std::int64_t page_size;

  void widen_to(location at, int dim, float* out) const noexcept {
    widen_row(view.at(at.outer, 0, 0) + at.token * dim, dim, nullptr, 0, out);
  }
  [[nodiscard]] float scale(location at, int dim) const noexcept {
    float value;
    std::memcpy(&value, view.at(at.outer, 0, 0) + page_size * dim + at.token * 4, sizeof(value));
    return value;
  }
};

/// Keys that dot_products can take: addresses of stored rows, or of rows widened into `wide`.
template <class Rows>
struct row_tile {
  static_assert(chunk_keys <= tile_keys);
  typename Rows::element const* address[tile_keys + keys_ahead];

  /// Resolves `count` locations. One that is not there gets a row of zeros; callers mask it.
  void resolve(Rows const& rows, location const* at, int count, int dim, float* wide) noexcept {
    for (int i = 0; i < count; ++i) resolve_run(rows, at[i], i, 1, dim, wide);
  }

  /// The same for `count` tokens that lie one behind the other, the first at `at`: entries `to` and
  /// following.
  void resolve_run(Rows const& rows, location at, int to, int count, int dim,
                   float* wide) noexcept {
    alignas(64) static constexpr typename Rows::element zeros[1024]{};
    if (at.outer < 0) {
      std::fill_n(address + to, count, zeros);
    } else if constexpr (Rows::in_place) {
      typename Rows::element const* const row = rows.address(at);
      for (std::int64_t i = 0; i < count; ++i) address[to + i] = row + i * rows.view.token;
    } else {
      for (int i = 0; i < count; ++i) {
        float* const out = wide + std::int64_t{to + i} * dim;
        rows.widen_to({at.outer, at.token + i}, dim, out);
        address[to + i] = out;
      }
    }
  }
};

/// How k is read under a cache layout.
template <class Layout, class Key>
[[nodiscard]] inline auto key_rows(tensor_view<Key const> k, auto const& scales,
                                   std::int64_t head) noexcept {
  if constexpr (std::is_same_v<Layout, layout::mla_656>) {
    return mla_656_rows{k};
  } else if constexpr (std::is_same_v<Layout, layout::scaled>) {
    return scaled_rows<Key>{k, scales.k, head};
  } else if constexpr (sizeof(Key) == 1) {
    return scaled_rows<Key>{k, {}, head};
  } else {
    return plain_rows<Key>{k, head};
  }
}

/// What dot_products meets when it reads k under a cache layout.
template <class Layout, class Key>
using key_element =
    std::conditional_t<std::is_same_v<Layout, layout::plain> && sizeof(Key) != 1, Key, float>;

/// How v is read under a cache layout; MLA's v is the front of its k.
template <class Layout, class Key, class Value>
[[nodiscard]] inline auto value_rows(tensor_view<Key const> k, tensor_view<Value const> v,
                                     auto const& scales, std::int64_t head) noexcept {
  if constexpr (std::is_same_v<Layout, layout::mla_656>) {
    return mla_656_rows{k};
  } else if constexpr (std::is_same_v<Layout, layout::scaled>) {
    return scaled_rows<Value>{v, scales.v, head};
  } else if constexpr (sizeof(Value) == 1) {
    return scaled_rows<Value>{v, {}, head};
  } else {
    return plain_rows<Value>{v, head};
  }
}

}  // namespace tka::inline TKA_ABI::detail::cpu
