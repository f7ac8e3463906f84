// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A pointer with strides, and extents where they are known: how every tensor enters and leaves the
/// library.

#pragma once

#include <tka/config.hpp>
#include <tka/element_format.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tka::inline TKA_ABI {

/// A stride that was never set. A call refuses it where the extent is above 1.
inline constexpr std::int64_t unset_stride = std::numeric_limits<std::int64_t>::min();
/// An extent that a view does not know. It is not compared.
inline constexpr std::int64_t unknown_extent = -1;

/// Extents of a view. With a paged kv source `batch` counts pages and `token` their slots.
struct tensor_extents {
  std::int64_t batch = unknown_extent;
  std::int64_t head = unknown_extent;
  std::int64_t token = unknown_extent;
  std::int64_t last = unknown_extent;
  friend constexpr bool operator==(tensor_extents const&, tensor_extents const&) = default;
};

/// Strides of a view, in elements.
struct tensor_strides {
  std::int64_t batch = unset_stride;
  std::int64_t head = unset_stride;
  std::int64_t token = unset_stride;
  std::int64_t last = 1;  ///< a call takes no other, unless the extent is 1
  friend constexpr bool operator==(tensor_strides const&, tensor_strides const&) = default;
};

/// True for `std::mdspan` and what has its members, of rank 3 (the last extent is 1) or 4.
template <class M>
concept mdspan_like = requires(M const& m) {
  requires M::rank() == 3 || M::rank() == 4;
  m.data_handle();
  m.extent(0);
  m.stride(0);
};

namespace detail {

/// What a kernel needs of a view.
template <class T>
struct strided_view {
  T* data = nullptr;
  std::int64_t batch = unset_stride;  ///< elements from one sequence (or page) to the next
  std::int64_t head = unset_stride;   ///< elements from one head to the next
  std::int64_t token = unset_stride;  ///< elements from one token to the next

  __attribute__((always_inline)) constexpr strided_view() noexcept = default;
  TKA_INLINE constexpr strided_view(T* pointer, std::int64_t batch_stride, std::int64_t head_stride,
                                    std::int64_t token_stride) noexcept
      : data(pointer), batch(batch_stride), head(head_stride), token(token_stride) {}

  /// A view of mutable elements is also one of constant elements.
  template <class U>
    requires std::is_same_v<U const, T>
  TKA_INLINE constexpr strided_view(strided_view<U> other) noexcept
      : strided_view(other.data, other.batch, other.head, other.token) {}

  [[nodiscard]] TKA_INLINE constexpr T* at(std::int64_t b, std::int64_t h,
                                           std::int64_t t) const noexcept {
    return data + (b * batch + h * head + t * token);
  }
  [[nodiscard]] TKA_INLINE constexpr explicit operator bool() const noexcept {
    return data != nullptr;
  }
};

/// Inside the backends a tensor is a pointer and strides: its extents have been checked.
template <class T>
using tensor_view = strided_view<T>;

/// `pointer` as one of T, also a foreign one of the same format.
template <class T, class Foreign>
[[nodiscard]] TKA_INLINE inline T* adopted(Foreign* pointer) noexcept {
  static_assert(!std::is_void_v<Foreign>,
                "tka::tensor_view: void* does not say what it holds; use tka::view_as<T>(pointer, "
                "extents, strides)");
  static_assert(std::is_void_v<Foreign> || stored_as<Foreign, T>,
                "tka::tensor_view: the pointer is to elements of another type than this tensor "
                "holds; choose the precision that the elements have, or give a pointer to the same "
                "format (for bf16: tka::bfloat16_t, __nv_bfloat16, at::BFloat16, Eigen::bfloat16, "
                "std::uint16_t)");
  static_assert(std::is_const_v<T> || !std::is_const_v<Foreign>,
                "tka::tensor_view: this tensor is written; give a pointer to elements that are not "
                "const");
  if constexpr (std::is_convertible_v<Foreign*, T*>) {
    return pointer;
  } else {
    return reinterpret_cast<T*>(const_cast<std::remove_const_t<Foreign>*>(pointer));
  }
}

}  // namespace detail

