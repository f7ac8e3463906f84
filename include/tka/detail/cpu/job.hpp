// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a worker does in each phase of a call.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/attend.hpp>
#include <tka/detail/cpu/finish.hpp>
#include <tka/detail/cpu/regions.hpp>
#include <tka/detail/cpu/scan.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

/// One worker's share of a call.
template <class Problem>
class job {
 public:
  job(plan const& p, arguments<Problem> const& a, workspace const& w, regions<Problem> const& space,
      std::int32_t worker, std::int32_t workers) noexcept
      : plan_(p),
        args_(a),
        memory_(w),
        space_(space),
        work_(space.worker(w, worker)),
        worker_(worker),
        workers_(workers) {}

  /// The only phase of a plan without splits: scan, finish and attend unit by unit.
  void whole_units() const noexcept {
    row_store<Problem> rows = space_.rows(memory_, worker_, true);
    list_store<Problem> const lists = space_.lists(memory_, worker_);
    scanner<Problem> scan{plan_, args_, work_};
    for (std::int64_t n = worker_; n < unit_count<Problem>(plan_); n += workers_) {
      unit_index const u = unit_at<Problem>(plan_, n);
      sequence const s = sequence_of<Problem>(plan_, args_, u.b);
      if (u.first >= s.queries) continue;
      scan.run(u, s, 0, rows, lists);
      finish_unit<Problem>(plan_, args_, u, s, rows, lists, work_.radix);
      if constexpr (Problem::attends) {
        for (std::int32_t part = 0; part < attend_parts(); ++part) attend(u, s, lists, part);
      }
    }
  }

  /// Phase 0 of a plan with splits: every split of every unit on its own.
  void scan_splits() const noexcept {
    scanner<Problem> scan{plan_, args_, work_};
    std::int64_t const items = unit_count<Problem>(plan_) * plan_.schedule.splits;
    for (std::int64_t n = worker_; n < items; n += workers_) {
      unit_index const u = unit_at<Problem>(plan_, n / plan_.schedule.splits);
      sequence const s = sequence_of<Problem>(plan_, args_, u.b);
      if (u.first >= s.queries) continue;
      row_store<Problem> rows = space_.rows(memory_, n, true);
      scan.run(u, s, static_cast<std::int32_t>(n % plan_.schedule.splits), rows,
               space_.lists(memory_, n / plan_.schedule.splits));
    }
  }

  /// Phase 1: the splits of a unit become one selection.
  void merge_splits() const noexcept {
    for (std::int64_t n = worker_; n < unit_count<Problem>(plan_); n += workers_) {
      unit_index const u = unit_at<Problem>(plan_, n);
      sequence const s = sequence_of<Problem>(plan_, args_, u.b);
      if (u.first >= s.queries) continue;
      std::int32_t const tokens = std::min(s.queries - u.first, plan_.schedule.query_tile);
      row_store<Problem> rows = space_.rows(memory_, n * plan_.schedule.splits, false);
      for (std::int32_t split = 1; split < plan_.schedule.splits; ++split) {
        absorb_rows<Problem>(rows, space_.rows(memory_, n * plan_.schedule.splits + split, false),
                             tokens * selection_rows<Problem>(plan_.shape), work_.radix);
      }
      list_store<Problem> const lists = space_.lists(memory_, n);
      if (lists.visible != nullptr) merge_visible(lists, tokens);
      finish_unit<Problem>(plan_, args_, u, s, rows, lists, work_.radix);
    }
  }

  /// Phase 2: each selection is attended, one block of heads an item.
  void attend_lists() const noexcept {
    std::int64_t const items = unit_count<Problem>(plan_) * attend_parts();
    for (std::int64_t n = worker_; n < items; n += workers_) {
      unit_index const u = unit_at<Problem>(plan_, n / attend_parts());
      sequence const s = sequence_of<Problem>(plan_, args_, u.b);
      if (u.first >= s.queries) continue;
      attend(u, s, space_.lists(memory_, n / attend_parts()),
             static_cast<std::int32_t>(n % attend_parts()));
    }
  }

