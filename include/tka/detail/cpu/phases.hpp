// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a worker does in each phase of a call: the stages, unit by unit or each on its own.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/regions.hpp>
#include <tka/detail/cpu/stage/attend.hpp>
#include <tka/detail/cpu/stage/dense.hpp>
#include <tka/detail/cpu/stage/score.hpp>
#include <tka/detail/cpu/stage/select.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/tuning.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// One worker's share of a call.
template <class Problem>
class phases {
 public:
  phases(plan const& p, arguments<Problem> const& a, workspace const& w,
         regions<Problem> const& space, std::int32_t wave, std::int32_t worker,
         std::int32_t workers) noexcept
      : plan_(p),
        args_(a),
        memory_(w),
        space_(space),
        wave_(wave),
        work_(space.worker(w, worker)),
        worker_(worker),
        workers_(workers) {}

  /// The only phase of a plan without splits: all stages, unit by unit.
  void whole_units() const noexcept {
    selection_store<Problem> selected = space_.selections(memory_, worker_, 0, true);
    list_store<Problem> const lists = space_.lists(memory_, worker_);
    score_stage<Problem> score{plan_, args_, work_};
    select_stage<Problem> const select{plan_, args_, work_};
    each_unit(1, [&](unit_index const& u, sequence const& s, std::int64_t, std::int32_t) {
      if constexpr (attends_densely<Problem>) {
        dense_stage<Problem> dense{plan_, args_, work_};
        if (dense.run(u, s)) return;
      }
      score.run(u, s, 0, selected, lists);
      select.run(u, s, selected, lists);
      if constexpr (Problem::attends) {
        for (std::int32_t part = 0; part < attend_parts(); ++part) attend(u, s, lists, part);
      }
    });
  }

  /// Phase 0 of a plan with splits: every split of every unit is scored on its own.
  void score_splits() const noexcept {
    score_stage<Problem> score{plan_, args_, work_};
    std::int32_t const splits = plan_.schedule.splits;
    each_unit(splits,
              [&](unit_index const& u, sequence const& s, std::int64_t place, std::int32_t split) {
                selection_store<Problem> selected = space_.selections(memory_, place, split, true);
                score.run(u, s, split, selected, space_.lists(memory_, place));
              });
  }

  /// Phase 1: the splits of a unit become one selection.
  void select_lists() const noexcept {
    select_stage<Problem> const select{plan_, args_, work_};
    std::int32_t const splits = plan_.schedule.splits;
    each_unit(1, [&](unit_index const& u, sequence const& s, std::int64_t place, std::int32_t) {
      std::int32_t const tokens = tokens_of<Problem>(plan_, s, u);
      selection_store<Problem> selected = space_.selections(memory_, place, 0, false);
      for (std::int32_t split = 1; split < splits; ++split) {
        auto const later = space_.selections(memory_, place, split, false);
        for (std::int32_t n = 0; n < tokens * selections<Problem>(plan_.shape); ++n) {
          selected.absorb(n, later, work_.radix);
        }
      }
      list_store<Problem> const lists = space_.lists(memory_, place);
      if (lists.visible != nullptr) merge_visible(lists, tokens);
      select.run(u, s, selected, lists);
    });
  }

  /// Phase 2: each selection is attended, one block of heads an item.
  void attend_lists() const noexcept {
    each_unit(attend_parts(),
              [&](unit_index const& u, sequence const& s, std::int64_t place, std::int32_t part) {
                attend(u, s, space_.lists(memory_, place), part);
              });
  }

  /// The only phase of a call whose positions are given.
  void attend_given() const noexcept {
    attend_stage<Problem> attends{plan_, args_, work_};
    each_unit(1, [&](unit_index const& u, sequence const& s, std::int64_t, std::int32_t) {
      for (std::int32_t i = 0; i < tokens_of<Problem>(plan_, s, u); ++i) {
        std::int32_t const token = u.first + i;
        for (std::int32_t part = 0; part < parts_of_group(); ++part) {
          head_range const heads = part_of(u.head, part);
          attends.run(s, token, heads, given_list(s, token, heads), nullptr);
        }
      }
    });
  }

 private:
  /// Calls function(unit, sequence, its place in the wave, part) for this worker's share of `parts`
  /// items a unit.
  template <class Function>
  void each_unit(std::int32_t parts, Function&& function) const noexcept {
    bool const whole = plan_.schedule.splits == 1;
    std::int64_t const first = whole ? 0 : wave_ * space_.units;
    std::int64_t const count =
        whole ? space_.all_units : std::min(space_.units, space_.all_units - first);
    for (std::int64_t n = worker_; n < count * parts; n += workers_) {
      unit_index const u = unit_at<Problem>(plan_, first + n / parts);
      sequence const s = sequence_of<Problem>(plan_, args_, u.b);
      if (u.first < s.queries) function(u, s, n / parts, static_cast<std::int32_t>(n % parts));
    }
  }

