// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The list of tensors of a call, each held against the plan.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/view_rule.hpp>
#include <tka/fault.hpp>
#include <tka/form.hpp>
#include <tka/plan.hpp>
#include <tka/saved_selection.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/shape.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// Where query tokens lie. How many a packed buffer holds only the device knows.
template <class QuerySource>
[[nodiscard]] constexpr token_space query_space(shape const& s) noexcept {
  if constexpr (std::is_same_v<QuerySource, query::uniform>) {
    return {.outer = s.batch, .tokens = s.q_len};
  } else {
    return {.tokens = std::int64_t{s.batch} * s.q_len, .token_fit = fit::unknown};
  }
}

/// Where keys lie.
template <class KvSource>
[[nodiscard]] constexpr token_space key_space(shape const& s,
                                              typename KvSource::tensors const& t) noexcept {
  if constexpr (KvSource::has_pages) {
    return {.outer = t.pages, .tokens = s.page_size, .token_fit = fit::equal};
  } else if constexpr (std::is_same_v<KvSource, kv::ragged>) {
    return {.tokens = std::int64_t{s.batch} * s.kv_len, .token_fit = fit::unknown};
  } else {
    return {.outer = s.batch, .tokens = s.kv_len};
  }
}

/// Bases and strides of what is multiplied, in bytes.
inline constexpr std::int64_t row_alignment = 16;
inline constexpr std::int64_t mla_656_bytes = 656;

/// Holds every tensor of a call against its plan. `PageAlignment`: of index_layout::page_132.
template <class Problem, class Tensors, std::int64_t PageAlignment>
class tensor_check {
  using layout_type = typename Problem::cache_layout;
  using kv_source = typename Problem::kv_source;
  using query_source = typename Problem::query_source;
  static constexpr bool one_row = std::is_same_v<layout_type, layout::mla_656>;

 public:
  tensor_check(plan const& p, Tensors const& t) noexcept
      : p_(p),
        t_(t),
        queries_(query_space<query_source>(p.shape)),
        keys_(key_space<kv_source>(p.shape, t.kv)),
        any_query_(p.shape.q_len > 0),
        any_key_(any_query_ && p.shape.kv_len > 0) {}

  /// The first that does not fit.
  [[nodiscard]] fault run() noexcept {
    if (any_query_) {
      take(query_source::check(t_.query, p_.shape));
      take(kv_source::check(t_.kv, p_.shape));
    }
    if constexpr (requires { t_.mask; }) mask();
    if constexpr (Problem::what == task::backward || Problem::what == task::indexer_loss) {
      training();
    } else {
      inference();
    }
    return first_;
  }

 private:
  void inference() noexcept {
    if constexpr (Problem::attends || Problem::by_query_key) query_and_keys();
    if constexpr (Problem::by_index) index();
    if constexpr (Problem::by_given) {
      view(t_.index.scores, {.name = tensor_name::index_scores,
                             .space = queries_,
                             .heads = p_.scope_heads,
                             .last = p_.shape.kv_len,
                             .last_fit = fit::at_least,
                             .required = any_key_});
    }
    if constexpr (Problem::attends) attention();
    if constexpr (Problem::what == task::select_attend) visible();
    if constexpr (Problem::what == task::select) given_thresholds();
    if constexpr (Problem::selects) {
      selection();
    } else {
      given_lists();
    }
  }
  void take(fault const& f) noexcept {
    if (first_.status == status::ok) first_ = f;
  }
  template <class T>
  void view(tka::tensor_view<T> const& v, view_rule const& r) noexcept {
    if (first_.status == status::ok) first_ = check_view(v, r);
  }
  /// One number a query token and head.
  template <class T>
  void per_head(tka::tensor_view<T> const& v, tensor_name name, std::int64_t heads,
                access how = access::written, bool required = false) noexcept {
    view(v, {.name = name, .space = queries_, .heads = heads, .how = how, .required = required});
  }

