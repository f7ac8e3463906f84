// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CPU engine: plans a call, checks it and runs its phases.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/job.hpp>
#include <tka/detail/cpu/regions.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/check.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cpu {

/// Head sizes that the lanes divide, and whose rows of zeros exist.
[[nodiscard]] constexpr bool head_dim_served(std::int32_t dim) noexcept {
  return dim >= 16 && dim <= 1024 && dim % 16 == 0;
}

/// Plans and runs one kind of call; stateless.
template <class Problem>
class engine {
 public:
  template <class Device>
  [[nodiscard]] static plan make_plan(shape const& s, options const& o,
                                      Device const& device) noexcept {
    plan p{};
    p.shape = s;
    p.options = o;
    p.instance = instance_of<Problem>();
    p.status = check(s, o);
    if (p.status != status::ok) return p;
    p.capacity = capacity_of<Problem>(o, s);
    p.scope_heads = Problem::scope_heads(s);
    if (std::is_same_v<typename Problem::selector, bucketed> && o.bucketing.buckets == 0) {
      p.bucket_rule = choose_bucket_rule(double{o.bucketing.recall_target});
    }
    p.schedule = make_schedule(s, o, std::max(1, device.threads));
    p.scratch_bytes = regions<Problem>{p}.total();
    return p;
  }

  /// The same plan under another schedule: other speed and sizes, the same results.
  [[nodiscard]] static plan reschedule(plan p, schedule const& wanted) noexcept {
    p.schedule.workers = std::max(1, wanted.workers);
    p.schedule.query_tile = std::clamp(wanted.query_tile, 1, max_query_tile);
    p.schedule.splits = can_split(p.options) ? std::max(1, wanted.splits) : 1;
    p.schedule.phases = p.schedule.splits > 1 ? (Problem::attends ? 3 : 2) : 1;
    p.scratch_bytes = regions<Problem>{p}.total();
    return p;
  }

  [[nodiscard]] static status check_call(plan const& p, arguments<Problem> const& a,
                                         workspace const& w) noexcept {
    return check_run<Problem>(p, a, w);
  }

  /// One worker's share of one phase. Workers of a phase may run at once; phases may not.
  static void run_phase(plan const& p, arguments<Problem> const& a, workspace const& w,
                        std::int32_t phase, std::int32_t worker, std::int32_t workers) noexcept {
    if (p.shape.q_len == 0) return;
    regions<Problem> const space{p};
    job<Problem> const j{p, a, w, space, worker, workers};
    if constexpr (!Problem::selects) {
      j.attend_given();
    } else if (p.schedule.splits == 1) {
      j.whole_units();
    } else if (phase == 0) {
      j.scan_splits();
    } else if (phase == 1) {
      j.merge_splits();
    } else if constexpr (Problem::attends) {
      j.attend_lists();
    }
  }

 private:
  static constexpr std::int32_t max_query_tile = 64;

  [[nodiscard]] static status check(shape const& s, options const& o) noexcept {
    if (status const st = check_shape<Problem>(s); st != status::ok) return st;
    if (!head_dim_served(s.qk_dim) || (Problem::attends && !head_dim_served(s.v_dim)) ||
        (Problem::by_index && !head_dim_served(s.index_dim))) {
      return status::unsupported_head_dim;
    }
    return check_options<Problem>(o);
  }

  /// A key's combined score may need sums over all keys first: then one worker sees them all.
  [[nodiscard]] static bool can_split(options const& o) noexcept {
    return Problem::selects && !(Problem::per_kv_group && o.combine == combine::softmax_sum);
  }

  [[nodiscard]] static schedule make_schedule(shape const& s, options const& o,
                                              std::int32_t threads) noexcept {
    schedule plan_for{.phases = 1, .workers = threads};
    // Rows scored together share each widened key; beyond some tens nothing more is gained.
    constexpr std::int32_t rows_together = 64;
    std::int32_t const rows = Problem::by_index       ? s.index_heads
                              : Problem::by_query_key ? s.group()
                                                      : 1;
    plan_for.query_tile =
        std::clamp(rows_together / rows, 1, std::min(max_query_tile, std::max(s.q_len, 1)));
    plan p{};
    p.shape = s;
    p.schedule = plan_for;
    std::int64_t const units = unit_count<Problem>(p);
    // Split rows when whole units would leave more than a quarter of the workers idle.
    std::int64_t const rounds = (units + threads - 1) / threads;
    if (threads > 1 && can_split(o) && s.kv_len > 4 * tile_keys &&
        units * 4 < rounds * threads * 3) {
      plan_for.splits = threads;
      plan_for.phases = Problem::attends ? 3 : 2;
    }
    return plan_for;
  }
};

}  // namespace tka::inline TKA_ABI::detail::cpu
