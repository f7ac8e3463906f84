// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The stages of the first wave as kernels of their own, each with the threads and the shared
/// memory that it wants; then, where there may be more waves, one kernel that loops over them.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/dispatch/launch.cuh>
#include <tka/detail/cuda/dispatch/launch_order.cuh>
#include <tka/detail/cuda/route/looped.cuh>
#include <tka/detail/cuda/route/slot_route.cuh>
#include <tka/plan.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// One stage of the first wave. `Later`: stages that this kernel makes things ready for.
template <class Stage, class Later>
__global__ void __launch_bounds__(Stage::threads, Stage::resident_blocks)
    stage_kernel(__grid_constant__ work_arguments<typename Stage::problem> const w) {
  using problem = typename Stage::problem;
  extern __shared__ __align__(128) char shared[];
  auto& shares = *reinterpret_cast<wave_shares*>(shared);
  wave_view<problem> const view = w.view(shares);
  stage_call<problem> const call{w, view, shared + shares_bytes, w.n.select_bytes - shares_bytes};
  auto const look = [&] {
    if constexpr (Stage::shares == known::own) {
      shares.template find_first<Stage::items>(view.table);
    } else if constexpr (Stage::shares == known::totals) {
      shares.find_totals(view.table);
    }
  };
  if constexpr (Stage::start == starts::after_schedule) {
    look_ahead();
    look();
    Stage::template run<Stage::threads>(call, [] { follow_earlier_kernels(); });
  } else {
    // `build_schedule` does not touch it, and no kernel before that one runs any more.
    clear_for(Later{}, w);
    follow_earlier_kernels();
    look();
    arrange_for(Later{}, w, view, w.select_blocks);
    Stage::template run<Stage::threads>(call, [] {});
  }
}

template <class Problem>
struct staged {
  static constexpr char const* name = "staged";

  [[nodiscard]] static constexpr bool serves(plan const&, plan_numbers const&) noexcept {
    return true;
  }
  [[nodiscard]] static constexpr std::size_t scratch_bytes(plan const& p,
                                                           plan_numbers const& n) noexcept {
    return scratch_bytes_of<Problem>(p, n);
  }

  /// visit(kernel_launch) for each kernel, in order.
  template <class Visit>
  static void each_kernel(plan const& p, plan_numbers const& n, Visit&& visit) noexcept {
    visit(kernel_of<build_schedule<Problem>, stage_list<>>(p, n));
    each_wave_kernel(typename wave_stages<Problem>::type{}, p, n, visit);
    if (!one_wave<Problem>(p, n)) visit(looped<Problem>::kernel(p, n));
  }

  static void run(plan const& p, plan_numbers const& n, arguments<Problem> const& a,
                  workspace const& space, launcher& launch) noexcept {
    auto w = work_of<Problem>(p, n, a, space.scratch);
    w.score_blocks = first_stage_blocks(typename wave_stages<Problem>::type{}, p, n);
    w.select_blocks = n.multiprocessors * n.select_blocks;
    w.first_wave_done = true;
    each_kernel(p, n, [&](kernel_launch const& k) { launch(k, w); });
  }

 private:
  template <class Stage, class Later>
  [[nodiscard]] static kernel_launch kernel_of(plan const& p, plan_numbers const& n) noexcept {
    bool const alone = Stage::shares == known::nothing;
    return {.name = Stage::name,
            .function = reinterpret_cast<void const*>(&stage_kernel<Stage, Later>),
            .blocks = Stage::blocks(p, n),
            .threads = Stage::threads,
            .bytes = (alone ? 0 : shares_bytes) + Stage::bytes(p, n),
            .cooperative = Stage::cooperative};
  }

  /// use(tag of the variant) for the first variant that serves the plan, if one does.
  template <class... Variants, class Use>
  static void with_variant(stage_list<Variants...>, plan const& p, Use&& use) noexcept {
    (void)((Variants::serves(p) && (use(tag<Variants>{}), true)) || ...);
  }

  template <class First, class... Rest, class Visit>
  static void each_wave_kernel(stage_list<First, Rest...>, plan const& p, plan_numbers const& n,
                               Visit&& visit) noexcept {
    auto const one = [&](auto stage, auto later) {
      using type = typename decltype(stage)::type;
      with_variant(typename variants_of<type>::type{}, p, [&](auto variant) {
        visit(kernel_of<typename decltype(variant)::type, decltype(later)>(p, n));
      });
    };
    one(tag<First>{}, stage_list<Rest...>{});
    (one(tag<Rest>{}, stage_list<>{}), ...);
  }

  template <class First, class... Rest>
  [[nodiscard]] static int first_stage_blocks(stage_list<First, Rest...>, plan const& p,
                                              plan_numbers const& n) noexcept {
    int blocks = 0;
    with_variant(typename variants_of<First>::type{}, p,
                 [&](auto variant) { blocks = decltype(variant)::type::blocks(p, n); });
    return blocks;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