  /// The only phase of a call whose positions are given.
  void attend_given() const noexcept {
    attender<Problem> attends{plan_, args_, work_};
    for (std::int64_t n = worker_; n < unit_count<Problem>(plan_); n += workers_) {
      unit_index const u = unit_at<Problem>(plan_, n);
      sequence const s = sequence_of<Problem>(plan_, args_, u.b);
      std::int32_t const last = std::min(s.queries, u.first + plan_.schedule.query_tile);
      for (std::int32_t token = u.first; token < last; ++token) {
        for (std::int32_t part = 0; part < ceil_div(plan_.shape.group(), part_heads()); ++part) {
          head_range const heads = part_of(u.head, part);
          attends.run(s, token, heads, given_list(s, token, heads), nullptr);
        }
      }
    }
  }

 private:
  /// Tiles in order, as a single worker would have met them: the same bits.
  void merge_visible(list_store<Problem> const& lists, std::int32_t tokens) const noexcept {
    for (std::int32_t r = 0; r < tokens * score_rows<Problem>(plan_.shape); ++r) {
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
    std::int32_t count = *args_.given_count.at(at.outer, head, at.token);
    if (count < 0 || count > plan_.capacity) {
      report(args_.error, data_error::budget_out_of_range);
      count = std::clamp(count, 0, plan_.capacity);
    }
    return {.index = args_.given_positions.at(at.outer, head, at.token), .count = count};
  }

  /// Query heads that one attend takes: one where each has its own selection.
  [[nodiscard]] std::int32_t part_heads() const noexcept {
    return Problem::per_query_head ? 1 : std::min(plan_.shape.group(), head_block);
  }
  /// Attends of one token in one unit.
  [[nodiscard]] std::int32_t attend_parts() const noexcept {
    if constexpr (Problem::per_query_head && Problem::by_given) return 1;
    std::int32_t const per_group = ceil_div(plan_.shape.group(), part_heads());
    return Problem::per_token ? plan_.shape.kv_heads * per_group : per_group;
  }
  [[nodiscard]] head_range part_of(std::int32_t kv_head, std::int32_t part) const noexcept {
    std::int32_t const begin = part * part_heads();
    return {kv_head, kv_head * plan_.shape.group() + begin,
            std::min(part_heads(), plan_.shape.group() - begin)};
  }

  void attend(unit_index const& u, sequence const& s, list_store<Problem> const& lists,
              std::int32_t part) const noexcept {
    attender<Problem> attends{plan_, args_, work_};
    std::int32_t const per_token = selection_rows<Problem>(plan_.shape);
    std::int32_t const last = std::min(s.queries, u.first + plan_.schedule.query_tile);
    std::int32_t const per_group = ceil_div(plan_.shape.group(), part_heads());
    head_range heads =
        Problem::per_token ? part_of(part / per_group, part % per_group) : part_of(u.head, part);
    if constexpr (Problem::per_query_head && Problem::by_given) {
      heads = {u.head / plan_.shape.group(), u.head, 1};
    }
    for (std::int32_t token = u.first; token < last; ++token) {
      std::int32_t const i = token - u.first;
      std::int32_t const row = i * per_token + (per_token > 1 ? part : 0);
      selected_keys selected{.index = lists.index + std::int64_t{row} * plan_.capacity,
                             .count = lists.count[row]};
      if constexpr (Problem::per_query_head && Problem::by_query_key) {
        selected.key = lists.key + std::int64_t{row} * plan_.capacity;
      }
      softmax_sums const* visible = nullptr;
      softmax_sums sums[head_block];
      if (lists.visible != nullptr) {
        std::int32_t const first = heads.first - u.head * plan_.shape.group();
        for (std::int32_t h = 0; h < heads.count; ++h) {
          std::int64_t const at = std::int64_t{i} * score_rows<Problem>(plan_.shape) + first + h;
          sums[h] = lists.visible[at * lists.tiles];
        }
        visible = sums;
      }
      attends.run(s, token, heads, selected, visible);
    }
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  workspace const& memory_;
  regions<Problem> const& space_;
  worker_store<Problem> const work_;
  std::int32_t const worker_;
  std::int32_t const workers_;
};

}  // namespace tka::inline TKA_ABI::detail::cpu
