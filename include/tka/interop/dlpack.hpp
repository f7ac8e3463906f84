// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Views of DLPack tensors. No header of DLPack is needed: whatever has the members of its
/// `DLTensor` is taken.

#pragma once

#include <tka/config.hpp>
#include <tka/element_format.hpp>
#include <tka/fault.hpp>
#include <tka/status.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI {

/// `DLTensor` of DLPack's C ABI.
template <class D>
concept dlpack_tensor = requires(D const& d) {
  d.data;
  d.device.device_type;
  d.ndim;
  d.dtype.code;
  d.dtype.bits;
  d.dtype.lanes;
  d.shape[0];
  d.strides[0];
  d.byte_offset;
};

/// Which dimension of a tensor is which of a view; -1: there is none, its extent is 1.
struct tensor_axes {
  std::int32_t batch = 0;
  std::int32_t head = 1;
  std::int32_t token = 2;
  std::int32_t last = 3;
  friend constexpr bool operator==(tensor_axes const&, tensor_axes const&) = default;
};

/// [batch, heads, tokens, dim] and [batch, tokens, heads, dim].
inline constexpr tensor_axes hnd_axes{};
inline constexpr tensor_axes nhd_axes{.batch = 0, .head = 2, .token = 1, .last = 3};
/// [tokens, heads, dim]: packed sequences.
inline constexpr tensor_axes packed_axes{.batch = -1, .head = 1, .token = 0, .last = 2};

namespace detail {

/// DLPack's type code and bits of what a view holds.
template <class T>
[[nodiscard]] consteval std::int32_t dlpack_type() noexcept {
  constexpr std::int32_t code_int = 0, code_float = 2, code_bfloat = 4, code_e4m3fn = 10;
  switch (format_of<std::remove_const_t<T>>) {
    case element_format::int32: return code_int << 8 | 32;
    case element_format::fp32: return code_float << 8 | 32;
    case element_format::fp16: return code_float << 8 | 16;
    case element_format::bf16: return code_bfloat << 8 | 16;
    case element_format::e4m3: return code_e4m3fn << 8 | 8;
    default: return -1;
  }
}

/// The types that are taken for T: its own, and for e4m3 bytes (DLPack's unsigned integer of 8).
template <class T, class DataType>
[[nodiscard]] constexpr bool dlpack_holds(DataType const& type) noexcept {
  std::int32_t const found = std::int32_t{type.code} << 8 | type.bits;
  constexpr std::int32_t code_uint = 1;
  bool const bytes = sizeof(T) == 1 && found == (code_uint << 8 | 8);
  return type.lanes == 1 && (found == dlpack_type<T>() || bytes);
}

}  // namespace detail

/// Fills `out` with the view of `t`, whose extents a call then holds against its plan. Where the
/// elements are not T or the dimensions not those of `axes`, says so, with `name`, and leaves `out`
/// as it is. In which memory the data lies is the caller's to know (`t.device`).
template <class T, dlpack_tensor D>
[[nodiscard]] fault view_of_dlpack(D const& t, tensor_axes const& axes, tensor_view<T>& out,
                                   tensor_name name = tensor_name::none) noexcept {
  if (!detail::dlpack_holds<T>(t.dtype)) return {status::wrong_element_type, name};
  std::int32_t const given[] = {axes.batch, axes.head, axes.token, axes.last};
  std::int64_t extent[4] = {1, 1, 1, 1};
  std::int64_t stride[4] = {0, 0, 0, 1};
  std::int32_t named = 0;
  for (std::int32_t i = 0; i < 4; ++i) {
    if (given[i] < 0) continue;
    if (given[i] >= t.ndim) return {status::wrong_extent, name, i, t.ndim, given[i] + 1};
    ++named;
    extent[i] = t.shape[given[i]];
    stride[i] = 1;  // null strides: packed
    if (t.strides != nullptr) {
      stride[i] = t.strides[given[i]];
    } else {
      for (std::int32_t d = given[i] + 1; d < t.ndim; ++d) stride[i] *= t.shape[d];
    }
  }
  if (named != t.ndim) return {status::wrong_extent, name, 3, t.ndim, named};
  auto* const bytes = static_cast<char*>(t.data);
  out = view_as<T>(bytes == nullptr ? nullptr : bytes + t.byte_offset,
                   {extent[0], extent[1], extent[2], extent[3]},
                   {stride[0], stride[1], stride[2], extent[3] == 1 ? 1 : stride[3]});
  return {};
}

}  // namespace tka::inline TKA_ABI
