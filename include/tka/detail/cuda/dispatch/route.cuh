// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The routes of a problem and the choice among them. A new kernel is a file in route/ and a line
/// here.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/route/looped.cuh>
#include <tka/detail/cuda/route/prefill_sm90.cuh>
#include <tka/detail/cuda/route/select_rows.cuh>
#include <tka/detail/cuda/route/staged.cuh>
#include <tka/detail/cuda/work/plan_numbers.cuh>
#include <tka/plan.hpp>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class... Routes>
struct route_list {};

/// From the fastest to the most general; what stands after `staged`, which serves every plan, is
/// only taken by its name. A route that can never serve a problem is not instantiated for it: a
/// specialisation leaves it out.
template <class Problem>
struct routes_of {
  using type = route_list<staged<Problem>, looped<Problem>>;
};
template <class Problem>
  requires(has_score_rows<Problem>)
struct routes_of<Problem> {
  using type = route_list<staged<Problem>, looped<Problem>, select_rows<Problem>>;
};
template <class Problem>
  requires(may_prefill<Problem>)
struct routes_of<Problem> {
  using type = route_list<staged<Problem>, looped<Problem>, prefill_sm90<Problem>>;
};

/// A route that serves a plan may not pay there, and is then taken only by its name.
template <class Route>
[[nodiscard]] constexpr bool pays(plan const& p, plan_numbers const& n) noexcept {
  if constexpr (requires { Route::pays(p, n); }) {
    return Route::pays(p, n);
  } else {
    return true;
  }
}

/// use(tag of the route) for the first that serves the plan and, where one is named, has that name;
/// false where there is none.
template <class... Routes, class Use>
bool with_route(route_list<Routes...>, route_name const& wanted, plan const& p,
                plan_numbers const& n, Use&& use) noexcept {
  return (((wanted.empty() ? pays<Routes>(p, n) : wanted == Routes::name) && Routes::serves(p, n) &&
           (use(tag<Routes>{}), true)) ||
          ...);
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
