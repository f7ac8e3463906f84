// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The second stage: from selections under way to lists of selected keys, and out to the caller.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/crew.hpp>
#include <tka/detail/shared/list_entry.hpp>
#include <tka/detail/shared/problem.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Finishes selections for one worker.
template <class Problem>
class select_stage {
 public:
  select_stage(plan const& p, arguments<Problem> const& a, worker_store<Problem> const& w) noexcept
      : plan_(p), args_(a), work_(w) {}

  /// Finishes all selections of a unit.
  void run(unit_index const& u, sequence const& s, selection_store<Problem>& selected,
           list_store<Problem> const& lists) const noexcept {
    std::int32_t const each = selections<Problem>(plan_.shape);
    for (std::int32_t i = 0; i < tokens_of<Problem>(plan_, s, u); ++i) {
      std::int32_t const keep = range_of<Problem>(plan_, args_, s, u.first + i).keep;
      location const query = Problem::query_source::locate(args_.query, s.b, u.first + i);
      for (std::int32_t r = 0; r < each; ++r) {
        std::int32_t const n = i * each + r;
        last_kept const last = finish(n, keep, selected, lists);
        emit(query, scope_head<Problem>(plan_.shape, u.head, r), n, lists, last);
      }
    }
  }

 private:
  /// Writes list n of a unit: sinks, then the largest of the others, then the recent ones;
  /// ascending, since forced keys lie before and after those that compete.
  [[nodiscard]] last_kept finish(std::int32_t n, std::int32_t keep,
                                 selection_store<Problem>& selected,
                                 list_store<Problem> const& lists) const noexcept {
    std::int32_t const forced = selected.forced_count[n];
    std::int32_t const head = selected.forced_head[n];
    std::int64_t const from = std::int64_t{n} * selected.forced_room;
    std::int32_t* const index = lists.index + std::int64_t{n} * plan_.capacity;
    ordered_key* const key = lists.key + std::int64_t{n} * plan_.capacity;

    std::copy_n(selected.forced_index + from, head, index);
    std::copy_n(selected.forced_key + from, head, key);
    auto& selector = selected.selector[n];
    std::int32_t const free = selector.finish(keep - forced, work_.radix);
    std::copy_n(selector.index(), free, index + head);
    std::copy_n(selector.key(), free, key + head);
    std::copy_n(selected.forced_index + from + head, forced - head, index + head + free);
    std::copy_n(selected.forced_key + from + head, forced - head, key + head + free);
    lists.count[n] = forced + free;

    last_kept last{};
    for (std::int32_t i = head; i < head + free; ++i) {
      if (key[i] <= last.key) last = {key[i], index[i]};
    }
    return last;
  }

  /// Writes what the caller asked to see of list n.
  void emit(location query, std::int32_t head, std::int32_t n, list_store<Problem> const& lists,
            last_kept const& last) const noexcept {
    std::int32_t const count = lists.count[n];
    list_output const out = list_output_of(args_, query, head, plan_.capacity);
    std::int32_t const* const index = lists.index + std::int64_t{n} * plan_.capacity;
    ordered_key const* const key = lists.key + std::int64_t{n} * plan_.capacity;
    // One output after the other: short loops that become vector code.
    if (out.positions != nullptr) {
      shard const part = plan_.options.shard;
      for (std::int32_t i = 0; i < count; ++i) out.positions[i] = position_entry(part, index[i]);
    }
    if (out.scores != nullptr) {
      for (std::int32_t i = 0; i < count; ++i) out.scores[i] = from_ordered(key[i]);
    }
    out.put_tail(count, one_thread{});
    put_count(args_, query, head, count, last, plan_.options.shard);
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  worker_store<Problem> const& work_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
