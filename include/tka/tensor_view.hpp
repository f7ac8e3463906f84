// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A pointer with three strides: how every tensor enters and leaves the library.

#pragma once

#include <tka/config.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI {

/// True where a `Foreign` object may be read as a `T`: the same type, or a trivially copyable
/// class of the same size that is not one of our own storage types (`__half` as `float16_t`,
/// `at::BFloat16` as `bfloat16_t`). A byte holds an e4m3 in many engines, so bytes pass for it.
template <class Foreign, class T>
concept stored_as = std::is_same_v<std::remove_cv_t<Foreign>, std::remove_cv_t<T>> ||
                    (sizeof(Foreign) == sizeof(T) && std::is_trivially_copyable_v<Foreign> &&
                     std::is_class_v<T> && !requires { typename Foreign::tka_storage; } &&
                     (std::is_class_v<Foreign> || sizeof(Foreign) == 1));

/// A [batch, head, token, last] tensor whose last dimension is contiguous: 64-bit strides in
/// elements for the first three. NHD, HND and slices of a larger buffer are stride sets. With a
/// paged kv source `batch` is the stride between pages and `token` the one inside a page; with a
/// ragged source `batch` is not used. Views do not own.
template <class T>
struct tensor_view {
  T* data = nullptr;
  std::int64_t batch = 0;  ///< elements from one sequence (or page) to the next
  std::int64_t head = 0;   ///< elements from one head to the next
  std::int64_t token = 0;  ///< elements from one token to the next

  constexpr tensor_view() noexcept = default;

  /// Adopts `pointer`, also a foreign one of equal size and layout.
  template <class Foreign>
    requires stored_as<Foreign, T> && (std::is_const_v<T> || !std::is_const_v<Foreign>)
  tensor_view(Foreign* pointer, std::int64_t batch_stride, std::int64_t head_stride,
              std::int64_t token_stride) noexcept
      : batch(batch_stride), head(head_stride), token(token_stride) {
    if constexpr (std::is_convertible_v<Foreign*, T*>) {
      data = pointer;
    } else {
      data = reinterpret_cast<T*>(pointer);
    }
  }

  /// A view of mutable elements is also one of constant elements.
  template <class U>
    requires std::is_same_v<U const, T>
  constexpr tensor_view(tensor_view<U> other) noexcept
      : data(other.data), batch(other.batch), head(other.head), token(other.token) {}

  [[nodiscard]] TKA_HOST_DEVICE constexpr T* at(std::int64_t b, std::int64_t h,
                                                std::int64_t t) const noexcept {
    return data + (b * batch + h * head + t * token);
  }
  [[nodiscard]] TKA_HOST_DEVICE constexpr explicit operator bool() const noexcept {
    return data != nullptr;
  }
};

/// The view of a packed [batch, len, heads, dim] tensor (NHD, as token-major engines store it).
template <class T>
[[nodiscard]] tensor_view<T> nhd(T* data, std::int64_t heads, std::int64_t len,
                                 std::int64_t dim) noexcept {
  return {data, heads * len * dim, dim, heads * dim};
}

/// The view of a packed [batch, heads, len, dim] tensor (HND).
template <class T>
[[nodiscard]] tensor_view<T> hnd(T* data, std::int64_t heads, std::int64_t len,
                                 std::int64_t dim) noexcept {
  return {data, heads * len * dim, len * dim, dim};
}

}  // namespace tka::inline TKA_ABI
