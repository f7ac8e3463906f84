// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CPU engine: plans a call, carves its scratch and runs its phases.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/attend.hpp>
#include <tka/detail/cpu/finish.hpp>
#include <tka/detail/cpu/scan.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/check.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

/// Head sizes that the lanes divide, and whose rows of zeros exist.
[[nodiscard]] constexpr bool head_dim_served(std::int32_t dim) noexcept {
  return dim >= 16 && dim <= 1024 && dim % 16 == 0;
}

/// Regions of the scratch of one call, in order.
template <class Problem>
struct regions {
  plan const& p;
  std::size_t rows_bytes;
  std::size_t lists_bytes;
  std::size_t worker_bytes;
  std::int64_t row_slots;   ///< selections under way at once
  std::int64_t list_slots;  ///< finished selections kept at once

  explicit regions(plan const& with) noexcept : p(with) {
    bool const split = p.schedule.splits > 1;
    std::int64_t const units = unit_count<Problem>(p);
    row_slots = !Problem::selects ? 0 : split ? units * p.schedule.splits : p.schedule.workers;
    list_slots = !Problem::selects ? 0 : split ? units : p.schedule.workers;
    rows_bytes = 0;
    lists_bytes = 0;
    if constexpr (Problem::selects) {
      rows_bytes = size_of([&](arena& m) { (void)row_store<Problem>::carve(m, p, true); });
      lists_bytes = size_of([&](arena& m) { (void)list_store<Problem>::carve(m, p); });
    }
    worker_bytes = size_of([&](arena& m) { (void)worker_store<Problem>::carve(m, p); });
  }
  [[nodiscard]] std::size_t total() const noexcept {
    return rows_bytes * static_cast<std::size_t>(row_slots) +
           lists_bytes * static_cast<std::size_t>(list_slots) +
           worker_bytes * static_cast<std::size_t>(p.schedule.workers);
  }
  [[nodiscard]] row_store<Problem> rows(workspace const& w, std::int64_t slot,
                                        bool fresh) const noexcept {
    arena memory{base(w) + static_cast<std::size_t>(slot) * rows_bytes};
    return row_store<Problem>::carve(memory, p, fresh);
  }
  [[nodiscard]] list_store<Problem> lists(workspace const& w, std::int64_t slot) const noexcept {
    arena memory{base(w) + rows_bytes * static_cast<std::size_t>(row_slots) +
                 static_cast<std::size_t>(slot) * lists_bytes};
    return list_store<Problem>::carve(memory, p);
  }
  [[nodiscard]] worker_store<Problem> worker(workspace const& w, std::int32_t i) const noexcept {
    arena memory{base(w) + rows_bytes * static_cast<std::size_t>(row_slots) +
                 lists_bytes * static_cast<std::size_t>(list_slots) +
                 static_cast<std::size_t>(i) * worker_bytes};
    return worker_store<Problem>::carve(memory, p);
  }

 private:
  [[nodiscard]] static std::byte* base(workspace const& w) noexcept {
    return static_cast<std::byte*>(w.scratch);
  }
  template <class Carve>
  [[nodiscard]] static std::size_t size_of(Carve&& carve) noexcept {
    arena counting{nullptr};
    carve(counting);
    return counting.used();
  }
};

template <class Problem>
class engine {
 public:
  template <class Device>
  [[nodiscard]] static plan make_plan(shape const& s, options const& o,
                                      Device const& device) noexcept {
    plan p{};
    p.shape = s;
    p.options = o;
    p.instance = instance_of<Problem>();
    p.status = check(s, o);
    if (p.status != status::ok) return p;
    p.capacity = capacity_of<Problem>(o, s);
    p.scope_heads = Problem::scope_heads(s);
    p.schedule = make_schedule(s, o, std::max(1, device.threads));
    p.scratch_bytes = regions<Problem>{p}.total();
    return p;
  }

  /// The same plan under another schedule: other speed and sizes, the same results.
  [[nodiscard]] static plan reschedule(plan p, schedule const& wanted) noexcept {
    p.schedule.workers = std::max(1, wanted.workers);
    p.schedule.query_tile = std::clamp(wanted.query_tile, 1, max_query_tile);
    p.schedule.splits = can_split(p.options) ? std::max(1, wanted.splits) : 1;
    p.schedule.phases = p.schedule.splits > 1 ? (Problem::attends ? 3 : 2) : 1;
    p.scratch_bytes = regions<Problem>{p}.total();
    return p;
  }

  [[nodiscard]] static status check_call(plan const& p, arguments<Problem> const& a,
                                         workspace const& w) noexcept {
    if (p.status != status::ok || p.instance != instance_of<Problem>()) {
      return status::plan_mismatch;
    }
    if (status const st = check_tensors(p, a); st != status::ok) return st;
    return check_workspace(p, w);
  }

