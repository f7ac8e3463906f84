// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One combination of policies as the benchmark library runs it. Each stands in a source of its
/// own, TKA_BENCH_INSTANCE(name, task, selection, precision, form), that bench/matrix.py writes.

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

/// The combinations of this build; each adds itself when the library is loaded.
struct entry {
  char const* combination;
  runner* (*make)(tka_bench_call const&);
  entry* next;

  entry(char const* combination_, runner* (*make_)(tka_bench_call const&)) noexcept
      : combination(combination_), make(make_), next(first()) {
    first() = this;
  }
  static entry*& first() noexcept;
};

/// The tasks: which call, and the tensors that it takes beside q and k.
namespace attend {
template <class Selection, class Precision, class Form>
constexpr auto& call = tka::sparse_attention<Selection, Precision, tka::cuda, Form>;
}  // namespace attend
namespace select {
template <class Selection, class Precision, class Form>
constexpr auto& call = tka::select_top_k<Selection, Precision, tka::cuda, Form>;
}  // namespace select
namespace attend_selected {
template <class, class Precision, class Form>
constexpr auto& call = tka::attend_selected<Precision, tka::cuda, Form>;
}  // namespace attend_selected

template <class T>
concept attends = requires(T t) { t.o; };
template <class T>
concept measures = requires(T t) { t.lse_visible; };
template <class T>
concept has_pages = requires(T t) { t.kv.block_table; };
template <class T>
concept indexes = requires(T t) { t.index.weights; };
template <class T>
concept takes_scores = requires(T t) { t.index.scores; };

template <class Precision, class Call>
class planned final : public runner {
  using tensors = typename Call::tensors;

 public:
  planned(Call const& call, tka_bench_call const& c) : call_(call) {
    tka::shape const shape{.batch = c.batch,
                           .q_heads = c.q_heads,
                           .kv_heads = c.kv_heads,
                           .q_len = c.q_len,
                           .kv_len = c.kv_len,
                           .qk_dim = c.head_dim,
                           .v_dim = c.head_dim,
                           .page_size = c.page_size,
                           .index_heads = c.index_heads,
                           .index_dim = c.index_heads > 0 ? c.head_dim : 0};
    tka::options options{.budget = tka::top_k(c.k), .scale = c.scale};
    if (c.recall > 0.0f) options.bucketing.recall_target = c.recall;
    if (c.visible != 0) options.metrics = tka::metrics::visible;
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
    return call_(plan_, arguments(t), workspace(t), stream);
  }

 private:
  [[nodiscard]] tensors arguments(tka_bench_tensors const& t) const noexcept {
    using query = typename Precision::query_type;
    using key = typename Precision::key_type;
    using value = typename Precision::value_type;
    tka::shape const& s = plan_.shape;
    std::int64_t const tokens = s.q_len;
    tensors a{};
    a.q = tka::hnd(static_cast<query const*>(t.q), s.q_heads, s.q_len, s.qk_dim);
    a.k = {static_cast<key const*>(t.k), t.batch_stride, t.head_stride, s.qk_dim};
    a.kv.lengths = t.lengths;
    a.error = t.error;
    if (t.positions != nullptr) {
      a.positions = {t.positions, plan_.scope_heads * tokens * plan_.capacity,
                     tokens * plan_.capacity, plan_.capacity};
      a.count = {t.count, plan_.scope_heads * tokens, tokens, 1};
    }
    if constexpr (attends<tensors>) {
      using output = typename Precision::output_type;
      a.v = {static_cast<value const*>(t.v), t.batch_stride, t.head_stride, s.v_dim};
      a.o = tka::hnd(static_cast<output*>(t.o), s.q_heads, s.q_len, s.v_dim);
      if (t.lse != nullptr) a.lse = {t.lse, s.q_heads * tokens, tokens, 1};
    }
    if constexpr (measures<tensors>) {
      if (t.lse_visible != nullptr) a.lse_visible = {t.lse_visible, s.q_heads * tokens, tokens, 1};
    }
    if constexpr (has_pages<tensors>) {
      a.kv.block_table = t.block_table;
      a.kv.table_stride = t.table_stride;
      a.kv.pages = static_cast<std::int32_t>(t.pages);
    }
    if constexpr (indexes<tensors>) {
      using index = tka::float8_e4m3_t;
      a.index.q =
          tka::hnd(static_cast<index const*>(t.index_q), s.index_heads, s.q_len, s.index_dim);
      a.index.k = {static_cast<index const*>(t.index_k), t.index_stride, t.index_stride,
                   s.index_dim};
      a.index.weights = tka::hnd(t.index_weights, s.index_heads, s.q_len, 1);
    }
    if constexpr (takes_scores<tensors>) {
      a.index.scores = {t.scores, plan_.scope_heads * tokens * t.scores_stride,
                        tokens * t.scores_stride, t.scores_stride};
    }
    return a;
  }

  [[nodiscard]] tka::workspace workspace(tka_bench_tensors const& t) const noexcept {
    return {.scratch = t.scratch,
            .scratch_bytes = plan_.scratch_bytes,
            .state = t.state,
            .state_bytes = plan_.state_bytes};
  }

  Call const& call_;
  tka::plan plan_{};
};

template <class Precision, class Call>
[[nodiscard]] runner* make_planned(Call const& call, tka_bench_call const& c) {
  return new planned<Precision, Call>(call, c);
}

}  // namespace tka_bench

#define TKA_BENCH_INSTANCE(name_, task_, selection_, precision_, ...)        \
  static tka_bench::entry const instance(                                    \
      name_, [](tka_bench_call const& c) -> tka_bench::runner* {             \
        return tka_bench::make_planned<precision_>(                          \
            tka_bench::task_::call<selection_, precision_, __VA_ARGS__>, c); \
      });
