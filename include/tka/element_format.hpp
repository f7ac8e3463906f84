// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Which foreign element types hold what: told by their size and name, so that no header of another
/// project is included.

#pragma once

#include <tka/config.hpp>

#include <cstdint>
#include <string_view>
#include <type_traits>

namespace tka::inline TKA_ABI {

/// Formats of elements.
enum class element_format : std::int32_t { unknown, fp32, fp16, bf16, e4m3, other_fp8, int32 };

namespace detail {

template <class TkaElement>
[[nodiscard]] constexpr std::string_view signature_of() noexcept {
  return __PRETTY_FUNCTION__;
}

/// The name of a type without its namespaces and arguments.
template <class T>
[[nodiscard]] constexpr std::string_view name_of() noexcept {
  std::string_view name = signature_of<T>();
  name.remove_prefix(name.find("TkaElement"));
  name.remove_prefix(name.find('=') + 1);
  name = name.substr(0, name.find_first_of(";]<"));
  if (auto const colon = name.rfind(':'); colon != name.npos) name.remove_prefix(colon + 1);
  return name;
}

/// `part`, in lower case, stands in `name`, in any case.
[[nodiscard]] constexpr bool names(std::string_view name, std::string_view part) noexcept {
  for (std::size_t i = 0; i + part.size() <= name.size(); ++i) {
    bool same = true;
    for (std::size_t j = 0; j < part.size(); ++j) {
      char const c = name[i + j];
      same = same && (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) == part[j];
    }
    if (same) return true;
  }
  return false;
}

}  // namespace detail

/// The format that a type holds, as far as its name says: `__half`, `at::Half`, `Eigen::half`,
/// `_Float16` are fp16; `__nv_bfloat16`, `at::BFloat16`, `Eigen::bfloat16`, `__bf16` are bf16;
/// `__nv_fp8_e4m3`, `c10::Float8_e4m3fn` are e4m3. Specialise it for a type whose name says
/// something else.
template <class T>
inline constexpr element_format format_of = [] {
  if (std::is_same_v<T, float>) return element_format::fp32;
  if (std::is_same_v<T, std::int32_t>) return element_format::int32;
  if (std::is_integral_v<T>) return element_format::unknown;
  constexpr std::string_view name = detail::name_of<T>();
  if (sizeof(T) == 1) {
    if (detail::names(name, "e4m3") && !detail::names(name, "fnuz")) return element_format::e4m3;
    return detail::names(name, "e5m2") || detail::names(name, "fnuz") ? element_format::other_fp8
                                                                      : element_format::unknown;
  }
  if (sizeof(T) != 2) return element_format::unknown;
  if (detail::names(name, "bfloat16") || detail::names(name, "bf16")) return element_format::bf16;
  return detail::names(name, "half") || detail::names(name, "float16") ||
                 detail::names(name, "fp16")
             ? element_format::fp16
             : element_format::unknown;
}();

/// True where a `Foreign` object may be read as a `T`: the same type; or, for our storage types,
/// a trivially copyable one of the same size whose format is the same, or not known and it is a
/// class, or the bits as `std::uint16_t` or bytes.
template <class Foreign, class T>
concept stored_as =
    std::is_same_v<std::remove_cv_t<Foreign>, std::remove_cv_t<T>> ||
    (
        sizeof(Foreign) == sizeof(T) && std::is_trivially_copyable_v<Foreign> &&
        requires { typename T::tka_storage; } && !requires { typename Foreign::tka_storage; } &&
        (format_of<std::remove_cv_t<Foreign>> == format_of<std::remove_cv_t<T>> ||
         (format_of<std::remove_cv_t<Foreign>> == element_format::unknown &&
          (std::is_class_v<Foreign> || sizeof(Foreign) == 1 ||
           std::is_same_v<std::remove_cv_t<Foreign>, std::uint16_t>))));

}  // namespace tka::inline TKA_ABI