  /// One worker's share of one phase. Workers of a phase may run at once; phases may not.
  static void run_phase(plan const& p, arguments<Problem> const& a, workspace const& w,
                        std::int32_t phase, std::int32_t worker, std::int32_t workers) noexcept {
    if (p.shape.q_len == 0) return;
    regions<Problem> const space{p};
    job const j{p, a, w, space, space.worker(w, worker), worker, workers};
    if constexpr (!Problem::selects) {
      j.attend_given();
    } else if (p.schedule.splits == 1) {
      j.whole_units();
    } else if (phase == 0) {
      j.scan_splits();
    } else if (phase == 1) {
      j.merge_splits();
    } else if constexpr (Problem::attends) {
      j.attend_lists();
    }
  }

 private:
  static constexpr std::int32_t max_query_tile = 64;

  [[nodiscard]] static status check(shape const& s, options const& o) noexcept {
    if (status const st = check_shape<Problem>(s); st != status::ok) return st;
    if (!head_dim_served(s.qk_dim) || (Problem::attends && !head_dim_served(s.v_dim)) ||
        (Problem::by_index && !head_dim_served(s.index_dim))) {
      return status::unsupported_head_dim;
    }
    return check_options<Problem>(o, s);
  }

  /// A key's combined score may need sums over all keys first: then one worker sees them all.
  [[nodiscard]] static bool can_split(options const& o) noexcept {
    return Problem::selects && !(Problem::per_kv_group && o.combine == combine::softmax_sum);
  }

  [[nodiscard]] static schedule make_schedule(shape const& s, options const& o,
                                              std::int32_t threads) noexcept {
    schedule plan_for{.phases = 1, .workers = threads};
    // Rows scored together share each widened key; beyond some tens nothing more is gained.
    constexpr std::int32_t rows_together = 64;
    std::int32_t const rows = Problem::by_index       ? s.index_heads
                              : Problem::by_query_key ? s.group()
                                                      : 1;
    plan_for.query_tile =
        std::clamp(rows_together / rows, 1, std::min(max_query_tile, std::max(s.q_len, 1)));
    plan p{};
    p.shape = s;
    p.schedule = plan_for;
    std::int64_t const units = unit_count<Problem>(p);
    // Split rows when whole units would leave more than a quarter of the workers idle.
    std::int64_t const rounds = (units + threads - 1) / threads;
    if (threads > 1 && can_split(o) && s.kv_len > 4 * tile_keys &&
        units * 4 < rounds * threads * 3) {
      plan_for.splits = threads;
      plan_for.phases = Problem::attends ? 3 : 2;
    }
    return plan_for;
  }

  struct job {
    plan const& p;
    arguments<Problem> const& a;
    workspace const& w;
    regions<Problem> const& space;
    worker_store<Problem> work;
    std::int32_t worker;
    std::int32_t workers;

    void whole_units() const noexcept {
      bucket_rule const rule = rule_of();
      row_store<Problem> rows = space.rows(w, worker, true);
      list_store<Problem> const lists = space.lists(w, worker);
      scanner<Problem> scan{p, a, work, rule};
      for (std::int64_t n = worker; n < unit_count<Problem>(p); n += workers) {
        unit_index const u = unit_at<Problem>(p, n);
        sequence const s = sequence_of<Problem>(p, a, u.b);
        if (u.first >= s.queries) continue;
        scan.run(u, s, 0, rows, lists);
        finish_unit<Problem>(p, a, u, s, rows, lists, work.radix);
        if constexpr (Problem::attends) {
          for (std::int32_t part = 0; part < attend_parts(); ++part) attend(u, s, lists, part);
        }
      }
    }

    void scan_splits() const noexcept {
      bucket_rule const rule = rule_of();
      scanner<Problem> scan{p, a, work, rule};
      std::int64_t const items = unit_count<Problem>(p) * p.schedule.splits;
      for (std::int64_t n = worker; n < items; n += workers) {
        unit_index const u = unit_at<Problem>(p, n / p.schedule.splits);
        sequence const s = sequence_of<Problem>(p, a, u.b);
        if (u.first >= s.queries) continue;
        row_store<Problem> rows = space.rows(w, n, true);
        scan.run(u, s, static_cast<std::int32_t>(n % p.schedule.splits), rows,
                 space.lists(w, n / p.schedule.splits));
      }
    }

    void merge_splits() const noexcept {
      for (std::int64_t n = worker; n < unit_count<Problem>(p); n += workers) {
        unit_index const u = unit_at<Problem>(p, n);
        sequence const s = sequence_of<Problem>(p, a, u.b);
        if (u.first >= s.queries) continue;
        std::int32_t const tokens = std::min(s.queries - u.first, p.schedule.query_tile);
        row_store<Problem> rows = space.rows(w, n * p.schedule.splits, false);
        for (std::int32_t split = 1; split < p.schedule.splits; ++split) {
          absorb_rows<Problem>(rows, space.rows(w, n * p.schedule.splits + split, false),
                               tokens * selection_rows<Problem>(p.shape), work.radix);
        }
        list_store<Problem> const lists = space.lists(w, n);
        if (lists.visible != nullptr) merge_visible(lists, tokens);
        finish_unit<Problem>(p, a, u, s, rows, lists, work.radix);
      }
    }

