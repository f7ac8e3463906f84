// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The oracle's names for what a form says in types.

#pragma once

#include <tka/form.hpp>

#include <oracle/oracle.hpp>

#include <type_traits>

namespace support {

template <class Form>
constexpr oracle::scope scope_of() {
  using scope = typename Form::scope;
  return std::is_same_v<scope, tka::scope::query_head> ? oracle::scope::query_head
         : std::is_same_v<scope, tka::scope::kv_group> ? oracle::scope::kv_group
                                                       : oracle::scope::all_heads;
}

template <class Form>
constexpr oracle::visibility visibility_of() {
  using visibility = typename Form::visibility;
  return std::is_same_v<visibility, tka::visibility::all>      ? oracle::visibility::all
         : std::is_same_v<visibility, tka::visibility::causal> ? oracle::visibility::causal
                                                               : oracle::visibility::sliding_window;
}

}  // namespace support
