// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a call asks of one view: presence, alignment, strides, extents.

#pragma once

#include <tka/config.hpp>
#include <tka/fault.hpp>
#include <tka/status.hpp>
#include <tka/tensor_view.hpp>

#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// How an extent of a view is compared with what a call needs.
enum class fit { equal, at_least, unknown };

/// The outer and token indices that a call uses of a view.
struct token_space {
  std::int64_t outer = 1;
  std::int64_t tokens = 1;
  fit outer_fit = fit::at_least;
  fit token_fit = fit::at_least;
};

enum class access { read, written };

/// What a call asks of one view.
struct view_rule {
  tensor_name name = tensor_name::none;
  token_space space{};
  std::int64_t heads = 1;
  std::int64_t last = 1;  ///< elements of a row
  fit last_fit = fit::equal;
  access how = access::read;
  bool required = false;
  std::int64_t alignment = 1;  ///< in bytes, of the base and of strides; or that of an element
};

[[nodiscard]] constexpr bool fits(fit how, std::int64_t found, std::int64_t needed) noexcept {
  if (how == fit::unknown || found == unknown_extent) return true;
  return how == fit::equal ? found == needed : found >= needed;
}

/// Rows of an output must not lie over one another. Strides of extents of 1 do not matter.
template <class T>
[[nodiscard]] fault check_strides(tka::tensor_view<T> const& v, view_rule const& r) noexcept {
  std::int64_t const counts[] = {r.space.outer, r.heads, r.space.tokens};
  std::int64_t const strides[] = {v.batch, v.head, v.token};
  for (std::int32_t i = 0; i < 3; ++i) {
    if (counts[i] <= 1) continue;
    std::int64_t const stride = strides[i];
    bool const overlaps = r.how == access::written && stride < r.last && stride > -r.last;
    if (stride == unset_stride || overlaps) return {status::invalid_stride, r.name, i};
    if (stride % r.alignment * static_cast<std::int64_t>(sizeof(T)) % r.alignment != 0) {
      return {status::misaligned, r.name, i};
    }
  }
  return v.last != 1 && r.last > 1 ? fault{status::invalid_stride, r.name, 3} : fault{};
}

template <class T>
[[nodiscard]] fault check_view(tka::tensor_view<T> const& v, view_rule const& r) noexcept {
  if (!v) return r.required ? fault{status::null_pointer, r.name} : fault{};
  auto const address = reinterpret_cast<std::uintptr_t>(v.data);
  if (address % static_cast<std::uintptr_t>(r.alignment) != 0 || address % alignof(T) != 0) {
    return {status::misaligned, r.name};
  }
  if (fault const f = check_strides(v, r); f.status != status::ok) return f;
  auto const& e = v.extents;
  std::int64_t const found[] = {e.batch, e.head, e.token, e.last};
  std::int64_t const needed[] = {r.space.outer, r.heads, r.space.tokens, r.last};
  fit const how[] = {r.space.outer_fit, fit::equal, r.space.token_fit, r.last_fit};
  for (std::int32_t i = 0; i < 4; ++i) {
    if (!fits(how[i], found[i], needed[i])) {
      return {status::wrong_extent, r.name, i, found[i], needed[i]};
    }
  }
  return {};
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