  void mask() noexcept {
    auto const& m = t_.mask;
    bool const in_range = m.draft_keys >= 0 && m.draft_keys <= 64;
    if (!in_range || (m.draft_keys > 0 && p_.options.shard.count > 1)) {
      take({status::invalid_mask, tensor_name::mask_drafts});
    }
    per_head(m.row_begin, tensor_name::mask_row_begin, 1, access::read);
    per_head(m.row_end, tensor_name::mask_row_end, 1, access::read);
    per_head(m.drafts, tensor_name::mask_drafts, 1, access::read, any_query_ && m.draft_keys > 0);
  }
  void query_and_keys() noexcept {
    shape const& s = p_.shape;
    view(t_.q, {.name = tensor_name::q,
                .space = queries_,
                .heads = s.q_heads,
                .last = s.qk_dim,
                .required = any_query_,
                .alignment = row_alignment});
    view(t_.k, {.name = tensor_name::k,
                .space = keys_,
                .heads = s.kv_heads,
                .last = one_row ? mla_656_bytes : s.qk_dim,
                .required = any_key_,
                .alignment = row_alignment});
  }
  void index() noexcept {
    shape const& s = p_.shape;
    constexpr bool in_pages =
        std::is_same_v<typename Problem::selection::cache_layout, index_layout::page_132>;
    view(t_.index.q, {.name = tensor_name::index_q,
                      .space = queries_,
                      .heads = s.index_heads,
                      .last = s.index_dim,
                      .required = any_query_,
                      .alignment = row_alignment});
    view(t_.index.k, {.name = tensor_name::index_k,
                      .space = keys_,
                      .last = s.index_dim,
                      .required = any_key_,
                      .alignment = in_pages ? PageAlignment : row_alignment});
    if (!in_pages) {
      view(t_.index.k_scales, {.name = tensor_name::index_k_scales, .space = keys_});
    }
    per_head(t_.index.weights, tensor_name::index_weights, s.index_heads, access::read, any_query_);
  }
  void attention() noexcept {
    shape const& s = p_.shape;
    if (!one_row) {
      view(t_.v, {.name = tensor_name::v,
                  .space = keys_,
                  .heads = s.kv_heads,
                  .last = s.v_dim,
                  .required = any_key_,
                  .alignment = row_alignment});
    }
    view(t_.o, {.name = tensor_name::o,
                .space = queries_,
                .heads = s.q_heads,
                .last = s.v_dim,
                .how = access::written,
                .required = any_query_,
                .alignment = row_alignment});
    per_head(t_.lse, tensor_name::lse, s.q_heads);
    per_head(t_.entropy, tensor_name::entropy, s.q_heads);
  }
  void visible() noexcept {
    auto const metric = [&](tka::tensor_view<float> const& v, tensor_name name) {
      if (v && (p_.options.metrics != metrics::visible || !Problem::sees_all_scores)) {
        take({status::metric_unavailable, name});
      }
      per_head(v, name, p_.shape.q_heads);
    };
    metric(t_.lse_visible, tensor_name::lse_visible);
    metric(t_.entropy_visible, tensor_name::entropy_visible);
    metric(t_.retained_mass, tensor_name::retained_mass);
  }
  template <class T>
  void list(tka::tensor_view<T> const& v, tensor_name name, fit last, access how,
            bool required) noexcept {
    view(v, {.name = name,
             .space = queries_,
             .heads = p_.scope_heads,
             .last = p_.capacity,
             .last_fit = last,
             .how = how,
             .required = required});
  }
  void selection() noexcept {
    list(t_.positions, tensor_name::positions, fit::equal, access::written, false);
    list(t_.scores, tensor_name::scores, fit::equal, access::written, false);
    per_head(t_.count, tensor_name::count, p_.scope_heads);
    threshold(t_.threshold_score, tensor_name::threshold_score, access::written);
    threshold(t_.threshold_position, tensor_name::threshold_position, access::written);
  }
  template <class T>
  void threshold(tka::tensor_view<T> const& v, tensor_name name, access how) noexcept {
    if (v && !Problem::is_exact) take({status::threshold_unavailable, name});
    per_head(v, name, p_.scope_heads, how);
  }
  void given_thresholds() noexcept {
    threshold(t_.given_threshold_score, tensor_name::given_threshold_score, access::read);
    threshold(t_.given_threshold_position, tensor_name::given_threshold_position, access::read);
    bool const score = static_cast<bool>(t_.given_threshold_score);
    if (score != static_cast<bool>(t_.given_threshold_position)) {
      take({status::null_pointer,
            score ? tensor_name::given_threshold_position : tensor_name::given_threshold_score});
    }
  }
  void given_lists() noexcept { saved(t_, p_.selection.get<saved_form>()); }
  /// What names the sets; only the views of its form are looked at.
  template <class Saved>
  void saved(Saved const& t, saved_form form) noexcept {
    if (form == saved_form::positions) {
      list(t.positions, tensor_name::positions, fit::at_least, access::read, any_query_);
      per_head(t.count, tensor_name::count, p_.scope_heads, access::read);
    } else if (form == saved_form::threshold) {
      per_head(t.threshold_score, tensor_name::threshold_score, p_.scope_heads, access::read,
               any_query_);
      per_head(t.threshold_position, tensor_name::threshold_position, p_.scope_heads, access::read,
               any_query_);
    }
  }
  /// Rows of queries or keys.
  template <class T>
  void rows(tka::tensor_view<T> const& v, tensor_name name, token_space const& space,
            std::int32_t heads, std::int32_t dim, access how, bool required = false) noexcept {
    view(v, {.name = name,
             .space = space,
             .heads = heads,
             .last = dim,
             .how = how,
             .required = required,
             .alignment = row_alignment});
  }
  void training() noexcept {
    shape const& s = p_.shape;
    query_and_keys();
    per_head(t_.lse, tensor_name::lse, s.q_heads, access::read, any_query_);
    saved(t_.saved, p_.selection.get<typename Problem::selector::row_numbers>().form);
    if constexpr (Problem::what == task::backward) {
      rows(t_.v, tensor_name::v, keys_, s.kv_heads, s.v_dim, access::read, any_key_);
      rows(t_.o, tensor_name::o, queries_, s.q_heads, s.v_dim, access::read, any_query_);
      rows(t_.d_o, tensor_name::d_o, queries_, s.q_heads, s.v_dim, access::read, any_query_);
      rows(t_.dq, tensor_name::dq, queries_, s.q_heads, s.qk_dim, access::written);
      rows(t_.dk, tensor_name::dk, keys_, s.kv_heads, s.qk_dim, access::written);
      rows(t_.dv, tensor_name::dv, keys_, s.kv_heads, s.v_dim, access::written);
      if (t_.d_sink_logits != nullptr && t_.sink_logits == nullptr) {
        take({status::null_pointer, tensor_name::d_sink_logits});
      }
    } else {
      rows(t_.index.q, tensor_name::index_q, queries_, s.index_heads, s.index_dim, access::read,
           any_query_);
      rows(t_.index.k, tensor_name::index_k, keys_, 1, s.index_dim, access::read, any_key_);
      per_head(t_.index.weights, tensor_name::index_weights, s.index_heads, access::read,
               any_query_);
      per_head(t_.d_loss, tensor_name::d_loss, 1, access::read);
      per_head(t_.loss, tensor_name::loss, 1);
      rows(t_.d_index_q, tensor_name::d_index_q, queries_, s.index_heads, s.index_dim,
           access::written);
      rows(t_.d_index_k, tensor_name::d_index_k, keys_, 1, s.index_dim, access::written);
      per_head(t_.d_weights, tensor_name::d_weights, s.index_heads);
    }
  }

  plan const& p_;
  Tensors const& t_;
  token_space const queries_;
  token_space const keys_;
  bool const any_query_;
  bool const any_key_;
  fault first_{};
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
