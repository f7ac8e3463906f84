// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Exact prefill on compute capability 9.0: many query tokens a sequence, each query head its own
/// selection. No score leaves the chip but those near a row's threshold, and values are summed as
/// in dense attention, under a mask. Where the caller asks for lists or has masks, or the kernel
/// was not compiled for 9.0a, a call goes the stages' way in the same scratch.
///
/// Sets are those of every other route, to the bit. Sums over values are not: all keys of a row are
/// added tile by tile from the first, unselected ones with probability 0.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/prefill.cuh>
#include <tka/detail/cuda/dispatch/launch.cuh>
#include <tka/detail/cuda/dispatch/launch_order.cuh>
#include <tka/detail/cuda/route/staged.cuh>
#include <tka/detail/cuda/work/prefill.cuh>
#include <tka/detail/cuda/work/report.cuh>
#include <tka/mask.hpp>
#include <tka/plan.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/workspace.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Problems that have this route.
template <class Problem>
inline constexpr bool may_prefill = [] {
  using precision = typename Problem::precision;
  using value = typename precision::value_type;
  constexpr bool same = std::is_same_v<typename precision::query_type, value> &&
                        std::is_same_v<typename precision::key_type, value> &&
                        std::is_same_v<typename precision::output_type, value>;
  constexpr bool halves = std::is_same_v<value, bfloat16_t> || std::is_same_v<value, float16_t>;
  constexpr bool plain = std::is_same_v<typename Problem::cache_layout, layout::plain>;
  constexpr bool window = std::is_same_v<typename Problem::visibility, visibility::sliding_window>;
  return Problem::what == task::select_attend && Problem::is_exact && Problem::by_query_key &&
         Problem::per_query_head && same && halves && plain && !window;
}();

/// The items of each sequence, counted, and the ticket: one warp.
template <class Problem>
__global__ void __launch_bounds__(32) count_items(__grid_constant__ prefill_work<Problem> const w) {
  follow_earlier_kernels();
  auto const lane = static_cast<std::int32_t>(threadIdx.x);
  std::int64_t before = 0;
  for (std::int32_t first = 0; first < w.p.shape.batch; first += 32) {
    std::int32_t const b = first + lane;
    std::int64_t own = 0;
    if (b < w.p.shape.batch) {
      sequence const s =
          sequence_of<Problem>(w.p, w.a, b, [&](data_error bit) { report(w.a.error, bit); });
      own = items_of_head<Problem>(w.p, s) * w.p.shape.kv_heads;
    }
    std::int64_t sum = own;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      std::int64_t const other = __shfl_up_sync(0xffffffffu, sum, step);
      if (lane >= step) sum += other;
    }
    if (b < w.p.shape.batch) w.items[b] = before + sum - own;
    before += __shfl_sync(0xffffffffu, sum, 31);
  }
  if (lane == 0) {
    w.items[w.p.shape.batch] = before;
    *w.ticket = 0;
  }
}

template <class Problem, int Dim>
__global__ void __launch_bounds__(prefill_threads, 1)
    prefill_kernel(__grid_constant__ prefill_work<Problem> const w) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(128) char dynamic_shared[];
  __shared__ prefill_control control;
  char* const shared = dynamic_shared + (0u - shared_address(dynamic_shared)) % 1024u;
  follow_earlier_kernels();
  // The same for all lanes of a warp, and the compiler knows.
  int const group = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / warpgroup_threads), 0);
  if (group == 2) {
    give_up_registers<40>();
    prefill_copier<Problem, Dim>{w, shared, control}.run();
  } else {
    take_registers<232>();
    prefill_multiplier<Problem, Dim>{w, shared, control}.run();
  }
#endif
}

template <class Problem>
struct prefill_sm90 {
  static constexpr char const* name = "prefill_sm90";