/// A [batch, head, token, last] tensor whose last dimension is contiguous: 64-bit strides in
/// elements for the first three. NHD, HND and slices of a larger buffer are stride sets. With a
/// paged kv source `batch` is the stride between pages and `token` the one inside a page; with a
/// ragged source `batch` is not used. A stride of 0 repeats what lies there; one of an extent of 1
/// does not matter. Extents that are known are compared with those of the plan. Views do not own.
template <class T>
struct tensor_view : detail::strided_view<T> {
  tensor_extents extents{};
  std::int64_t last = 1;  ///< elements between neighbours in a row

  __attribute__((always_inline)) constexpr tensor_view() noexcept = default;

  /// Adopts `pointer`, also a foreign one of equal format. Extents are not known.
  template <class Foreign>
  TKA_INLINE tensor_view(Foreign* pointer, std::int64_t batch_stride, std::int64_t head_stride,
                         std::int64_t token_stride) noexcept
      : detail::strided_view<T>(detail::adopted<T>(pointer), batch_stride, head_stride,
                                token_stride) {}

  /// The same with extents.
  template <class Foreign>
  TKA_INLINE tensor_view(Foreign* pointer, tensor_extents const& e,
                         tensor_strides const& s) noexcept
      : detail::strided_view<T>(detail::adopted<T>(pointer), s.batch, s.head, s.token),
        extents(e),
        last(s.last) {}

  /// A view of mutable elements is also one of constant elements.
  template <class U>
    requires std::is_same_v<U const, T>
  TKA_INLINE constexpr tensor_view(tensor_view<U> const& other) noexcept
      : detail::strided_view<T>(other), extents(other.extents), last(other.last) {}

  /// An mdspan [batch, head, token, last], or [batch, head, token] of one element each.
  template <mdspan_like M>
  TKA_INLINE tensor_view(M const& m) noexcept
      : tensor_view(m.data_handle(), extents_of(m), strides_of(m)) {}

 private:
  template <class M>
  [[nodiscard]] TKA_INLINE static constexpr tensor_extents extents_of(M const& m) noexcept {
    auto const extent = [&m](std::size_t i) { return static_cast<std::int64_t>(m.extent(i)); };
    tensor_extents e{extent(0), extent(1), extent(2), 1};
    if constexpr (M::rank() == 4) e.last = extent(3);
    return e;
  }
  template <class M>
  [[nodiscard]] TKA_INLINE static constexpr tensor_strides strides_of(M const& m) noexcept {
    auto const stride = [&m](std::size_t i) { return static_cast<std::int64_t>(m.stride(i)); };
    tensor_strides s{stride(0), stride(1), stride(2), 1};
    if constexpr (M::rank() == 4) s.last = stride(3);
    return s;
  }
};

/// A view of bytes that hold elements of T: the way in for bindings.
template <class T>
[[nodiscard]] TKA_INLINE inline tensor_view<T> view_as(
    std::conditional_t<std::is_const_v<T>, void const, void>* data, tensor_extents const& extents,
    tensor_strides const& strides) noexcept {
  return {static_cast<T*>(data), extents, strides};
}

/// The view of a packed [batch, len, heads, dim] tensor (NHD, as token-major engines store it), of
/// any batch.
template <class T>
[[nodiscard]] TKA_INLINE inline tensor_view<T> nhd(T* data, std::int64_t heads, std::int64_t len,
                                                   std::int64_t dim) noexcept {
  return {data,
          {.head = heads, .token = len, .last = dim},
          {.batch = heads * len * dim, .head = dim, .token = heads * dim}};
}

/// The view of a packed [batch, heads, len, dim] tensor (HND), of any batch.
template <class T>
[[nodiscard]] TKA_INLINE inline tensor_view<T> hnd(T* data, std::int64_t heads, std::int64_t len,
                                                   std::int64_t dim) noexcept {
  return {data,
          {.head = heads, .token = len, .last = dim},
          {.batch = heads * len * dim, .head = len * dim, .token = dim}};
}

}  // namespace tka::inline TKA_ABI
