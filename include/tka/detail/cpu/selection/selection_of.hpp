// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Which class selects under which policy: the list of the CPU's selectors.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/selection/bucketed_selection.hpp>
#include <tka/detail/cpu/selection/exact_selection.hpp>
#include <tka/detail/cpu/selection/fidelity_selection.hpp>
#include <tka/select/bucketed.hpp>
#include <tka/select/exact_radix.hpp>
#include <tka/select/fidelity.hpp>

#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// A new policy is one line here and one file beside this one; nothing else names selectors.
template <class Policy>
struct selection_of;
// clang-format off
template <> struct selection_of<exact_radix> : std::type_identity<exact_selection> {};
template <> struct selection_of<bucketed> : std::type_identity<bucketed_selection> {};
template <> struct selection_of<synthetic_fidelity> : std::type_identity<fidelity_selection> {};
// clang-format on

template <class Problem>
using selection_of_t = typename selection_of<typename Problem::selector>::type;

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
