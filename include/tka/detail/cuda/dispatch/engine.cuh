// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Plans and launches a call: the host's side of the backend.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/dispatch/launch.cuh>
#include <tka/detail/cuda/dispatch/route.cuh>
#include <tka/detail/cuda/route/slot_route.cuh>
#include <tka/detail/cuda/tuning/attend.cuh>
#include <tka/detail/cuda/tuning/block.cuh>
#include <tka/detail/cuda/tuning/score.cuh>
#include <tka/detail/cuda/tuning/select.cuh>
#include <tka/detail/cuda/tuning/select_rows.cuh>
#include <tka/detail/cuda/warp/widen.cuh>
#include <tka/detail/cuda/work/geometry.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/plan_numbers.cuh>
#include <tka/detail/shared/check.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/score/source.hpp>
#include <tka/device.hpp>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <cuda_runtime_api.h>

#include <cstdint>
#include <limits>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Plans and launches one kind of call; stateless.
template <class Problem>
class engine {
  using precision = typename Problem::precision;
  using source = score_source_t<Problem>;
  static constexpr bool mla = std::is_same_v<typename Problem::cache_layout, layout::mla_656>;
  using attend_type = product_type_t<typename precision::query_type, typename precision::key_type>;
  /// Query and key types that are multiplied, and values of the same product type.
  static constexpr bool multiplies =
      !std::is_void_v<attend_type> &&
      !std::is_void_v<
          product_type_t<typename scored<Problem>::query, typename scored<Problem>::key>> &&
      std::is_same_v<product_type_t<attend_type, typename precision::value_type>, attend_type> &&
      !(mla && std::is_same_v<attend_type, float16_t>);

 public:
  /// Shared memory without which a block does not select.
  static constexpr int min_select_bytes = shares_bytes + select<Problem>::min_bytes;

  [[nodiscard]] static plan make_plan(shape const& s, options const& o, cuda_device const& device,
                                      typename Problem::selection const& by) noexcept {
    plan p{};
    p.shape = s;
    p.options = o;
    p.instance = instance;
    p.status = check(s, o, by);
    if (p.status != status::ok) return p;
    if constexpr (multiplies) {
      p.capacity = capacity_of<Problem>(o, s);
      if (p.capacity > max_capacity) {
        p.status = status::too_large;
        return p;
      }
      p.scope_heads = Problem::scope_heads(s);
      p.selection.put(selector_of(by).derive());
      if (!fit_device(p, device)) {
        p.status = status::unsupported_device;
        return p;
      }
      choose_route(p, {});
    }
    return p;
  }

  /// The same plan with another number of blocks or tokens a unit, or by another route; a route
  /// that cannot serve the plan leaves a plan that says so.
  [[nodiscard]] static plan reschedule(plan p, schedule const& wanted) noexcept {
    if constexpr (multiplies) {
      std::int32_t const workers = larger(1, smaller(wanted.workers, p.schedule.workers));
      plan_numbers n = numbers_of(p);
      n.multiprocessors = larger(1, n.multiprocessors * workers / larger(1, p.schedule.workers));
      p.schedule.workers = workers;
      p.schedule.query_tile = larger(1, smaller(wanted.query_tile, max_score_rows));
      p.backend.put(n);
      choose_route(p, wanted.route);
    }
    return p;
  }

  /// The same plan with other tuning, for tests and benchmarks: any numbers are right, few are
  /// fast.
  [[nodiscard]] static plan retune(plan p, plan_numbers const& n) noexcept {
    p.backend.put(n);
    if constexpr (multiplies) choose_route(p, p.schedule.route);
    return p;
  }

  /// visit(kernel_launch) for each kernel of the plan's calls, in order.
  template <class Visit>
  static void each_kernel(plan const& p, Visit&& visit) noexcept {
    if constexpr (multiplies) {
      plan_numbers const n = numbers_of(p);
      with_route(routes{}, p.schedule.route, p, n,
                 [&](auto route) { decltype(route)::type::each_kernel(p, n, visit); });
    }
  }

  [[nodiscard]] static status check_call(plan const& p, arguments<Problem> const& a,
                                         workspace const& w) noexcept {
    if constexpr (source::by_products) {
      // Pages of 132 bytes a token are copied by words.
      if constexpr (std::is_same_v<typename source::key_layout, index_layout::page_132>) {
        auto const pages = source::keys(a);
        if (reinterpret_cast<std::uintptr_t>(pages.data) % 4 != 0 || pages.batch % 4 != 0) {
          return status::misaligned;
        }
      }
    }
    return check_run<Problem>(p, instance, a, w);
  }

