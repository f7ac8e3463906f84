// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Runs a call on an arranged problem, with poisoned scratch and outputs, on the backend that the
/// test is compiled for, and gathers every output into packed arrays that can be compared bit for
/// bit between arrangements.

#pragma once

#include <tka/attend_selected.hpp>
#include <tka/plan.hpp>
#include <tka/select_top_k.hpp>
#include <tka/sparse_attention.hpp>
#include <tka/status.hpp>

#include <oracle/oracle.hpp>
#include <support/arranged.hpp>
#include <support/backend.hpp>
#include <support/buffers.hpp>
#include <support/index_inputs.hpp>
#include <support/settings.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace support {

/// Outputs of one sequence, packed [head][token] and, for lists, [head][token][entry].
struct sequence_results {
  std::vector<float> o;  ///< [q_heads][q_len][v_dim], widened
  std::vector<float> lse, entropy, lse_visible, entropy_visible, retained_mass;
  std::vector<std::int32_t> positions, count, threshold_position;
  std::vector<float> scores, threshold_score;
};

struct results {
  tka::status status = tka::status::plan_mismatch;
  tka::plan plan{};
  std::uint32_t error = 0;
  bool stray_writes = false;  ///< something beside the rows of the outputs was written
  bool tail_wrong = false;    ///< behind `count`: not -1, or a score that is not -inf
  std::vector<sequence_results> sequences;

  std::vector<int> positions_of(std::size_t b, int q_len, int head, int token) const {
    auto const& s = sequences[b];
    auto const row = static_cast<std::size_t>(head * q_len + token);
    auto const begin = s.positions.begin() + static_cast<std::ptrdiff_t>(row) * plan.capacity;
    return {begin, begin + s.count[row]};
  }
  std::vector<float> scores_of(std::size_t b, int q_len, int head, int token) const {
    auto const& s = sequences[b];
    auto const row = static_cast<std::size_t>(head * q_len + token);
    auto const begin = s.scores.begin() + static_cast<std::ptrdiff_t>(row) * plan.capacity;
    return {begin, begin + s.count[row]};
  }
};

/// Output tensors of one call.
template <class Precision>
struct outputs {
  using output_type = typename Precision::output_type;
  outputs(places const& q, tka::plan const& plan, order how) {
    auto const& s = plan.shape;
    o = tensor<output_type>(q, s.q_heads, s.v_dim, how);
    for (auto* t : {&lse, &entropy, &lse_visible, &entropy_visible, &retained_mass}) {
      *t = tensor<float>(q, s.q_heads, 1, order::hnd);
    }
    positions = tensor<std::int32_t>(q, plan.scope_heads, plan.capacity, how);
    scores = tensor<float>(q, plan.scope_heads, plan.capacity, how);
    for (auto* t : {&count, &threshold_position}) {
      *t = tensor<std::int32_t>(q, plan.scope_heads, 1, order::hnd);
    }
    threshold_score = tensor<float>(q, plan.scope_heads, 1, order::hnd);
  }
  tensor<output_type> o;
  tensor<float> lse, entropy, lse_visible, entropy_visible, retained_mass;
  tensor<std::int32_t> positions, count, threshold_position;
  tensor<float> scores, threshold_score;
};

template <class T>
void take_all(tensor<T>& from, places const& at, int heads, std::size_t b, std::vector<T>& out) {
  for (int h = 0; h < heads; ++h) {
    for (tka::location const where : at.at[b]) from.take(where, h, out);
  }
}

/// Looks behind `count`, and whether anything but rows was written.
inline void check_lists(results& r) {
  for (auto const& s : r.sequences) {
    for (std::size_t row = 0; row < s.count.size(); ++row) {
      auto const capacity = static_cast<std::size_t>(r.plan.capacity);
      for (auto n = static_cast<std::size_t>(std::max(s.count[row], 0)); n < capacity; ++n) {
        if (s.positions[row * capacity + n] != -1) r.tail_wrong = true;
        if (!(s.scores[row * capacity + n] < 0.0f && std::isinf(s.scores[row * capacity + n]))) {
          r.tail_wrong = true;
        }
      }
    }
  }
}

template <class Precision>
void gather_selection(outputs<Precision>& from, places const& at, bool thresholds, results& r) {
  r.sequences.resize(at.at.size());
  int const heads = r.plan.scope_heads;
  for (std::size_t b = 0; b < at.at.size(); ++b) {
    auto& s = r.sequences[b];
    take_all(from.positions, at, heads, b, s.positions);
    take_all(from.scores, at, heads, b, s.scores);
    take_all(from.count, at, heads, b, s.count);
    if (!thresholds) continue;
    take_all(from.threshold_score, at, heads, b, s.threshold_score);
    take_all(from.threshold_position, at, heads, b, s.threshold_position);
  }
  r.stray_writes = r.stray_writes || !from.positions.all_poison() || !from.scores.all_poison() ||
                   !from.count.all_poison() || !from.threshold_score.all_poison() ||
                   !from.threshold_position.all_poison();
  check_lists(r);
}

