// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the host can know is checked here, before anything runs.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/options.hpp>
#include <tka/select/bucketed.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/shape.hpp>
#include <tka/status.hpp>
#include <tka/workspace.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tka::inline TKA_ABI::detail {

[[nodiscard]] constexpr bool finite(float x) noexcept {
  return x - x == 0.0f;  // false for infinities and NaN
}

template <class Problem>
[[nodiscard]] constexpr status check_shape(shape const& s) noexcept {
  if (s.batch < 1 || s.q_heads < 1 || s.kv_heads < 1 || s.q_len < 0 || s.kv_len < 0 ||
      s.qk_dim < 1 || (Problem::attends && s.v_dim < 1)) {
    return status::invalid_shape;
  }
  if (s.q_heads % s.kv_heads != 0) return status::invalid_group;
  if (Problem::by_index && (s.index_heads < 1 || s.index_dim < 1)) return status::invalid_shape;
  if constexpr (std::is_same_v<typename Problem::cache_layout, layout::mla_656>) {
    if (s.kv_heads != 1) return status::invalid_group;
    if (s.qk_dim != 576 || (Problem::attends && s.v_dim != 512)) {
      return status::unsupported_head_dim;
    }
  }
  if (Problem::kv_source::has_pages && s.page_size < 1) return status::invalid_page_size;
  // Rows and their outputs are counted in 64 bits; heads * tokens of one sequence in 32.
  if (std::int64_t{s.q_heads} * s.q_len > std::numeric_limits<std::int32_t>::max()) {
    return status::too_large;
  }
  // Local indices and the buffers behind the last of them are counted in 32 bits.
  if (s.kv_len > std::numeric_limits<std::int32_t>::max() - 1024) return status::too_large;
  return status::ok;
}

[[nodiscard]] constexpr status check_budget(options const& o) noexcept {
  budget const& b = o.budget;
  if (b.k < 0 || b.numerator < 0 || b.denominator < 0 || b.k_min < 0) {
    return status::invalid_budget;
  }
  if (b.denominator > 0 && b.numerator > b.denominator) return status::invalid_budget;
  if (o.sinks < 0 || o.recent < 0) return status::invalid_window;
  if (b.denominator > 0 && b.numerator == b.denominator) return status::ok;  // every key is kept
  // A ratio of few keys may be small: only k_min is sure.
  std::int64_t const sure = b.denominator == 0 ? b.k : b.k_min;
  return std::int64_t{o.sinks} + o.recent > sure ? status::forced_exceeds_budget : status::ok;
}

template <class Problem>
[[nodiscard]] constexpr status check_options(options const& o) noexcept {
  if (Problem::attends && !(finite(o.scale) && o.scale > 0.0f)) return status::invalid_scale;
  if (!(finite(o.soft_cap) && o.soft_cap >= 0.0f)) return status::invalid_soft_cap;
  if (o.shard.block < 1 || o.shard.count < 1 || o.shard.index < 0 ||
      o.shard.index >= o.shard.count) {
    return status::invalid_shard;
  }
  if (o.shard.count > 1 && std::is_same_v<typename Problem::kv_source, kv::ragged>) {
    return status::invalid_shard;  // packed borders cannot tell the length of the whole sequence
  }
  if constexpr (!Problem::selects) {
    return o.budget.k >= 0 && o.budget.denominator == 0 ? status::ok : status::invalid_budget;
  }
  if (std::is_same_v<typename Problem::visibility, visibility::sliding_window> && o.window < 1) {
    return status::invalid_window;
  }
  if (status const st = check_budget(o); st != status::ok) return st;
  if (std::is_same_v<typename Problem::selector, bucketed>) {
    bucketing const& b = o.bucketing;
    bool const by_number =
        b.buckets > 0 && b.buckets <= (1 << 24) && b.per_bucket >= 1 && b.per_bucket <= 64;
    bool const by_target = b.buckets == 0 && b.recall_target > 0.0f && b.recall_target < 1.0f;
    if (!by_number && !by_target) return status::invalid_bucketing;
  }
  if (o.metrics == metrics::visible && !Problem::sees_all_scores) {
    return status::metric_unavailable;
  }
  if (Problem::per_kv_group && o.combine == combine::softmax_sum &&
      !(finite(o.scale) && o.scale > 0.0f)) {
    return status::invalid_scale;
  }
  return status::ok;
}

