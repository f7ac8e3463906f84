// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Views of `thrust::device_vector`. Nothing is copied; the vectors keep the memory and must live,
/// and must not be resized, until the calls that use it are done.

#pragma once

#include <tka/config.hpp>
#include <tka/tensor_view.hpp>
#include <tka/workspace.hpp>

#include <thrust/device_vector.h>

#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI {

/// Where the elements of a vector begin on the device, or a null pointer where it is empty: for
/// what is given as a pointer (lengths, tables, an error word).
template <class T, class Allocator>
[[nodiscard]] T* data_of(thrust::device_vector<T, Allocator>& v) noexcept {
  return thrust::raw_pointer_cast(v.data());
}
template <class T, class Allocator>
[[nodiscard]] T const* data_of(thrust::device_vector<T, Allocator> const& v) noexcept {
  return thrust::raw_pointer_cast(v.data());
}

/// The view of a packed [batch, heads, len, dim] vector (HND).
template <class T, class Allocator>
[[nodiscard]] tensor_view<T> hnd(thrust::device_vector<T, Allocator>& v, std::int64_t heads,
                                 std::int64_t len, std::int64_t dim) noexcept {
  return hnd(data_of(v), heads, len, dim);
}
template <class T, class Allocator>
[[nodiscard]] tensor_view<T const> hnd(thrust::device_vector<T, Allocator> const& v,
                                       std::int64_t heads, std::int64_t len,
                                       std::int64_t dim) noexcept {
  return hnd(data_of(v), heads, len, dim);
}

/// The view of a packed [batch, len, heads, dim] vector (NHD).
template <class T, class Allocator>
[[nodiscard]] tensor_view<T> nhd(thrust::device_vector<T, Allocator>& v, std::int64_t heads,
                                 std::int64_t len, std::int64_t dim) noexcept {
  return nhd(data_of(v), heads, len, dim);
}
template <class T, class Allocator>
[[nodiscard]] tensor_view<T const> nhd(thrust::device_vector<T, Allocator> const& v,
                                       std::int64_t heads, std::int64_t len,
                                       std::int64_t dim) noexcept {
  return nhd(data_of(v), heads, len, dim);
}

/// The whole of a vector as scratch of a call.
template <class Allocator>
[[nodiscard]] workspace scratch_of(thrust::device_vector<std::byte, Allocator>& v) noexcept {
  return {.scratch = data_of(v), .scratch_bytes = v.size()};
}

}  // namespace tka::inline TKA_ABI