  [[nodiscard]] static constexpr bool serves(plan const& p, plan_numbers const& n) noexcept {
    shape const& s = p.shape;
    options const& o = p.options;
    return n.compute_capability == 90 && n.block_bytes >= max_block_bytes &&
           s.q_len >= group_rows && s.kv_len > 0 && s.qk_dim <= 128 && s.v_dim <= 128 &&
           o.sinks == 0 && o.recent == 0 && o.shard.count == 1 && o.soft_cap == 0.0f &&
           o.metrics == metrics::selected;
  }
  /// A block does an item alone: few of them leave the device idle.
  [[nodiscard]] static constexpr bool pays(plan const& p, plan_numbers const& n) noexcept {
    return 2 * max_items(p) >= n.multiprocessors;
  }
  [[nodiscard]] static constexpr std::size_t scratch_bytes(plan const& p,
                                                           plan_numbers const& n) noexcept {
    std::size_t const own = head_bytes(p) + static_cast<std::size_t>(blocks(p, n)) * band_words * 4;
    std::size_t const stages = staged<Problem>::scratch_bytes(p, n);
    return larger(own, stages);
  }
  /// visit(kernel_launch) for each kernel, in order.
  template <class Visit>
  static void each_kernel(plan const& p, plan_numbers const& n, Visit&& visit) noexcept {
    visit(kernel_launch{.name = "count_items",
                        .function = reinterpret_cast<void const*>(&count_items<Problem>),
                        .blocks = 1,
                        .threads = 32});
    visit(kernel(p, n));
  }
  static void run(plan const& p, plan_numbers const& n, arguments<Problem> const& a,
                  workspace const& space, launcher& launch) noexcept {
    mask_tensors const& m = a.mask;
    bool const masked = m.first != nullptr || m.row_begin || m.row_end || m.draft_keys > 0;
    if (masked || a.positions || a.scores || !exists(kernel(p, n).function)) {
      staged<Problem>::run(p, n, a, space, launch);
      return;
    }
    auto* const memory = static_cast<char*>(space.scratch);
    prefill_work<Problem> w{
        .p = p,
        .a = a,
        .items = reinterpret_cast<std::int64_t*>(memory),
        .ticket = reinterpret_cast<std::uint32_t*>(memory) + 2 * (p.shape.batch + 1),
        .bands = reinterpret_cast<float*>(memory + head_bytes(p))};
    each_kernel(p, n, [&](kernel_launch const& k) { launch(k, w); });
  }

 private:
  static constexpr int max_block_bytes = prefill_memory<128>::bytes + prefill_memory<128>::slack +
                                         static_cast<int>(sizeof(prefill_control));
  /// Items, and the ticket.
  [[nodiscard]] static constexpr std::size_t head_bytes(plan const& p) noexcept {
    return static_cast<std::size_t>(round_up(8 * (std::int64_t{p.shape.batch} + 2), 128));
  }
  [[nodiscard]] static constexpr std::int64_t max_items(plan const& p) noexcept {
    shape const& s = p.shape;
    return ceil_div(ceil_div(s.q_len, group_rows) * s.group(), 2) * s.kv_heads * s.batch;
  }
  /// As many as scratch may hold, one a multiprocessor, no more than there are items.
  [[nodiscard]] static constexpr int blocks(plan const& p, plan_numbers const& n) noexcept {
    std::int64_t const fit =
        (p.options.scratch_limit - static_cast<std::int64_t>(head_bytes(p))) / (band_words * 4);
    std::int64_t most = smaller<std::int64_t>(n.multiprocessors, fit);
    most = smaller(most, max_items(p));
    return static_cast<int>(larger<std::int64_t>(1, most));
  }
  [[nodiscard]] static kernel_launch kernel(plan const& p, plan_numbers const& n) noexcept {
    return larger(p.shape.qk_dim, p.shape.v_dim) <= 64 ? kernel<64>(p, n) : kernel<128>(p, n);
  }
  template <int Dim>
  [[nodiscard]] static kernel_launch kernel(plan const& p, plan_numbers const& n) noexcept {
    return {.name = name,
            .function = reinterpret_cast<void const*>(&prefill_kernel<Problem, Dim>),
            .blocks = blocks(p, n),
            .threads = prefill_threads,
            .bytes = prefill_memory<Dim>::bytes + prefill_memory<Dim>::slack};
  }
  /// What runs on this device was compiled for 9.0a: else it is empty, and has no shared memory.
  [[nodiscard]] static bool exists(void const* function) noexcept {
    cudaFuncAttributes now{};
    return cudaFuncGetAttributes(&now, function) == cudaSuccess && now.sharedSizeBytes > 0;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