template <class Precision>
void gather_attention(outputs<Precision>& from, places const& at, bool visible, results& r) {
  r.sequences.resize(at.at.size());
  int const heads = r.plan.shape.q_heads;
  for (std::size_t b = 0; b < at.at.size(); ++b) {
    auto& s = r.sequences[b];
    std::vector<typename Precision::output_type> o;
    take_all(from.o, at, heads, b, o);
    for (auto const x : o) s.o.push_back(static_cast<float>(x));
    take_all(from.lse, at, heads, b, s.lse);
    take_all(from.entropy, at, heads, b, s.entropy);
    if (!visible) continue;
    take_all(from.lse_visible, at, heads, b, s.lse_visible);
    take_all(from.entropy_visible, at, heads, b, s.entropy_visible);
    take_all(from.retained_mass, at, heads, b, s.retained_mass);
  }
  r.stray_writes = r.stray_writes || !from.o.all_poison() || !from.lse.all_poison() ||
                   !from.entropy.all_poison() || !from.lse_visible.all_poison() ||
                   !from.entropy_visible.all_poison() || !from.retained_mass.all_poison();
}

template <class Call>
tka::plan plan_for(Call const& call, tka::shape const& s, tka::options o, settings const& how) {
  if (how.scratch_limit > 0) o.scratch_limit = how.scratch_limit;
  tka::plan p = call.plan(s, o, device_of(how.threads, how.small_blocks));
  if (how.schedule) p = call.reschedule(p, *how.schedule);
  return p;
}

/// sparse_attention with every output, or all but the lists, before it runs: its tensors, and what
/// they gave afterwards.
template <class Selection, class Precision, class Form = tka::form<>>
class attention_run {
 public:
  static constexpr auto call = tka::sparse_attention<Selection, Precision, backend, Form>;
  using tensors = typename std::remove_const_t<decltype(call)>::tensors;

  attention_run(arranged<Precision, Form> const& a, tka::options options, settings const& how)
      : plan_(make_plan(a, options, how)),
        at_(a.q_places()),
        out_(a.q_places(), plan_, a.how().out),
        index_(a),
        visible_(how.metrics == tka::metrics::visible),
        lists_(how.lists) {
    a.fill_common(t_);
    a.fill_values(t_);
    t_.index = index_.tensors();
    t_.k_per_sequence = a.k_per_sequence();
    t_.o = out_.o.view();
    t_.lse = out_.lse.view();
    t_.entropy = out_.entropy.view();
    if (visible_) {
      t_.lse_visible = out_.lse_visible.view();
      t_.entropy_visible = out_.entropy_visible.view();
      t_.retained_mass = out_.retained_mass.view();
    }
    if (lists_) {
      t_.positions = out_.positions.view();
      t_.count = out_.count.view();
      t_.scores = out_.scores.view();
    }
    if (lists_ && Selection::is_exact) {
      t_.threshold_score = out_.threshold_score.view();
      t_.threshold_position = out_.threshold_position.view();
    }
    t_.error = error_.data();
  }
  tka::plan const& plan() const { return plan_; }
  tensors const& host_tensors() const { return t_; }

  /// Takes the outputs out of the tensors of the host; poison is left.
  results gather(tka::status status, bool stray_writes) {
    results r;
    r.status = status;
    r.plan = plan_;
    r.stray_writes = stray_writes;
    r.error = error_[0];
    if (status != tka::status::ok) return r;
    if (lists_) gather_selection(out_, at_, Selection::is_exact, r);
    gather_attention(out_, at_, visible_, r);
    return r;
  }

 private:
  static tka::plan make_plan(arranged<Precision, Form> const& a, tka::options options,
                             settings const& how) {
    options.metrics = how.metrics;
    options.shard = a.how().shard;
    return plan_for(call, a.shape(), options, how);
  }

  tka::plan plan_;
  places at_;
  outputs<Precision> out_;
  index_inputs<Selection> index_;
  bool visible_;
  bool lists_;
  array<std::uint32_t> error_ = array<std::uint32_t>(1, 0u);
  tensors t_{};
};

template <class Selection, class Precision, class Form = tka::form<>>
results attend(arranged<Precision, Form> const& a, tka::options options, settings const& how = {}) {
  using one_run = attention_run<Selection, Precision, Form>;
  one_run run(a, options, how);
  bool stray = false;
  tka::status status = run.plan().status;
  if (status == tka::status::ok) {
    status = run_on_backend(one_run::call, run.plan(), run.host_tensors(), how.scratch, stray);
  }
  return run.gather(status, stray);
}

