// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows of a cache as bytes: where a key lies, and how it falls into slices of 128 bytes.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/unit.cuh>
#include <tka/detail/cuda/warp/async_copy.cuh>
#include <tka/form.hpp>
#include <tka/scale_view.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/source/location.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// A location in few bytes; `outer` < 0: the key is not there.
struct place {
  std::int32_t outer;
  std::int32_t token;
};

/// Rows of `dim` elements T, one behind the other: plain and scaled caches.
template <class T>
struct plain_rows {
  using element = T;
  static constexpr int slice_dims = slice_bytes / static_cast<int>(sizeof(T));
  static constexpr bool aligned = true;
  tensor_view<T const> view;
  std::int64_t head;
  int dim;

  [[nodiscard]] __device__ char const* at(location l) const noexcept {
    return reinterpret_cast<char const*>(view.at(l.outer, head, l.token));
  }
  [[nodiscard]] __device__ int slices() const noexcept {
    return (dim + slice_dims - 1) / slice_dims;
  }
  [[nodiscard]] __device__ int offset(int slice) const noexcept { return slice * slice_bytes; }
  [[nodiscard]] __device__ int bytes(int slice) const noexcept {
    return smaller(slice_bytes, dim * static_cast<int>(sizeof(T)) - slice * slice_bytes);
  }
};

/// DeepSeek's 656-byte rows: 512 e4m3, four fp32 scales, 64 bf16. The last slice is bf16.
struct mla_656_rows {
  using element = float8_e4m3_t;
  static constexpr int slice_dims = slice_bytes;
  static constexpr int latent_slices = 4;
  static constexpr int scales_at = 512;
  static constexpr bool aligned = true;
  tensor_view<float8_e4m3_t const> view;
  int dim;  ///< 576 as keys, 512 as values

  [[nodiscard]] __device__ char const* at(location l) const noexcept {
    return reinterpret_cast<char const*>(view.at(l.outer, 0, l.token));
  }
  [[nodiscard]] __device__ int slices() const noexcept {
    return dim > latent_slices * slice_dims ? latent_slices + 1 : latent_slices;
  }
  [[nodiscard]] __device__ int offset(int slice) const noexcept {
    return slice * slice_bytes + (slice == latent_slices ? 16 : 0);
  }
  [[nodiscard]] __device__ int bytes(int) const noexcept { return slice_bytes; }
};

/// Index keys of DeepSeek's 132-byte cache: a page's rows, then its scales. Pages begin at any
/// multiple of 4 bytes.
struct page_132_rows {
  using element = float8_e4m3_t;
  static constexpr int slice_dims = slice_bytes;
  static constexpr bool aligned = false;
  tensor_view<float8_e4m3_t const> view;
  int dim;
  std::int64_t page_size;

  [[nodiscard]] __device__ char const* at(location l) const noexcept {
    return reinterpret_cast<char const*>(view.at(l.outer, 0, 0)) + l.token * dim;
  }
  [[nodiscard]] __device__ float scale(location l) const noexcept {
    return *reinterpret_cast<float const*>(reinterpret_cast<char const*>(view.at(l.outer, 0, 0)) +
                                           page_size * dim + l.token * 4);
  }
  [[nodiscard]] __device__ int slices() const noexcept {
    return (dim + slice_dims - 1) / slice_dims;
  }
  [[nodiscard]] __device__ int offset(int slice) const noexcept { return slice * slice_bytes; }
  [[nodiscard]] __device__ int bytes(int slice) const noexcept {
    return smaller(slice_bytes, dim - slice * slice_bytes);
  }
};

/// Keys of attention under the layout of a problem.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE inline auto attention_keys(plan const& p, arguments<Problem> const& a,
                                                         std::int32_t head) noexcept {
  if constexpr (std::is_same_v<typename Problem::cache_layout, layout::mla_656>) {
    return mla_656_rows{a.k, p.shape.qk_dim};
  } else {
    return plain_rows<typename Problem::precision::key_type>{a.k, head, p.shape.qk_dim};
  }
}
/// Values of attention; MLA's are the front of its keys.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE inline auto attention_values(plan const& p,
                                                           arguments<Problem> const& a,
                                                           std::int32_t head) noexcept {
  if constexpr (std::is_same_v<typename Problem::cache_layout, layout::mla_656>) {
    return mla_656_rows{a.k, p.shape.v_dim};
  } else {
    return plain_rows<typename Problem::precision::value_type>{a.v, head, p.shape.v_dim};
  }
}
/// Keys that are scored when a problem selects.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE inline auto scanned_keys(plan const& p, arguments<Problem> const& a,
                                                       std::int32_t head) noexcept {
  if constexpr (Problem::by_index) {
    using selection = typename Problem::selection;
    if constexpr (std::is_same_v<typename selection::cache_layout, index_layout::page_132>) {
      return page_132_rows{a.index.k, p.shape.index_dim, p.shape.page_size};
    } else {
      return plain_rows<typename selection::precision::key_type>{a.index.k, 0, p.shape.index_dim};
    }
  } else {
    return attention_keys<Problem>(p, a, head);
  }
}

/// Dequantisation scales of rows, one for each `block_dims` dimensions.
struct row_scales {
  scale_view view;  ///< null: all are 1
  std::int64_t head;
  std::int64_t mla_at;  ///< > 0: they stand in the row, at this byte

  [[nodiscard]] __device__ bool one_a_row() const noexcept {
    return mla_at == 0 && view.block == 0;
  }
  [[nodiscard]] __device__ float of(char const* row, location l, int block) const noexcept {
    if (mla_at > 0) return *reinterpret_cast<float const*>(row + mla_at + 4 * block);
    if (view.data == nullptr) return 1.0f;
    return *(view.at(l.outer, head, l.token) + block * view.block);
  }
};

/// Which caches have scales that multiply inside a row's dot product.
template <class Problem>
inline constexpr bool has_row_scales =
    !std::is_same_v<typename Problem::cache_layout, layout::plain>;

template <class Problem>
[[nodiscard]] __device__ inline row_scales scales_of_keys(arguments<Problem> const& a,
                                                          std::int32_t head) noexcept {
  if constexpr (std::is_same_v<typename Problem::cache_layout, layout::scaled>) {
    return {a.scales.k, head, 0};
  } else if constexpr (std::is_same_v<typename Problem::cache_layout, layout::mla_656>) {
    return {{}, 0, mla_656_rows::scales_at};
  } else {
    return {{}, 0, 0};
  }
}
template <class Problem>
[[nodiscard]] __device__ inline row_scales scales_of_values(arguments<Problem> const& a,
                                                            std::int32_t head) noexcept {
  if constexpr (std::is_same_v<typename Problem::cache_layout, layout::scaled>) {
    return {a.scales.v, head, 0};
  } else {
    return scales_of_keys<Problem>(a, head);
  }
}

}  // namespace tka::inline TKA_ABI::detail::cuda