    /// Tiles in order, as a single worker would have met them: the same bits.
    void merge_visible(list_store<Problem> const& lists, std::int32_t tokens) const noexcept {
      for (std::int32_t r = 0; r < tokens * score_rows<Problem>(p.shape); ++r) {
        softmax_sums* const part = lists.visible + std::int64_t{r} * lists.tiles;
        softmax_sums all{};
        for (std::int32_t t = 0; t < lists.tiles; ++t) merge(all, part[t]);
        part[0] = all;
      }
    }

    void attend_lists() const noexcept {
      std::int64_t const items = unit_count<Problem>(p) * attend_parts();
      for (std::int64_t n = worker; n < items; n += workers) {
        unit_index const u = unit_at<Problem>(p, n / attend_parts());
        sequence const s = sequence_of<Problem>(p, a, u.b);
        if (u.first >= s.queries) continue;
        attend(u, s, space.lists(w, n / attend_parts()),
               static_cast<std::int32_t>(n % attend_parts()));
      }
    }

    void attend_given() const noexcept {
      attender<Problem> attends{p, a, work};
      for (std::int64_t n = worker; n < unit_count<Problem>(p); n += workers) {
        unit_index const u = unit_at<Problem>(p, n);
        sequence const s = sequence_of<Problem>(p, a, u.b);
        std::int32_t const last = std::min(s.queries, u.first + p.schedule.query_tile);
        for (std::int32_t token = u.first; token < last; ++token) {
          for (std::int32_t part = 0; part < ceil_div(p.shape.group(), part_heads()); ++part) {
            head_range const heads = part_of(u.head, part);
            attends.run(s, token, heads, given_list(s, token, heads), nullptr);
          }
        }
      }
    }

    [[nodiscard]] selected_keys given_list(sequence const& s, std::int32_t token,
                                           head_range const& heads) const noexcept {
      location const at = Problem::query_source::locate(a.query, s.b, token);
      std::int32_t const head = Problem::per_query_head ? heads.first
                                : Problem::per_kv_group ? heads.kv_head
                                                        : 0;
      std::int32_t count = *a.given_count.at(at.outer, head, at.token);
      if (count < 0 || count > p.capacity) {
        report(a.error, data_error::budget_out_of_range);
        count = std::clamp(count, 0, p.capacity);
      }
      return {.index = a.given_positions.at(at.outer, head, at.token), .count = count};
    }

    [[nodiscard]] bucket_rule rule_of() const noexcept {
      if constexpr (Problem::is_exact) return {};
      if (p.options.bucketing.buckets > 0) return {};
      return choose_bucket_rule(double{p.options.bucketing.recall_target});
    }

    /// Query heads that one attend takes: one where each has its own selection.
    [[nodiscard]] std::int32_t part_heads() const noexcept {
      return Problem::per_query_head ? 1 : std::min(p.shape.group(), head_block);
    }
    /// Attends of one token in one unit.
    [[nodiscard]] std::int32_t attend_parts() const noexcept {
      if constexpr (Problem::per_query_head && Problem::by_given) return 1;
      std::int32_t const per_group = ceil_div(p.shape.group(), part_heads());
      return Problem::per_token ? p.shape.kv_heads * per_group : per_group;
    }
    [[nodiscard]] head_range part_of(std::int32_t kv_head, std::int32_t part) const noexcept {
      std::int32_t const begin = part * part_heads();
      return {kv_head, kv_head * p.shape.group() + begin,
              std::min(part_heads(), p.shape.group() - begin)};
    }

    void attend(unit_index const& u, sequence const& s, list_store<Problem> const& lists,
                std::int32_t part) const noexcept {
      attender<Problem> attends{p, a, work};
      std::int32_t const per_token = selection_rows<Problem>(p.shape);
      std::int32_t const last = std::min(s.queries, u.first + p.schedule.query_tile);
      std::int32_t const per_group = ceil_div(p.shape.group(), part_heads());
      head_range heads =
          Problem::per_token ? part_of(part / per_group, part % per_group) : part_of(u.head, part);
      if constexpr (Problem::per_query_head && Problem::by_given) {
        heads = {u.head / p.shape.group(), u.head, 1};
      }
      for (std::int32_t token = u.first; token < last; ++token) {
        std::int32_t const i = token - u.first;
        std::int32_t const row = i * per_token + (per_token > 1 ? part : 0);
        selected_keys selected{.index = lists.index + std::int64_t{row} * p.capacity,
                               .count = lists.count[row]};
        if constexpr (Problem::per_query_head && Problem::by_query_key) {
          selected.key = lists.key + std::int64_t{row} * p.capacity;
        }
        softmax_sums const* visible = nullptr;
        softmax_sums sums[head_block];
        if (lists.visible != nullptr) {
          std::int32_t const first = heads.first - u.head * p.shape.group();
          for (std::int32_t h = 0; h < heads.count; ++h) {
            std::int64_t const at = std::int64_t{i} * score_rows<Problem>(p.shape) + first + h;
            sums[h] = lists.visible[at * lists.tiles];
          }
          visible = sums;
        }
        attends.run(s, token, heads, selected, visible);
      }
    }
  };
};

}  // namespace tka::inline TKA_ABI::detail::cpu
