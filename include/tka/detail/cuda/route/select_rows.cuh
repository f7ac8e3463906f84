// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Selecting from rows of stored scores in one kernel, a cluster of blocks a row.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/select_rows.cuh>
#include <tka/detail/cuda/dispatch/launch.cuh>
#include <tka/detail/cuda/dispatch/launch_order.cuh>
#include <tka/detail/cuda/tuning/select_rows.cuh>
#include <tka/detail/cuda/work/plan_numbers.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>
#include <tka/select/exact_radix.hpp>
#include <tka/select/stored_scores.hpp>
#include <tka/workspace.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class Problem, int Threads>
__global__ void __launch_bounds__(Threads, 1024 / Threads)
    select_rows_kernel(__grid_constant__ select_rows_arguments<Problem> const w) {
  follow_earlier_kernels();
  select_rows_agent<Problem, Threads>{w}.run();
}

/// Rows that `select_rows` knows: their scores stand in memory in fp32, and the k largest are
/// wanted.
template <class Problem>
inline constexpr bool has_score_rows =
    Problem::what == task::select && std::is_same_v<typename Problem::selector, exact_radix> &&
    std::is_same_v<typename Problem::selection::tensors, stored_scores<exact_radix>::tensors>;

/// Exact for every row, without scratch. A row in registers, or read once past a gate; where a gate
/// lets too few or too many keys pass, by digits, which reads it five times.
template <class Problem>
struct select_rows {
  static constexpr char const* name = "select_rows";

  /// Clusters are of compute capability 9.0. No more rows than run at one time: a check of 2,048
  /// rows of 8,192 keys met an illegal address, and why is not known yet.
  [[nodiscard]] static constexpr bool serves(plan const& p, plan_numbers const& n) noexcept {
    bool const two_blocks = p.shape.kv_len > register_keys && p.shape.kv_len <= max_slice / 4;
    return n.compute_capability >= 90 && n.select_rows.list_keys > 0 &&
           rows(p) <= std::int64_t{n.multiprocessors} * (two_blocks ? 2 : 1);
  }
  [[nodiscard]] static constexpr std::size_t scratch_bytes(plan const&,
                                                           plan_numbers const&) noexcept {
    return 0;
  }
  /// visit(kernel_launch) for each kernel, in order.
  template <class Visit>
  static void each_kernel(plan const& p, plan_numbers const& n, Visit&& visit) noexcept {
    visit(n.select_rows.threads == 512 ? kernel<512>(p, n) : kernel<1024>(p, n));
  }
  static void run(plan const& p, plan_numbers const& n, arguments<Problem> const& a,
                  workspace const&, launcher& launch) noexcept {
    select_rows_arguments<Problem> w{.n = row_numbers<Problem>::of(p, a),
                                     .tuning = n.select_rows,
                                     .max_slice = static_cast<std::int32_t>(slice_of(p, n)),
                                     .rows = static_cast<std::uint32_t>(rows(p)),
                                     .p = p,
                                     .a = a};
    each_kernel(p, n, [&](kernel_launch const& k) { launch(k, w); });
  }

 private:
  [[nodiscard]] static constexpr std::int64_t rows(plan const& p) noexcept {
    return std::int64_t{p.shape.batch} * p.shape.q_len * p.scope_heads;
  }
  [[nodiscard]] static constexpr std::int64_t slice_of(plan const& p,
                                                       plan_numbers const& n) noexcept {
    return smaller<std::int64_t>(slice_keys(p.shape.kv_len, n.select_rows.cluster), max_slice);
  }
  template <int Threads>
  [[nodiscard]] static kernel_launch kernel(plan const& p, plan_numbers const& n) noexcept {
    select_rows_tuning const& t = n.select_rows;
    std::int64_t const clusters =
        larger<std::int64_t>(1, std::int64_t{n.multiprocessors} * t.blocks / t.cluster);
    return {
        .name = name,
        .function = reinterpret_cast<void const*>(&select_rows_kernel<Problem, Threads>),
        .blocks = static_cast<int>(smaller(clusters, larger<std::int64_t>(1, rows(p)))) * t.cluster,
        .threads = Threads,
        .bytes = select_rows_agent<Problem, Threads>::bytes(t.list_keys, slice_of(p, n)),
        .cluster = t.cluster};
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
