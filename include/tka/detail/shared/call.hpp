// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the public calls share: checking at compile time, planning, running, phases.

#pragma once

#include <tka/backend/names.hpp>
#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/detail/shared/check_tensors.hpp>
#include <tka/detail/shared/error_word.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/fault.hpp>
#include <tka/form.hpp>
#include <tka/plan.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/status.hpp>
#include <tka/workspace.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

// What a message says must be a literal, so each call that shares a rule has a copy with its name.
#define TKA_RULE(what, holds, sentence)                                                            \
  static_assert((what) != task::select_attend || (holds), "tka::sparse_attention: " sentence);     \
  static_assert((what) != task::select || (holds), "tka::select_top_k: " sentence);                \
  static_assert((what) != task::attend || (holds), "tka::attend_selected: " sentence);             \
  static_assert((what) != task::backward || (holds), "tka::sparse_attention_backward: " sentence); \
  static_assert((what) != task::indexer_loss || (holds), "tka::indexer_loss: " sentence)

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

/// What a call may be told of where to run.
template <class Backend, class Problem, class Where>
concept runs_by =
    requires(plan const& p, arguments<Problem> const& a, workspace const& w, Where&& where) {
      Backend::template run<Problem>(p, a, w, std::forward<Where>(where));
    };

template <class...>
inline constexpr bool never = false;

/// A stateless callable for one task. `Tensors` is the public aggregate of the call.
template <class Backend, class Problem, class Tensors>
class call {
 public:
  using tensors = Tensors;
  using device = typename Backend::device;
  /// What plans and runs the call; for tests and benchmarks, which look at what it decides.
  using engine = typename Backend::template engine<Problem>;
  using selection = typename Problem::selection;

  /// Plans the call for these bounds: pure, allocates nothing, touches no device. Whether it can
  /// run stands in `plan.status`; the sizes of the workspace in `scratch_bytes`, `state_bytes`.
  /// `by`: the selection policy with its numbers, where it has any.
  [[nodiscard]] tka::plan plan(shape const& s, options const& o, device const& d,
                               selection const& by = {}) const noexcept {
    return engine::make_plan(s, o, d, by);
  }

  /// `ok`, or why a call with these bounds cannot run on the device; nothing runs.
  [[nodiscard]] status supported(shape const& s, options const& o, device const& d,
                                 selection const& by = {}) const noexcept {
    return plan(s, o, d, by).status;
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

  /// What `operator()` would refuse, and which tensor and stride or extent it is about. Nothing
  /// runs.
  [[nodiscard]] fault diagnose(tka::plan const& p, tensors const& t,
                               workspace const& w) const noexcept {
    return check(p, t, arguments_of<Problem>(t), w);
  }

  /// Runs the call. The last argument says where: an executor on the CPU (default: the calling
  /// thread), a stream on CUDA, where the call is only enqueued. Allocates nothing. On any status
  /// but `ok`, `launch_failed` and `data_error` no byte was written. On the CPU data that broke a
  /// rule gives `data_error`, with or without an error word; on CUDA only the word tells.
  template <class... Where>
  [[nodiscard]] status operator()(tka::plan const& p, tensors const& t, workspace const& w,
                                  Where&&... where) const noexcept {
    constexpr bool told_where =
        sizeof...(Where) == 1 && (... && runs_by<Backend, Problem, Where&&>);
    constexpr bool runs_here = sizeof...(Where) == 0 && waits<Backend>;
    TKA_RULE(Problem::what, told_where || runs_here,
             "the last argument says where to run; give one executor (cpu, or none; it is called "
             "as executor(workers, function)) or one stream (cuda)");
    auto a = arguments_of<Problem>(t);
    if (fault const f = check(p, t, a, w); f.status != status::ok) return f.status;
    std::uint32_t found = 0;
    if constexpr (waits<Backend>) a.error = &found;
    status done = status::ok;
    if constexpr (told_where) {
      done = Backend::template run<Problem>(p, a, w, std::forward<Where>(where)...);
    } else if constexpr (runs_here) {
      done = Backend::template run<Problem>(p, a, w, typename Backend::serial{});
    }
    return done == status::ok ? told(found, t.error) : done;
  }

  /// A call without a workspace, and one with something else in its place.
  template <class Rule = void>
  status operator()(tka::plan const&, tensors const&) const noexcept {
    TKA_RULE(Problem::what, never<Rule>,
             "a workspace is missing; give {.scratch, .scratch_bytes} of plan.scratch_bytes as the "
             "third argument");
    return status::workspace_too_small;
  }
  template <class Third, class... Rest>
    requires(!std::is_convertible_v<Third &&, workspace>)
  status operator()(tka::plan const&, tensors const&, Third&&, Rest&&...) const noexcept {
    TKA_RULE(Problem::what, never<Third>,
             "the third argument is a tka::workspace; where to run comes after it");
    return status::workspace_too_small;
  }

  /// For hosts that bring their own threads: worker `worker` of `workers` does its share of phase
  /// `phase`. Call it for all workers of a phase, at once or not, before the next phase begins;
  /// phases are 0 .. plan.schedule.phases - 1, workers at most plan.schedule.workers. `data_error`
  /// is of this share alone, and the other workers and phases are to be run all the same.
  [[nodiscard]] status run_phase(tka::plan const& p, tensors const& t, workspace const& w,
                                 std::int32_t phase, std::int32_t worker,
                                 std::int32_t workers) const noexcept
    requires waits<Backend>
  {
    auto a = arguments_of<Problem>(t);
    if (fault const f = check(p, t, a, w); f.status != status::ok) return f.status;
    if (phase < 0 || phase >= p.schedule.phases || worker < 0 || worker >= workers ||
        workers > p.schedule.workers) {
      return status::invalid_worker;
    }
    std::uint32_t found = 0;
    a.error = &found;
    engine::run_phase(p, a, w, phase, worker, workers);
    return told(found, t.error);
  }

 private:
  [[nodiscard]] static fault check(tka::plan const& p, tensors const& t,
                                   arguments<Problem> const& a, workspace const& w) noexcept {
    status const s = engine::check_call(p, a, w);
    if (s == status::plan_mismatch) return {s};
    // Kernels copy pages of 132 bytes a token by words.
    constexpr std::int64_t page_alignment = waits<Backend> ? 1 : 4;
    fault const f = tensor_check<Problem, tensors, page_alignment>{p, t}.run();
    if (f.status != status::ok || s == status::ok) return f;
    return {s, s == status::workspace_too_small ? tensor_name::scratch : tensor_name::none};
  }
};

#undef TKA_RULE

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