/// Bases and outer strides in multiples of 16 bytes.
template <class T>
[[nodiscard]] bool aligned(tensor_view<T> const& v) noexcept {
  auto const whole = [](std::int64_t elements) {
    return elements * static_cast<std::int64_t>(sizeof(T)) % 16 == 0;
  };
  return reinterpret_cast<std::uintptr_t>(v.data) % 16 == 0 && whole(v.batch) && whole(v.head) &&
         whole(v.token);
}

template <class Problem>
[[nodiscard]] status check_outputs(plan const& p, arguments<Problem> const& a) noexcept {
  bool const metric = a.lse_visible || a.entropy_visible || a.retained_mass;
  if (metric && (p.options.metrics != metrics::visible || !Problem::sees_all_scores)) {
    return status::metric_unavailable;
  }
  if ((a.threshold_score || a.threshold_position) && !Problem::is_exact) {
    return status::null_pointer;
  }
  if (static_cast<bool>(a.given_threshold_score) != static_cast<bool>(a.given_threshold_position)) {
    return status::null_pointer;
  }
  if (a.given_threshold_score && !Problem::is_exact) return status::null_pointer;
  return status::ok;
}

template <class Problem>
[[nodiscard]] status check_tensors(plan const& p, arguments<Problem> const& a) noexcept {
  constexpr bool one_row = std::is_same_v<typename Problem::cache_layout, layout::mla_656>;
  bool const reads_q = Problem::attends || Problem::by_query_key;
  if (p.shape.q_len > 0) {
    if (reads_q && (!a.q || (p.shape.kv_len > 0 && !a.k))) return status::null_pointer;
    if (Problem::attends && (!a.o || (!one_row && p.shape.kv_len > 0 && !a.v))) {
      return status::null_pointer;
    }
    if (!Problem::query_source::complete(a.query) || !Problem::kv_source::complete(a.kv)) {
      return status::null_pointer;
    }
    if constexpr (Problem::by_index) {
      if (!a.index.q || !a.index.weights || (p.shape.kv_len > 0 && !a.index.k)) {
        return status::null_pointer;
      }
      if (!aligned(a.index.q) ||
          (!std::is_same_v<typename Problem::selection::cache_layout, index_layout::page_132> &&
           !aligned(a.index.k))) {
        return status::misaligned;
      }
    }
    if constexpr (Problem::by_given) {
      if (p.shape.kv_len > 0 && !a.index.scores) return status::null_pointer;
    }
    if (!Problem::selects && (!a.given_positions || !a.given_count)) return status::null_pointer;
  }
  if (!aligned(a.q) || !aligned(a.k) || !aligned(a.v) || !aligned(a.o)) return status::misaligned;
  return check_outputs(p, a);
}

[[nodiscard]] inline status check_workspace(plan const& p, workspace const& w) noexcept {
  auto const fits = [](void const* base, std::size_t have, std::size_t need) {
    return need == 0 || (base != nullptr && have >= need &&
                         reinterpret_cast<std::uintptr_t>(base) % workspace_alignment == 0);
  };
  return fits(w.scratch, w.scratch_bytes, p.scratch_bytes) &&
                 fits(w.state, w.state_bytes, p.state_bytes)
             ? status::ok
             : status::workspace_too_small;
}

/// The most keys that a row can keep; a given list may hold duplicates, so more than there are.
template <class Problem>
[[nodiscard]] constexpr std::int32_t capacity_of(options const& o, shape const& s) noexcept {
  std::int32_t const k = o.budget.of(s.kv_len);
  return !Problem::selects || k < s.kv_len ? k : s.kv_len;
}

/// Tells instances of calls apart, so that a plan is not run by another one.
template <class Problem>
[[nodiscard]] constexpr std::uint64_t instance_of() noexcept {
  std::uint64_t hash = 14695981039346656037ull;
  for (char const* c = __PRETTY_FUNCTION__; *c != '\0'; ++c) {
    hash = (hash ^ static_cast<unsigned char>(*c)) * 1099511628211ull;
  }
  return hash;
}

/// Everything that the host can know of one run of a plan.
template <class Problem>
[[nodiscard]] status check_run(plan const& p, arguments<Problem> const& a,
                               workspace const& w) noexcept {
  if (p.status != status::ok || p.instance != instance_of<Problem>()) return status::plan_mismatch;
  if (status const st = check_tensors(p, a); st != status::ok) return st;
  return check_workspace(p, w);
}

}  // namespace tka::inline TKA_ABI::detail
