// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One combination of policies as the benchmark library runs it. Each stands in a source of its
/// own, TKA_BENCH_INSTANCE(name, task, selection, precision, form), that bench/points.py writes.

#pragma once

#include "abi.h"

#include <tka/attend_selected.hpp>
#include <tka/backend/cuda.cuh>
#include <tka/select/bucket_recall.hpp>
#include <tka/select_top_k.hpp>
#include <tka/sparse_attention.hpp>

#include <cstdint>
#include <type_traits>

namespace tka_bench {

/// A planned call behind a virtual function, so that the C functions need not know its type.
class runner {
 public:
  virtual ~runner() = default;
  [[nodiscard]] virtual tka::plan const& plan() const noexcept = 0;
  [[nodiscard]] virtual double expected_recall() const noexcept = 0;
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

inline constexpr char const* routes[] = {TKA_BENCH_ROUTES};

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
concept has_pages = requires(T t) { *t.kv.block_table; };
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
                           .qk_dim = c.qk_dim,
                           .v_dim = c.v_dim,
                           .page_size = c.page_size,
                           .index_heads = c.index_heads,
                           .index_dim = c.index_dim};
    tka::options options{.budget = tka::top_k(c.k), .scale = c.scale};
    if (c.visible != 0) options.metrics = tka::metrics::visible;
    if (c.scratch_limit > 0) options.scratch_limit = c.scratch_limit;
    typename Call::selection by{};
    if (c.recall > 0.0f) {
      if constexpr (requires { by.recall_target; }) by.recall_target = c.recall;
      if constexpr (requires { by.by.recall_target; }) by.by.recall_target = c.recall;
    }
    plan_ = call_.plan(shape, options, tka::cuda::query(), by);
    if (c.route != 0) {
      tka::schedule wanted = plan_.schedule;
      wanted.route = routes[c.route];
      plan_ = call_.reschedule(plan_, wanted);
    }
  }

  [[nodiscard]] tka::plan const& plan() const noexcept override { return plan_; }

  [[nodiscard]] double expected_recall() const noexcept override {
    if constexpr (!std::is_same_v<typename Call::selection::selector::row_numbers,
                                  tka::bucket_rule>) {
      return 1.0;
    } else {
      auto const rule = plan_.selection.template get<tka::bucket_rule>();
      return tka::expected_recall(plan_.shape.kv_len, plan_.capacity, rule.buckets(plan_.capacity),
                                  rule.per_bucket);
    }
  }

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
    tka::shape const& s = plan_.shape;
    std::int64_t const tokens = s.q_len;
    auto const listed = [&](void* data, std::int64_t heads, std::int64_t width) {
      using element = std::int32_t;
      return tka::tensor_view<element>{static_cast<element*>(data), heads * tokens * width,
                                       tokens * width, width};
    };
    auto const per_head = [&](void* data) {
      return tka::tensor_view<float>{static_cast<float*>(data), s.q_heads * tokens, tokens, 1};
    };
    tensors a{};
    a.q = tka::hnd(static_cast<typename Precision::query_type const*>(t.q), s.q_heads, s.q_len,
                   s.qk_dim);
    a.k = {static_cast<typename Precision::key_type const*>(t.k), t.k_batch, t.k_head, t.k_token};
    a.kv.lengths = static_cast<std::int32_t const*>(t.lengths);
    a.error = static_cast<std::uint32_t*>(t.error);
    if (t.positions != nullptr) {
      a.positions = listed(t.positions, plan_.scope_heads, plan_.capacity);
      a.count = listed(t.count, plan_.scope_heads, 1);
    }
    if constexpr (attends<tensors>) {
      a.v = {static_cast<typename Precision::value_type const*>(t.v), t.v_batch, t.v_head,
             t.v_token};
      a.o =
          tka::hnd(static_cast<typename Precision::output_type*>(t.o), s.q_heads, s.q_len, s.v_dim);
      if (t.lse != nullptr) a.lse = per_head(t.lse);
    }
    if constexpr (measures<tensors>) {
      if (t.lse_visible != nullptr) a.lse_visible = per_head(t.lse_visible);
    }
    if constexpr (has_pages<tensors>) {
      a.kv.block_table = static_cast<std::int32_t const*>(t.block_table);
      a.kv.table_stride = t.table_stride;
      a.kv.pages = static_cast<std::int32_t>(t.pages);
    }
    if constexpr (indexes<tensors>) {
      using index = tka::float8_e4m3_t;
      a.index.q =
          tka::hnd(static_cast<index const*>(t.index_q), s.index_heads, s.q_len, s.index_dim);
      a.index.k = {static_cast<index const*>(t.index_k), t.index_stride, t.index_stride,
                   s.index_dim};
      a.index.weights =
          tka::hnd(static_cast<float const*>(t.index_weights), s.index_heads, s.q_len, 1);
    }
    if constexpr (takes_scores<tensors>) {
      a.index.scores = {static_cast<float const*>(t.scores), plan_.scope_heads * tokens * s.kv_len,
                        tokens * s.kv_len, s.kv_len};
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
