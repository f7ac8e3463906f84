// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Every call of `tka` that attends, the same for each backend. All is made of templates of the
/// library's types, so that two compilers may include it in one program.

#pragma once

#include "attention.hpp"

#include <tka/attend_selected.hpp>
#include <tka/sparse_attention.hpp>

#include <cmath>
#include <cstdint>
#include <memory>
#include <stdexcept>

namespace language_model {

/// The tensors of an attention_step, where the backend reads and writes them.
template <class Precision>
struct step_tensors {
  tka::tensor_view<float const> q;
  tka::tensor_view<typename Precision::key_type const> k;
  tka::tensor_view<typename Precision::value_type const> v;
  tka::tensor_view<float> o;
  std::int32_t const* length;
  std::int32_t const* keys = nullptr;
  tka::tensor_view<std::int32_t const> given_positions{};
  tka::tensor_view<std::int32_t const> given_count{};
  tka::tensor_view<float> lse{};
  tka::tensor_view<float> entropy{};
  tka::tensor_view<float> lse_visible{};
  tka::tensor_view<std::int32_t> positions{};
  tka::tensor_view<std::int32_t> count{};
};

/// What both calls below are planned with.
template <class Precision, class Backend>
struct library_call {
  using precision = Precision;

  [[nodiscard]] static tka::shape shape(attention_shape const& s) {
    return {.batch = 1,
            .q_heads = s.q_heads,
            .kv_heads = s.kv_heads,
            .q_len = s.q_len,
            .kv_len = s.context,
            .qk_dim = s.head_dim,
            .v_dim = s.head_dim};
  }
  [[nodiscard]] static tka::options options(attention_shape const& s, attention_options const& o) {
    return {.budget = o.budget.percent == 0 ? tka::top_k(o.budget.keys)
                                            : tka::ratio(o.budget.percent, 100),
            .scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim)),
            .window = o.window,
            .metrics = o.measures_visible ? tka::metrics::visible : tka::metrics::selected,
            .bucketing = {.recall_target = o.recall_target}};
  }
};

/// Over keys that the library selects. `where`: nothing on the CPU, a stream on CUDA.
template <class Selection, class Precision, class Backend, class Form = tka::form<>>
struct selected_call : library_call<Precision, Backend> {
  static constexpr auto attend = tka::sparse_attention<Selection, Precision, Backend, Form>;

  template <class... Where>
  [[nodiscard]] static tka::status run(tka::plan const& plan, step_tensors<Precision> const& t,
                                       tka::workspace const& w, Where... where) {
    return attend(plan,
                  {.q = t.q,
                   .k = t.k,
                   .v = t.v,
                   .o = t.o,
                   .kv = {.lengths = t.length},
                   .k_per_sequence = t.keys,
                   .lse = t.lse,
                   .entropy = t.entropy,
                   .lse_visible = t.lse_visible,
                   .positions = t.positions,
                   .count = t.count},
                  w, where...);
  }
};

/// Over keys that the step names.
template <class Precision, class Backend>
struct given_call : library_call<Precision, Backend> {
  static constexpr auto attend = tka::attend_selected<Precision, Backend>;

  template <class... Where>
  [[nodiscard]] static tka::status run(tka::plan const& plan, step_tensors<Precision> const& t,
                                       tka::workspace const& w, Where... where) {
    return attend(plan,
                  {.q = t.q,
                   .k = t.k,
                   .v = t.v,
                   .o = t.o,
                   .positions = t.given_positions,
                   .count = t.given_count,
                   .kv = {.lengths = t.length},
                   .lse = t.lse,
                   .entropy = t.entropy},
                  w, where...);
  }
};

/// `Call<...>` of this choice: how a backend plans, prepares and runs one of the above.
template <template <class> class Call, class Precision, class Backend, class... Arguments>
[[nodiscard]] std::unique_ptr<attention_call> make_call_of(key_choice choice,
                                                           Arguments const&... arguments) {
  using window = tka::form<tka::visibility::sliding_window>;
  switch (choice) {
    case key_choice::exact_radix:
      return std::make_unique<Call<selected_call<tka::exact_radix, Precision, Backend>>>(
          arguments...);
    case key_choice::bucketed:
      return std::make_unique<Call<selected_call<tka::bucketed, Precision, Backend>>>(arguments...);
    case key_choice::window:
      return std::make_unique<Call<selected_call<tka::exact_radix, Precision, Backend, window>>>(
          arguments...);
    case key_choice::given:
      return std::make_unique<Call<given_call<Precision, Backend>>>(arguments...);
  }
  throw std::logic_error("no such choice of keys");
}

}  // namespace language_model
