// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One combination of policies as the benchmark library runs it. Each stands in a source of its
/// own, TKA_BENCH_INSTANCE(task, selection, scope), that CMake writes.

#pragma once

#include "bench_abi.h"

#include <tka/attend_selected.hpp>
#include <tka/backend/cuda.cuh>
#include <tka/select_top_k.hpp>
#include <tka/sparse_attention.hpp>

#include <cstdint>

namespace tka_bench {

/// A planned call behind a virtual function, so that the C functions need not know its type.
class runner {
 public:
  virtual ~runner() = default;
  [[nodiscard]] virtual tka::plan const& plan() const noexcept = 0;
  [[nodiscard]] virtual tka::status initialize(tka_bench_tensors const&, cudaStream_t) noexcept = 0;
  [[nodiscard]] virtual tka::status run(tka_bench_tensors const&, cudaStream_t) noexcept = 0;
};

/// The instances of this build; each adds itself when the library is loaded.
struct entry {
  std::int32_t task;
  std::int32_t selection;
  std::int32_t scope;
  runner* (*make)(tka_bench_call const&);
  entry* next;

  entry(std::int32_t task_, std::int32_t selection_, std::int32_t scope_,
        runner* (*make_)(tka_bench_call const&)) noexcept
      : task(task_), selection(selection_), scope(scope_), make(make_), next(first()) {
    first() = this;
  }
  static entry*& first() noexcept;
};

namespace attend {
template <class Selection, class Form>
constexpr auto& call = tka::sparse_attention<Selection, tka::bf16, tka::cuda, Form>;
constexpr std::int32_t task = TKA_BENCH_ATTEND;
}  // namespace attend
namespace select {
template <class Selection, class Form>
constexpr auto& call = tka::select_top_k<Selection, tka::bf16, tka::cuda, Form>;
constexpr std::int32_t task = TKA_BENCH_SELECT;
}  // namespace select
namespace attend_selected {
template <class, class Form>
constexpr auto& call = tka::attend_selected<tka::bf16, tka::cuda, Form>;
constexpr std::int32_t task = TKA_BENCH_ATTEND_SELECTED;
}  // namespace attend_selected

inline constexpr std::int32_t exact_radix = TKA_BENCH_EXACT_RADIX;
inline constexpr std::int32_t bucketed = TKA_BENCH_BUCKETED;
inline constexpr std::int32_t query_head = TKA_BENCH_QUERY_HEAD;
inline constexpr std::int32_t kv_group = TKA_BENCH_KV_GROUP;

template <std::int32_t Task, class Call>
class planned final : public runner {
 public:
  planned(Call const& call, tka_bench_call const& c) : call_(call) {
    tka::shape const shape{.batch = c.batch,
                           .q_heads = c.q_heads,
                           .kv_heads = c.kv_heads,
                           .q_len = c.q_len,
                           .kv_len = c.kv_len,
                           .qk_dim = c.head_dim,
                           .v_dim = c.head_dim};
    tka::options options{.budget = tka::top_k(c.k), .scale = c.scale};
    if (c.recall > 0.0f) options.bucketing.recall_target = c.recall;
    plan_ = call_.plan(shape, options, tka::cuda::query());
    tka::schedule wanted = plan_.schedule;
    if (c.workers > 0) wanted.workers = c.workers;
    if (c.query_tile > 0) wanted.query_tile = c.query_tile;
    if (c.stages > 0) wanted.stages = c.stages;
    if (!(wanted == plan_.schedule)) plan_ = call_.reschedule(plan_, wanted);
  }

  [[nodiscard]] tka::plan const& plan() const noexcept override { return plan_; }

  [[nodiscard]] tka::status initialize(tka_bench_tensors const& t,
                                       cudaStream_t stream) noexcept override {
    if constexpr (requires { call_.initialize(plan_, workspace(t), stream); }) {
      return call_.initialize(plan_, workspace(t), stream);
    } else {
      return call_.initialize(plan_, workspace(t));
    }
  }

  [[nodiscard]] tka::status run(tka_bench_tensors const& t, cudaStream_t stream) noexcept override {
    tka::shape const& s = plan_.shape;
    using element = tka::bfloat16_t;
    typename Call::tensors a{};
    a.q = tka::hnd(static_cast<element const*>(t.q), s.q_heads, s.q_len, s.qk_dim);
    a.k = {static_cast<element const*>(t.k), t.batch_stride, t.head_stride, s.qk_dim};
    a.kv.lengths = t.lengths;
    a.error = t.error;
    if (t.positions != nullptr) {
      std::int64_t const tokens = s.q_len;
      a.positions = {t.positions, plan_.scope_heads * tokens * plan_.capacity,
                     tokens * plan_.capacity, plan_.capacity};
      a.count = {t.count, plan_.scope_heads * tokens, tokens, 1};
    }
    if constexpr (Task != TKA_BENCH_SELECT) {
      a.v = {static_cast<element const*>(t.v), t.batch_stride, t.head_stride, s.v_dim};
      a.o = tka::hnd(static_cast<element*>(t.o), s.q_heads, s.q_len, s.v_dim);
    }
    return call_(plan_, a, workspace(t), stream);
  }

 private:
  [[nodiscard]] tka::workspace workspace(tka_bench_tensors const& t) const noexcept {
    return {.scratch = t.scratch,
            .scratch_bytes = plan_.scratch_bytes,
            .state = t.state,
            .state_bytes = plan_.state_bytes};
  }

  Call const& call_;
  tka::plan plan_{};
};

template <std::int32_t Task, class Call>
[[nodiscard]] runner* make_planned(Call const& call, tka_bench_call const& c) {
  return new planned<Task, Call>(call, c);
}

}  // namespace tka_bench

#define TKA_BENCH_INSTANCE(task_, selection_, scope_)                                   \
  static tka_bench::entry const instance(                                               \
      tka_bench::task_::task, tka_bench::selection_, tka_bench::scope_,                 \
      [](tka_bench_call const& c) {                                                     \
        return tka_bench::make_planned<tka_bench::task_::task>(                         \
            tka_bench::task_::call<tka::selection_, tka::form<tka::scope::scope_>>, c); \
      });
