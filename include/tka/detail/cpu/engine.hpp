// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CPU engine: plans a call, checks it and runs its phases.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/float_mode.hpp>
#include <tka/detail/cpu/phases.hpp>
#include <tka/detail/cpu/regions.hpp>
#include <tka/detail/cpu/schedule.hpp>
#include <tka/detail/cpu/tuning.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/check.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>
#include <tka/saved_selection.hpp>
#include <tka/select/exact_radix.hpp>
#include <tka/workspace.hpp>

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Head sizes that the lanes divide, and whose rows of zeros exist.
[[nodiscard]] constexpr bool head_dim_served(std::int32_t dim) noexcept {
  return dim >= head_dim_grain && dim <= 1024 && dim % head_dim_grain == 0;
}

/// Plans and runs one kind of call; stateless.
template <class Problem>
class engine {
 public:
  template <class Device>
  [[nodiscard]] static plan make_plan(shape const& s, options const& o, Device const& device,
                                      typename Problem::selection const& by) noexcept {
    if constexpr (!Problem::selects) {
      if (by.form == saved_form::threshold) return make_gated_plan(s, o, device);
    }
    plan p{};
    p.shape = s;
    p.options = o;
    p.instance = instance;
    p.status = check(s, o, by);
    if (p.status != status::ok) return p;
    p.capacity = capacity_of<Problem>(o, s);
    p.scope_heads = Problem::scope_heads(s);
    p.selection.put(selector_of(by).derive());
    choose_schedule<Problem>(p, std::max(1, device.threads));
    if (p.scratch_bytes > static_cast<std::size_t>(max_scratch)) p.status = status::too_large;
    return p;
  }

  /// The same plan under another schedule: other speed and sizes, the same results.
  [[nodiscard]] static plan reschedule(plan p, schedule const& wanted) noexcept {
    if constexpr (takes_thresholds) {
      if (is_gated(p)) return engine<gated>::reschedule(p, wanted);
    }
    p.schedule.workers = std::max(1, wanted.workers);
    p.schedule.query_tile = std::clamp(wanted.query_tile, 1, max_query_tile);
    p.schedule.splits = can_split<Problem>(p.options) ? std::max(1, wanted.splits) : 1;
    settle<Problem>(p);
    if (p.scratch_bytes > static_cast<std::size_t>(max_scratch)) p.status = status::too_large;
    return p;
  }

  [[nodiscard]] static status check_call(plan const& p, arguments<Problem> const& a,
                                         workspace const& w) noexcept {
    return check_run<Problem>(p, instance, a, w);
  }

  /// One worker's share of one phase. Workers of a phase may run at once; phases may not.
  static void run_phase(plan const& p, arguments<Problem> const& a, workspace const& w,
                        std::int32_t phase, std::int32_t worker, std::int32_t workers) noexcept {
    if (p.shape.q_len == 0) return;
    if constexpr (takes_thresholds) {
      if (is_gated(p)) {
        engine<gated>::run_phase(p, gated_arguments(a), w, phase, worker, workers);
        return;
      }
    }
    float_mode const mode{};
    regions<Problem> const space{p};
    if (worker >= space.workers) return;
    std::int32_t const stages = phases_of_wave<Problem>(p);
    phases<Problem> const own{p, a, w, space, phase / stages, worker, workers};
    if constexpr (!Problem::selects) {
      own.attend_given();
    } else if (p.schedule.splits == 1) {
      own.whole_units();
    } else if (phase % stages == 0) {
      own.score_splits();
    } else if (phase % stages == 1) {
      own.select_lists();
    } else if constexpr (Problem::attends) {
      own.attend_lists();
    }
  }

 private:
  using source = score_source_t<Problem>;
  static constexpr std::uint64_t instance = instance_of<Problem>("cpu");

  /// A call that is given thresholds scores again, and keeps what passes them.
  using gated = problem<exact_radix, typename Problem::precision, typename Problem::form,
                        task::select_attend>;
  static constexpr bool takes_thresholds = !Problem::selects && gated::scope_exists;

  template <class Device>
  [[nodiscard]] static plan make_gated_plan(shape const& s, options const& o,
                                            Device const& device) noexcept {
    plan p{};
    p.shape = s;
    p.options = o;
    p.status = status::unsupported_call;
    if constexpr (takes_thresholds) {
      bool const joined = Problem::per_kv_group && o.combine == combine::softmax_sum;
      if (!joined && o.metrics == metrics::selected) {
        p = engine<gated>::make_plan(s, o, device, {});
      }
      p.selection.put(saved_form::threshold);
    }
    p.instance = instance;
    return p;
  }
  [[nodiscard]] static bool is_gated(plan const& p) noexcept {
    return p.selection.get<saved_form>() == saved_form::threshold;
  }
  [[nodiscard]] static arguments<gated> gated_arguments(arguments<Problem> const& a) noexcept {
    arguments<gated> to{};
    to.q = a.q;
    to.k = a.k;
    to.v = a.v;
    to.o = a.o;
    to.query = a.query;
    to.kv = a.kv;
    to.scales = a.scales;
    to.mask = a.mask;
    to.k_per_sequence = a.k_per_sequence;
    to.sink_logits = a.sink_logits;
    to.given_threshold_score = a.given_threshold_score;
    to.given_threshold_position = a.given_threshold_position;
    to.lse = a.lse;
    to.entropy = a.entropy;
    to.error = a.error;
    return to;
  }

  [[nodiscard]] static status check(shape const& s, options const& o,
                                    typename Problem::selection const& by) noexcept {
    if (status const st = check_shape<Problem>(s); st != status::ok) return st;
    if ((Problem::reads_keys && !head_dim_served(s.qk_dim)) ||
        (Problem::attends && !head_dim_served(s.v_dim)) ||
        (source::by_products && !head_dim_served(source::dim(s)))) {
      return status::unsupported_head_dim;
    }
    return check_options<Problem>(o, by);
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
