// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The k largest of rows of scores: select_top_k for those who have nothing but scores.

#pragma once

#include <tka/config.hpp>
#include <tka/device.hpp>
#include <tka/fault.hpp>
#include <tka/options.hpp>
#include <tka/plan.hpp>
#include <tka/select_top_k.hpp>
#include <tka/workspace.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace tka::inline TKA_ABI {

/// Rows of scores, at most so many and so long.
struct scores_shape {
  std::int32_t batch = 1;  ///< groups of rows that share a length
  std::int32_t rows = 1;
  std::int32_t length = 0;
  friend constexpr bool operator==(scores_shape const&, scores_shape const&) = default;
};

/// Tensors of `top_k_of_scores`; outputs that are null are not made. As in `selection_tensors`,
/// with one head and a row a token.
template <class Score>
struct scores_tensors {
  tensor_view<Score const> scores{};        ///< [batch, 1, rows, length] read
  std::int32_t const* lengths = nullptr;    ///< [batch] scores that a row has; null: `length`
  std::int32_t const* k_per_row = nullptr;  ///< [batch] budgets, clamped to plan.capacity
  tensor_view<std::int32_t> positions{};    ///< [batch, 1, rows, capacity] ascending, then -1
  tensor_view<std::int32_t> count{};        ///< [batch, 1, rows]
  tensor_view<float> kept{};                ///< like positions: their scores, then -inf
  tensor_view<float> threshold_score{};     ///< [batch, 1, rows] exact only: the last that was kept
  tensor_view<std::int32_t> threshold_position{};
  std::uint32_t* error = nullptr;
};

}  // namespace tka::inline TKA_ABI

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// The members of `call` for rows of scores.
template <class Selector, class Backend, class Score>
class top_k_of_scores_call {
  static_assert(
      selector_policy<Selector>,
      "tka::top_k_of_scores: the first argument must select; use exact_radix or bucketed");
  static_assert(backend_policy<Backend>,
                "tka::top_k_of_scores: the second argument must be a backend; use cpu (include "
                "tka/backend/cpu.hpp) or cuda (include tka/backend/cuda.cuh)");
  static constexpr auto& select = select_top_k<stored_scores<Selector, Score>, fp32, Backend,
                                               form<tka::scope::all_heads, tka::visibility::all>>;
  using selecting = std::remove_cvref_t<decltype(select)>;

 public:
  using tensors = scores_tensors<Score>;
  using device = typename Backend::device;
  using selection = Selector;

  [[nodiscard]] tka::plan plan(scores_shape const& s, options const& o, device const& d,
                               Selector const& by = {}) const noexcept {
    return select.plan(
        {.batch = s.batch, .q_heads = 1, .kv_heads = 1, .q_len = s.rows, .kv_len = s.length}, o, d,
        {.by = by});
  }
  [[nodiscard]] fault diagnose(tka::plan const& p, tensors const& t,
                               workspace const& w) const noexcept {
    return select.diagnose(p, of(t), w);
  }
  template <class... Where>
  [[nodiscard]] status operator()(tka::plan const& p, tensors const& t, workspace const& w,
                                  Where&&... where) const noexcept {
    return select(p, of(t), w, std::forward<Where>(where)...);
  }

 private:
  [[nodiscard]] static typename selecting::tensors of(tensors const& t) noexcept {
    typename selecting::tensors s{};
    s.kv.lengths = t.lengths;
    s.index.scores = t.scores;
    s.k_per_sequence = t.k_per_row;
    s.positions = t.positions;
    s.count = t.count;
    s.scores = t.kept;
    s.threshold_score = t.threshold_score;
    s.threshold_position = t.threshold_position;
    s.error = t.error;
    return s;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD

namespace tka::inline TKA_ABI::inline TKA_BUILD {

/// The k largest of each row, larger first, equal ones by smaller position, NaN above all, -inf
/// never; as positions, ascending. `options` needs a budget. `Score`: float, float16_t, bfloat16_t.
///
///     constexpr auto top_k = tka::top_k_of_scores<tka::exact_radix, tka::cpu>;
///     tka::plan const plan = top_k.plan({.rows = 8, .length = 4096}, {.budget = tka::top_k(64)},
///                                       tka::cpu::query());
template <class Selector, class Backend, class Score = float>
inline constexpr detail::top_k_of_scores_call<Selector, Backend, Score> top_k_of_scores{};

}  // namespace tka::inline TKA_ABI::inline TKA_BUILD
