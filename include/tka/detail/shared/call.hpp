// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the public calls share: checking at compile time, planning, running, phases.

#pragma once

#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/form.hpp>
#include <tka/plan.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/status.hpp>
#include <tka/workspace.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace tka::inline TKA_ABI::detail {

// What a message says must be a literal, so each call that shares a rule has a copy with its name.
#define TKA_RULE(what, holds, sentence)                                                        \
  static_assert((what) != task::select_attend || (holds), "tka::sparse_attention: " sentence); \
  static_assert((what) != task::select || (holds), "tka::select_top_k: " sentence);            \
  static_assert((what) != task::attend || (holds), "tka::attend_selected: " sentence)

/// The rules that the compiler can check, each failing with one sentence.
template <task Task, class Selection, class Precision, class Backend, class Form>
struct checked {
  TKA_RULE(Task, selection_policy<Selection>,
           "Selection must be a selection policy; use exact_radix, bucketed, "
           "lightning_indexer<...> or stored_scores<...>");
  TKA_RULE(Task, precision_policy<Precision>,
           "Precision must be a precision policy; use fp32, fp16, bf16, fp8 or fp8_with<...>");
  TKA_RULE(Task, backend_policy<Backend>,
           "Backend must be a backend; use cpu (include tka/backend/cpu.hpp) or cuda (include "
           "tka/backend/cuda.cuh)");
  TKA_RULE(Task, form_type<Form>,
           "Form must be a form; use form<...> with parts of tka::scope, query, kv, visibility, "
           "layout or unit");
  static constexpr bool ok = selection_policy<Selection> && precision_policy<Precision> &&
                             backend_policy<Backend> && form_type<Form>;
};

/// The rules that tie policies to each other.
template <class Problem>
struct compatible {
  using layout_type = typename Problem::cache_layout;
  static constexpr bool fp8_keys = sizeof(typename Problem::precision::key_type) == 1;
  static constexpr bool layout_ok = std::is_same_v<layout_type, layout::plain> ||
                                    std::is_same_v<layout_type, layout::scaled> || fp8_keys;
  TKA_RULE(Problem::what, Problem::scope_exists,
           "this scope does not exist for this selection; q.k selects by scope::query_head or "
           "scope::kv_group, an indexer by scope::all_heads");
  TKA_RULE(Problem::what, layout_ok, "layout::mla_656 stores e4m3; use the precision fp8");
  static constexpr bool index_pages_ok = [] {
    if constexpr (Problem::by_index) {
      using selection = typename Problem::selection;
      return !std::is_same_v<typename selection::cache_layout, index_layout::page_132> ||
             (Problem::kv_source::has_pages &&
              sizeof(typename selection::precision::key_type) == 1);
    }
    return true;
  }();
  static_assert(index_pages_ok,
                "tka::lightning_indexer: index_layout::page_132 holds e4m3 in pages; use index_fp8 "
                "and form<kv::paged>");
  static constexpr bool ok = Problem::scope_exists && layout_ok && index_pages_ok;
};

/// A stateless callable for one task. `Tensors` is the public aggregate of the call.
template <class Backend, class Problem, class Tensors>
class call {
 public:
  using tensors = Tensors;
  using device = typename Backend::device;

  /// Plans the call for these bounds: pure, allocates nothing, touches no device. Whether it can
  /// run stands in `plan.status`; the sizes of the workspace in `scratch_bytes`, `state_bytes`.
  [[nodiscard]] tka::plan plan(shape const& s, options const& o, device const& d) const noexcept {
    return engine::make_plan(s, o, d);
  }

  /// `ok`, or why a call with these bounds cannot run on the device; nothing runs.
  [[nodiscard]] status supported(shape const& s, options const& o, device const& d) const noexcept {
    return plan(s, o, d).status;
  }

  /// The same plan under another schedule (other sizes and speed, the same results).
  [[nodiscard]] tka::plan reschedule(tka::plan const& p, schedule const& wanted) const noexcept {
    return p.status == status::ok ? engine::reschedule(p, wanted) : p;
  }

  /// Makes `state` ready for a first call, and again after a failed one.
  [[nodiscard]] status initialize(tka::plan const& p, workspace const& w) const noexcept {
    if (p.status != status::ok) return status::plan_mismatch;
    return w.state_bytes >= p.state_bytes ? status::ok : status::workspace_too_small;
  }

  /// Runs the call. The last argument says where: an executor on the CPU (default: the calling
  /// thread), a stream on CUDA, where the call is only enqueued. Allocates nothing. On any status
  /// but `ok` and `launch_failed` no byte was written.
  template <class... Where>
  [[nodiscard]] status operator()(tka::plan const& p, tensors const& t, workspace const& w,
                                  Where&&... where) const noexcept {
    constexpr bool told_where = sizeof...(Where) == 1;
    constexpr bool runs_here = sizeof...(Where) == 0 && requires { typename Backend::serial; };
    TKA_RULE(Problem::what, told_where || runs_here,
             "the last argument says where to run; give one executor (cpu, or none) or one stream "
             "(cuda)");
    auto const a = arguments_of<Problem>(t);
    if (status const s = engine::check_call(p, a, w); s != status::ok) return s;
    if constexpr (told_where) {
      return Backend::template run<Problem>(p, a, w, std::forward<Where>(where)...);
    } else if constexpr (runs_here) {
      return Backend::template run<Problem>(p, a, w, typename Backend::serial{});
    }
  }

  /// For hosts that bring their own threads: worker `worker` of `workers` does its share of phase
  /// `phase`. Call it for all workers of a phase, at once or not, before the next phase begins;
  /// phases are 0 .. plan.schedule.phases - 1, workers at most plan.schedule.workers.
  [[nodiscard]] status run_phase(tka::plan const& p, tensors const& t, workspace const& w,
                                 std::int32_t phase, std::int32_t worker,
                                 std::int32_t workers) const noexcept
    requires requires { typename Backend::serial; }
  {
    auto const a = arguments_of<Problem>(t);
    if (status const s = engine::check_call(p, a, w); s != status::ok) return s;
    if (phase < 0 || phase >= p.schedule.phases || worker < 0 || worker >= workers ||
        workers > p.schedule.workers) {
      return status::invalid_worker;
    }
    engine::run_phase(p, a, w, phase, worker, workers);
    return status::ok;
  }

 private:
  using engine = typename Backend::template engine<Problem>;
};

#undef TKA_RULE

}  // namespace tka::inline TKA_ABI::detail