  /// Tiles in order, as a single worker would have met them: the same bits.
  void merge_visible(list_store<Problem> const& lists, std::int32_t tokens) const noexcept {
    std::int32_t const rows = tokens * score_source_t<Problem>::score_heads(plan_.shape);
    for (std::int32_t r = 0; r < rows; ++r) {
      softmax_sums* const part = lists.visible + std::int64_t{r} * lists.tiles;
      softmax_sums all{};
      for (std::int32_t t = 0; t < lists.tiles; ++t) merge(all, part[t]);
      part[0] = all;
    }
  }

  [[nodiscard]] selected_keys given_list(sequence const& s, std::int32_t token,
                                         head_range const& heads) const noexcept {
    location const at = Problem::query_source::locate(args_.query, s.b, token);
    std::int32_t const head = Problem::per_query_head ? heads.first
                              : Problem::per_kv_group ? heads.kv_head
                                                      : 0;
    std::int32_t count =
        args_.given_count ? *args_.given_count.at(at.outer, head, at.token) : plan_.capacity;
    if (count < 0 || count > plan_.capacity) {
      report(args_.error, data_error::budget_out_of_range);
      count = std::clamp(count, 0, plan_.capacity);
    }
    return {.index = args_.given_positions.at(at.outer, head, at.token), .count = count};
  }

  /// Query heads that one attend takes: one where each has its own selection.
  [[nodiscard]] std::int32_t part_heads() const noexcept {
    return Problem::per_query_head ? 1 : std::min(plan_.shape.group(), tuned.attend_heads);
  }
  [[nodiscard]] std::int32_t parts_of_group() const noexcept {
    return ceil_div(plan_.shape.group(), part_heads());
  }
  /// The unit of one token is one query head's.
  static constexpr bool unit_is_head =
      Problem::per_query_head && !score_source_t<Problem>::each_head;
  /// Attends of one token in one unit.
  [[nodiscard]] std::int32_t attend_parts() const noexcept {
    if constexpr (unit_is_head) return 1;
    return Problem::per_token ? plan_.shape.kv_heads * parts_of_group() : parts_of_group();
  }
  [[nodiscard]] head_range part_of(std::int32_t kv_head, std::int32_t part) const noexcept {
    std::int32_t const begin = part * part_heads();
    return {kv_head, kv_head * plan_.shape.group() + begin,
            std::min(part_heads(), plan_.shape.group() - begin)};
  }

  [[nodiscard]] head_range heads_of(std::int32_t unit_head, std::int32_t part) const noexcept {
    if constexpr (unit_is_head) return {unit_head / plan_.shape.group(), unit_head, 1};
    if constexpr (Problem::per_token) {
      return part_of(part / parts_of_group(), part % parts_of_group());
    }
    return part_of(unit_head, part);
  }

  void attend(unit_index const& u, sequence const& s, list_store<Problem> const& lists,
              std::int32_t part) const noexcept {
    attend_stage<Problem> attends{plan_, args_, work_};
    std::int32_t const each = selections<Problem>(plan_.shape);
    head_range const heads = heads_of(u.head, part);
    for (std::int32_t i = 0; i < tokens_of<Problem>(plan_, s, u); ++i) {
      std::int64_t const n = i * each + (each > 1 ? part : 0);
      selected_keys selected{.index = lists.index + n * plan_.capacity, .count = lists.count[n]};
      if constexpr (knows_scores<Problem>) selected.key = lists.key + n * plan_.capacity;
      softmax_sums const* visible = nullptr;
      softmax_sums sums[tuned.attend_heads];
      if (lists.visible != nullptr) {
        std::int32_t const first = heads.first - u.head * plan_.shape.group();
        for (std::int32_t h = 0; h < heads.count; ++h) {
          std::int64_t const row =
              std::int64_t{i} * score_source_t<Problem>::score_heads(plan_.shape) + first + h;
          sums[h] = lists.visible[row * lists.tiles];
        }
        visible = sums;
      }
      attends.run(s, u.first + i, heads, selected, visible);
    }
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  workspace const& memory_;
  regions<Problem> const& space_;
  std::int32_t const wave_;
  worker_store<Problem> const work_;
  std::int32_t const worker_;
  std::int32_t const workers_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
