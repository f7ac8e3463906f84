// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// All stages in one cooperative kernel, with a barrier over the grid between them: waves go
/// through one after the other, as many slots at a time as scratch holds.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/dispatch/launch.cuh>
#include <tka/detail/cuda/dispatch/launch_order.cuh>
#include <tka/detail/cuda/route/slot_route.cuh>
#include <tka/detail/cuda/tuning/block.cuh>
#include <tka/plan.hpp>
#include <tka/status.hpp>

#include <cooperative_groups.h>

#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class Stage, class Problem, class Barrier>
__device__ void run_stage(stage_call<Problem> const& call, Barrier const& barrier) noexcept {
  using stage = general_variant<Stage>;
  if (!stage::serves(call.w.p)) return;
  stage::template run<block_threads>(call, [] {});
  barrier();
}
template <class... Stages, class Problem, class Barrier>
__device__ void run_stages(stage_list<Stages...>, stage_call<Problem> const& call,
                           Barrier const& barrier) noexcept {
  (run_stage<Stages>(call, barrier), ...);
}

/// The wave under way through all stages.
template <class Problem, class Barrier>
__device__ void run_wave(work_arguments<Problem> const& w, wave_view<Problem> const& view,
                         char* shared, Barrier const& barrier) noexcept {
  using stages = typename wave_stages<Problem>::type;
  arrange_for(stages{}, w, view, static_cast<int>(gridDim.x));
  if (view.shares[count_of::long_slots].all > 0) clear_for(stages{}, w);
  run_stages(stages{}, stage_call<Problem>{w, view, shared, w.loop_bytes}, barrier);
}

/// All waves from the first on; or, where other kernels did the first, all others, if there are
/// any.
template <class Problem>
__global__ void __launch_bounds__(block_threads, loop_blocks)
    loop_kernel(__grid_constant__ work_arguments<Problem> const w) {
  extern __shared__ __align__(128) char all_shared[];
  auto& shares = *reinterpret_cast<wave_shares*>(all_shared);
  char* const shared = all_shared + shares_bytes;
  auto const barrier = [] { cooperative_groups::this_grid().sync(); };
  follow_earlier_kernels();
  wave_view<Problem> view = w.view(shares);
  if (!w.first_wave_done) {
    if (blockIdx.x == 0) {
      build_schedule<Problem>::template run<block_threads>({w, view, shared, 0}, [] {});
    }
    barrier();
  }
  std::int64_t const pool = w.pool_words();
  if (w.first_wave_done) {
    if (view.table.totals->words <= pool) return;  // usually
    view.now = wave_from(view.table, 0, pool);
  }
  std::int64_t const units = view.table.at(count_of::units, view.table.batch);
  while (view.now.last_unit < units) {
    view.now = wave_from(view.table, view.now.last_unit, pool);
    shares.find(view.table, view.now);
    run_wave(w, view, shared, barrier);
  }
}

template <class Problem>
struct looped {
  static constexpr char const* name = "looped";

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
    visit(kernel(p, n));
  }
  static void run(plan const& p, plan_numbers const& n, arguments<Problem> const& a,
                  workspace const& space, launcher& launch) noexcept {
    auto w = work_of<Problem>(p, n, a, space.scratch);
    w.score_blocks = p.schedule.workers;
    launch(kernel(p, n), w);
  }
  [[nodiscard]] static kernel_launch kernel(plan const& p, plan_numbers const& n) noexcept {
    return {.name = name,
            .function = reinterpret_cast<void const*>(&loop_kernel<Problem>),
            .blocks = p.schedule.workers,
            .threads = block_threads,
            .bytes = shares_bytes + loop_bytes<Problem>(p, n),
            .cooperative = true};
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
