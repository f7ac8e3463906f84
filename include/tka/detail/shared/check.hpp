// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the host can know is checked here, before anything runs.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/options.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/shape.hpp>
#include <tka/status.hpp>
#include <tka/workspace.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// NaN is not; neither is what is too small or too large to scale by.
[[nodiscard]] constexpr bool in_scale_range(float x, float low) noexcept {
  return x > 0.0f && x >= low && x <= max_scale;
}

template <class Problem>
[[nodiscard]] constexpr status check_shape(shape const& s) noexcept {
  if (s.batch < 1 || s.q_heads < 1 || s.kv_heads < 1 || s.q_len < 0 || s.kv_len < 0 ||
      (Problem::reads_keys && s.qk_dim < 1) || (Problem::attends && s.v_dim < 1)) {
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
  // So are offsets into what a call reads, writes and has as scratch.
  double const rows = double{1} * s.batch * (double{1} * s.q_heads + s.index_heads) * s.q_len;
  double const dims = double{1} * s.qk_dim + s.v_dim + s.index_dim;
  double const keys = double{1} * s.batch * s.kv_heads * s.kv_len;
  if (rows * (s.kv_len + dims) > 0x1p58 || keys * dims > 0x1p58) return status::too_large;
  // Local indices and the buffers behind the last of them are counted in 32 bits.
  if (s.kv_len > std::numeric_limits<std::int32_t>::max() - 1024) return status::too_large;
  return status::ok;
}

[[nodiscard]] constexpr status check_budget(options const& o) noexcept {
  budget const& b = o.budget;
  // What was never given, and a ratio over 0, have no k.
  if (b.numerator < 0 || b.denominator < 0 || b.k_min < 0 || (b.denominator == 0 && b.k < 0)) {
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
[[nodiscard]] constexpr status check_options(options const& o,
                                             typename Problem::selection const& by) noexcept {
  if (Problem::attends && !in_scale_range(o.scale, 0.0f)) return status::invalid_scale;
  if (o.soft_cap != 0.0f && !in_scale_range(o.soft_cap, 1.0f / max_scale)) {
    return status::invalid_soft_cap;
  }
  if (o.shard.block < 1 || o.shard.count < 1 || o.shard.index < 0 ||
      o.shard.index >= o.shard.count) {
    return status::invalid_shard;
  }
  if (o.shard.count > 1 && std::is_same_v<typename Problem::kv_source, kv::ragged>) {
    return status::invalid_shard;  // packed borders cannot tell the length of the whole sequence
  }
  if constexpr (!Problem::selects) {
    if (status const st = by.check(); st != status::ok) return st;
    return o.budget.k >= 0 && o.budget.denominator == 0 ? status::ok : status::invalid_budget;
  }
  if (std::is_same_v<typename Problem::visibility, visibility::sliding_window> && o.window < 1) {
    return status::invalid_window;
  }
  if (status const st = check_budget(o); st != status::ok) return st;
  if (status const st = selector_of(by).check(); st != status::ok) return st;
  if (o.metrics == metrics::visible && !Problem::sees_all_scores) {
    return status::metric_unavailable;
  }
  if (Problem::per_kv_group && o.combine == combine::softmax_sum &&
      !in_scale_range(o.scale, 0.0f)) {
    return status::invalid_scale;
  }
  return status::ok;
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

/// What the host can know of one run of a plan, but for the tensors (see tensor_check).
template <class Problem>
[[nodiscard]] status check_run(plan const& p, std::uint64_t instance, arguments<Problem> const&,
                               workspace const& w) noexcept {
  if (p.status != status::ok || p.instance != instance) return status::plan_mismatch;
  return check_workspace(p, w);
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