/// select_top_k with every output; `threshold`: results whose thresholds are given.
template <class Selection, class Precision, class Form = tka::form<>>
results select(arranged<Precision, Form> const& a, tka::options options, settings const& how = {},
               results const* threshold = nullptr) {
  constexpr auto call = tka::select_top_k<Selection, Precision, backend, Form>;
  options.shard = a.how().shard;
  results r;
  r.plan = plan_for(call, a.shape(), options, how);
  r.status = r.plan.status;
  if (r.status != tka::status::ok) return r;
  outputs<Precision> out(a.q_places(), r.plan, a.how().out);
  outputs<Precision> given(a.q_places(), r.plan, order::hnd);
  index_inputs<Selection> const index(a);
  typename decltype(call)::tensors t{};
  a.fill_common(t);
  t.index = index.tensors();
  t.k_per_sequence = a.k_per_sequence();
  if (threshold != nullptr) {
    for (std::size_t b = 0; b < a.q_places().at.size(); ++b) {
      std::size_t n = 0;
      for (int h = 0; h < r.plan.scope_heads; ++h) {
        for (tka::location const where : a.q_places().at[b]) {
          auto const& s = threshold->sequences[b];
          *given.threshold_score.at(where, h) = s.threshold_score[n];
          *given.threshold_position.at(where, h) = s.threshold_position[n];
          ++n;
        }
      }
    }
    t.given_threshold_score = given.threshold_score.view();
    t.given_threshold_position = given.threshold_position.view();
  }
  t.positions = out.positions.view();
  t.count = out.count.view();
  t.scores = out.scores.view();
  if (Selection::is_exact) {
    t.threshold_score = out.threshold_score.view();
    t.threshold_position = out.threshold_position.view();
  }
  array<std::uint32_t> error(1, 0u);
  t.error = error.data();
  r.status = run_on_backend(call, r.plan, t, how.scratch, r.stray_writes);
  r.error = error[0];
  if (r.status != tka::status::ok) return r;
  gather_selection(out, a.q_places(), Selection::is_exact, r);
  return r;
}

/// Lists for attend_selected: [sequence] of [scope head][token] lists.
using lists = std::vector<std::vector<std::vector<std::int32_t>>>;

inline lists lists_of(results const& r, oracle::problem const& p) {
  lists out(r.sequences.size());
  for (std::size_t b = 0; b < out.size(); ++b) {
    int const q_len = p.sequences[b].q_len;
    for (int h = 0; h < r.plan.scope_heads; ++h) {
      for (int i = 0; i < q_len; ++i) {
        auto const list = r.positions_of(b, q_len, h, i);
        out[b].emplace_back(list.begin(), list.end());
      }
    }
  }
  return out;
}

/// attend_selected over given lists.
template <class Precision, class Form = tka::form<>>
results attend_lists(arranged<Precision, Form> const& a, tka::options options, lists const& given,
                     settings const& how = {}) {
  constexpr auto call = tka::attend_selected<Precision, backend, Form>;
  std::size_t capacity = 0;
  for (auto const& s : given) {
    for (auto const& list : s) capacity = std::max(capacity, list.size());
  }
  options.budget = tka::top_k(static_cast<std::int32_t>(capacity));
  options.shard = a.how().shard;
  results r;
  r.plan = plan_for(call, a.shape(), options, how);
  r.status = r.plan.status;
  if (r.status != tka::status::ok) return r;
  outputs<Precision> out(a.q_places(), r.plan, a.how().out);
  for (std::size_t b = 0; b < given.size(); ++b) {
    std::size_t n = 0;
    for (int h = 0; h < r.plan.scope_heads; ++h) {
      for (tka::location const where : a.q_places().at[b]) {
        auto const& list = given[b][n++];
        // Entries behind the list stay what they were: garbage that must not be looked at.
        std::copy(list.begin(), list.end(), out.positions.at(where, h));
        *out.count.at(where, h) = static_cast<std::int32_t>(list.size());
      }
    }
  }
  typename decltype(call)::tensors t{};
  a.fill_common(t);
  a.fill_values(t);
  t.positions = out.positions.view();
  t.count = out.count.view();
  t.o = out.o.view();
  t.lse = out.lse.view();
  t.entropy = out.entropy.view();
  array<std::uint32_t> error(1, 0u);
  t.error = error.data();
  r.status = run_on_backend(call, r.plan, t, how.scratch, r.stray_writes);
  r.error = error[0];
  if (r.status != tka::status::ok) return r;
  gather_attention(out, a.q_places(), false, r);
  return r;
}

}  // namespace support