  [[nodiscard]] static status launch(plan const& p, arguments<Problem> const& a, workspace const& w,
                                     cudaStream_t stream) noexcept {
    if (p.shape.q_len == 0) return status::ok;
    if constexpr (multiplies) {
      plan_numbers const n = numbers_of(p);
      launcher launch_kernel{stream};
      bool const known = with_route(routes{}, p.schedule.route, p, n, [&](auto route) {
        decltype(route)::type::run(p, n, a, w, launch_kernel);
      });
      if (!known) return status::plan_mismatch;
      return launch_kernel.ok() ? status::ok : status::launch_failed;
    }
    return status::unsupported_precision;
  }

 private:
  using routes = typename routes_of<Problem>::type;

  static constexpr std::uint64_t instance = instance_of<Problem>("cuda");
  static constexpr int reserved_shared_bytes = 1024;  // that the system takes of each block's
  static constexpr int shared_grain = 128;            // in which a block is given them
  /// The end of a list's last part is counted in 32 bits.
  static constexpr std::int32_t max_capacity = std::numeric_limits<std::int32_t>::max() - part_keys;

  [[nodiscard]] static status check(shape const& s, options const& o,
                                    typename Problem::selection const& by) noexcept {
    if (status const st = check_shape<Problem>(s); st != status::ok) return st;
    auto const served = [](std::int32_t dim, std::int32_t most) {
      return dim >= 16 && dim <= most && dim % 16 == 0;
    };
    if ((Problem::reads_keys && !served(s.qk_dim, max_qk_dim)) ||
        (Problem::attends && !served(s.v_dim, max_v_dim)) ||
        (source::by_products && !served(source::dim(s), max_qk_dim))) {
      return status::unsupported_head_dim;
    }
    if (status const st = check_options<Problem>(o, by); st != status::ok) return st;
    if constexpr (!Problem::selects) {
      if (by.form != saved_form::positions) return status::unsupported_call;
    }
    return multiplies ? status::ok : status::unsupported_precision;
  }

  /// Blocks of `bytes` that a multiprocessor holds at once.
  [[nodiscard]] static int resident(cuda_device const& device, int bytes) noexcept {
    if (bytes > device.shared_bytes_per_block) return 0;
    return device.shared_bytes_per_multiprocessor /
           static_cast<int>(round_up(bytes + reserved_shared_bytes, shared_grain));
  }

  /// How the stages use the device; false where they cannot.
  [[nodiscard]] static bool fit_device(plan& p, cuda_device const& device) noexcept {
    plan_numbers n{.multiprocessors = device.multiprocessors,
                   .compute_capability = device.compute_capability,
                   .block_bytes = device.shared_bytes_per_block,
                   .buffers = max_buffers,
                   .select_blocks = max_select_blocks + 1,
                   .score = tune_score(device),
                   .select = tune_select(device),
                   .select_rows = tune_select_rows(
                       device, std::int64_t{p.shape.batch} * p.shape.q_len * p.scope_heads,
                       p.shape.kv_len, p.capacity)};
    p.schedule.phases = 1;
    p.schedule.query_tile = max_score_rows;
    auto const blocks = [&] {
      return smaller(loop_blocks, resident(device, shares_bytes + loop_bytes<Problem>(p, n)));
    };
    if (blocks() == 0) n.buffers = min_buffers;
    p.schedule.workers = blocks() * device.multiprocessors;
    do {
      --n.select_blocks;
      n.select_bytes = smaller(
          device.shared_bytes_per_block,
          device.shared_bytes_per_multiprocessor / n.select_blocks / shared_grain * shared_grain -
              reserved_shared_bytes);
    } while (n.select_bytes < min_select_bytes && n.select_blocks > 1);
    p.backend.put(n);
    return device.compute_capability >= 80 && p.schedule.workers > 0 &&
           n.select_bytes >= min_select_bytes;
  }

  /// The route, and the scratch that it needs.
  static void choose_route(plan& p, route_name const& wanted) noexcept {
    plan_numbers const n = numbers_of(p);
    bool const found = with_route(routes{}, wanted, p, n, [&](auto route) {
      using type = typename decltype(route)::type;
      p.schedule.route = type::name;
      p.scratch_bytes = type::scratch_bytes(p, n);
    });
    if (!found) p.status = status::plan_mismatch;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
