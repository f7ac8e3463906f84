// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A call of the library with its types fixed, run from a scenario on the backend of the test.

#pragma once

#include <tka/attend_selected.hpp>
#include <tka/form.hpp>
#include <tka/plan.hpp>
#include <tka/select_top_k.hpp>
#include <tka/sparse_attention.hpp>
#include <tka/status.hpp>

#include <support/backend.hpp>
#include <support/oracle_names.hpp>
#include <support/settings.hpp>

#include <fuzz/campaign.hpp>
#include <fuzz/judge.hpp>
#include <fuzz/prepared.hpp>

#include <string>
#include <type_traits>
#include <vector>

namespace fuzz {

template <class T>
constexpr element element_of() {
  if (std::is_same_v<T, tka::float16_t>) return element::fp16;
  if (std::is_same_v<T, tka::bfloat16_t>) return element::bf16;
  return sizeof(T) == 1 ? element::fp8 : element::fp32;
}

/// The selection of a call that is given its lists.
struct no_selection {};

template <class Selection, class Precision, class Form>
instance_traits traits_of(task what, char const* name) {
  instance_traits t;
  t.task = what;
  t.scope = support::scope_of<Form>();
  t.visibility = support::visibility_of<Form>();
  t.keys = std::is_same_v<typename Form::kv_source, tka::kv::paged>    ? keys::paged
           : std::is_same_v<typename Form::kv_source, tka::kv::ragged> ? keys::ragged
                                                                       : keys::contiguous;
  t.layout = std::is_same_v<typename Form::cache_layout, tka::layout::scaled>    ? layout::scaled
             : std::is_same_v<typename Form::cache_layout, tka::layout::mla_656> ? layout::mla_656
                                                                                 : layout::plain;
  t.ragged_queries = std::is_same_v<typename Form::query_source, tka::query::ragged>;
  t.query = element_of<typename Precision::query_type>();
  t.key = element_of<typename Precision::key_type>();
  t.value = element_of<typename Precision::value_type>();
  t.output = element_of<typename Precision::output_type>();
  t.weight = element_of<support::weight_type<Precision>>();
  if constexpr (!std::is_same_v<Selection, no_selection>) {
    t.bucketed = !Selection::is_exact;
    if constexpr (requires(typename Selection::tensors i) { i.weights; }) {
      t.score = oracle::score::index;
      t.scope = oracle::scope::all_heads;
      t.index_query = element_of<typename Selection::precision::query_type>();
      t.index_key = element_of<typename Selection::precision::key_type>();
      t.page_132 = std::is_same_v<typename Selection::cache_layout, tka::index_layout::page_132>;
    } else if constexpr (requires(typename Selection::tensors i) { i.scores; }) {
      t.score = oracle::score::stored;
    }
  }
  t.on_cuda = support::on_cuda;
  t.name = name;
  return t;
}

/// What all calls name alike.
template <class Precision, class Form, class Tensors>
void fill_common(prepared& p, Tensors& t) {
  t.q = p.q.view<typename Precision::query_type>();
  t.k = p.k.view<typename Precision::key_type>();
  t.query.positions = p.q_positions.empty() ? nullptr : p.q_positions.data();
  if constexpr (std::is_same_v<typename Form::query_source, tka::query::ragged>) {
    t.query.cumulative = p.q_cumulative.data();
  } else if (!p.q_positions.empty()) {
    t.query.positions_stride = p.what.q_len + p.what.positions_gap;
  }
  if constexpr (std::is_same_v<typename Form::kv_source, tka::kv::ragged>) {
    t.kv.cumulative = p.kv_cumulative.data();
  } else {
    if (p.what.no_lengths == 0) t.kv.lengths = p.kv_lengths.data();
  }
  if constexpr (std::is_same_v<typename Form::kv_source, tka::kv::paged>) {
    t.kv.block_table = p.table.data();
    t.kv.table_stride = p.table_stride;
    if (!p.table_begin.empty()) t.kv.table_begin = p.table_begin.data();
    t.kv.pages = p.pages;
  }
  if constexpr (std::is_same_v<typename Form::cache_layout, tka::layout::scaled>) {
    auto const view = [](scales& s) {
      tka::scale_view v{};
      if (s.given) v = {s.values.data(), s.batch, s.head, s.token, s.block};
      return v;
    };
    t.scales.k = view(p.k_scales);
    t.scales.v = view(p.v_scales);
  }
  if (p.what.no_error == 0) t.error = p.error.data();
}

template <class Precision, class Tensors>
void fill_attention(prepared& p, Tensors& t) {
  using value = typename Precision::value_type;
  if (p.what.v_in_k == 0) {
    t.v = p.v.view<value>();
  } else if constexpr (std::is_same_v<value, typename Precision::key_type>) {
    t.v = p.k.view<value>();
  }
  if (!p.sink_logits.empty()) t.sink_logits = p.sink_logits.data();
  t.o = p.o.view<typename Precision::output_type>();
  t.lse = p.lse.view<float>();
  t.entropy = p.entropy.view<float>();
}

template <class Selection, class Tensors>
void fill_selection(prepared& p, Tensors& t) {
  if constexpr (requires { t.index.weights; }) {
    t.index.q = p.index_q.view<typename Selection::precision::query_type>();
    t.index.k = p.index_k.view<typename Selection::precision::key_type>();
    if (p.traits.page_132) t.index.k.token = p.what.index_dim;
    t.index.k_scales = p.index_k_scales.view<float>();
    t.index.weights = p.index_weights.view<float>();
  } else if constexpr (requires { t.index.scores; }) {
    t.index.scores = p.stored.view<float>();
  }
  if (!p.mask_first.empty()) t.mask.first = p.mask_first.data();
  t.mask.row_begin = p.row_begin.view<std::int32_t>();
  t.mask.row_end = p.row_end.view<std::int32_t>();
  if (p.drafts) {
    // Words of 64 bits over elements of 32.
    memory& d = p.drafts;
    t.mask.drafts = {reinterpret_cast<std::uint64_t*>(d.at({}, 0)), d.batch() / 2, d.head() / 2,
                     d.token() / 2};
    t.mask.draft_keys = static_cast<std::int32_t>(p.what.draft_keys);
  }
  if (!p.budgets.empty()) t.k_per_sequence = p.budgets.data();
  t.positions = p.positions.view<std::int32_t>();
  t.count = p.count.view<std::int32_t>();
  t.scores = p.scores.view<float>();
  t.threshold_score = p.threshold_score.view<float>();
  t.threshold_position = p.threshold_position.view<std::int32_t>();
}

/// The tensors of a call.
template <class Selection, class Precision, class Form, class Tensors>
Tensors tensors_of(prepared& p) {
  Tensors t{};
  fill_common<Precision, Form>(p, t);
  if constexpr (requires { t.o; }) fill_attention<Precision>(p, t);
  if constexpr (requires { t.scores; }) {
    fill_selection<Selection>(p, t);
  } else {
    t.positions = p.positions.template view<std::int32_t>();
    t.count = p.count.template view<std::int32_t>();
  }
  if constexpr (requires { t.lse_visible; }) {
    t.lse_visible = p.lse_visible.view<float>();
    t.entropy_visible = p.entropy_visible.view<float>();
    t.retained_mass = p.retained_mass.view<float>();
  }
  if constexpr (requires { t.given_threshold_score; }) {
    t.given_threshold_score = p.given_score.view<float>();
    t.given_threshold_position = p.given_position.view<std::int32_t>();
  }
  return t;
}

/// The numbers of a selection: buckets as given, or a recall target.
template <class Selection>
Selection policy_of(scenario const& s) {
  if constexpr (requires(Selection policy) { policy.by; }) {
    return {.by = policy_of<typename Selection::selector>(s)};
  } else if constexpr (requires(Selection policy) { policy.buckets; }) {
    if (s.buckets == 0) return {.recall_target = static_cast<float>(s.per_bucket) / 10.0f};
    return {.buckets = static_cast<std::int32_t>(s.buckets),
            .per_bucket = static_cast<std::int32_t>(s.per_bucket)};
  } else {
    return {};
  }
}

template <class Selection, class Precision, class Form, class Call>
std::string run_scenario(Call const& call, instance_traits const& traits, scenario const& s) {
  prepared p(s, traits);
  ending e;
  e.plan = call.plan(p.shape, p.options,
                     support::device_of(static_cast<int>(s.threads), s.seed % 2 != 0),
                     policy_of<typename Call::selection>(s));
  if (s.workers > 0) {
    e.plan = call.reschedule(e.plan, {.workers = static_cast<std::int32_t>(s.workers),
                                      .query_tile = static_cast<std::int32_t>(s.query_tile),
                                      .splits = static_cast<std::int32_t>(s.splits)});
  }
  e.plan = support::tuned(call, e.plan, {});
  e.status = e.plan.status;
  if (e.status != tka::status::ok) return std::string("plan: ") + tka::to_string(e.status);
  if (traits.task == task::lists) p.make_lists(e.plan.capacity);
  p.make_outputs(e.plan.capacity);
  auto const t = tensors_of<Selection, Precision, Form, typename Call::tensors>(p);
  auto const before = p.digest_of_inputs();
  e.status =
      support::run_on_backend(call, e.plan, t, static_cast<unsigned char>(s.scratch), e.stray);
  e.inputs_changed = p.digest_of_inputs() != before;
  return judge(p, e);
}

/// sparse_attention.
template <class Selection, class Precision, class Form>
instance attend_instance(char const* name) {
  instance out{traits_of<Selection, Precision, Form>(task::attend, name), {}};
  out.run = [t = out.traits](scenario const& s) {
    constexpr auto call = tka::sparse_attention<Selection, Precision, support::backend, Form>;
    return run_scenario<Selection, Precision, Form>(call, t, s);
  };
  return out;
}

/// select_top_k.
template <class Selection, class Precision, class Form>
instance select_instance(char const* name) {
  instance out{traits_of<Selection, Precision, Form>(task::select, name), {}};
  out.run = [t = out.traits](scenario const& s) {
    constexpr auto call = tka::select_top_k<Selection, Precision, support::backend, Form>;
    return run_scenario<Selection, Precision, Form>(call, t, s);
  };
  return out;
}

/// attend_selected.
template <class Precision, class Form>
instance lists_instance(char const* name) {
  instance out{traits_of<no_selection, Precision, Form>(task::lists, name), {}};
  out.run = [t = out.traits](scenario const& s) {
    constexpr auto call = tka::attend_selected<Precision, support::backend, Form>;
    return run_scenario<no_selection, Precision, Form>(call, t, s);
  };
  return out;
}

}  // namespace fuzz
