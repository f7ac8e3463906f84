// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The keys of one saved selection, a step at a time, whatever names them.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/local_index.hpp>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/plan.hpp>
#include <tka/saved_selection.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Local indices [from, to) of a sequence.
struct key_span {
  std::int32_t from;
  std::int32_t to;
};

template <class Problem>
class row_keys {
 public:
  row_keys(plan const& p, arguments<Problem> const& a) noexcept
      : plan_(p),
        args_(a),
        form_(p.selection.get<typename Problem::selector::row_numbers>().form) {}

  /// `together`: selections of a token that are found in one pass.
  void carve(arena& memory, std::int32_t together) noexcept {
    index_ = memory.take<std::int32_t>(step_keys);
    score_ = memory.take<float>(std::int64_t{together} * tile_keys);
    if (form_ != saved_form::threshold || together == 1) return;
    found_ = memory.take<std::int32_t>(std::int64_t{together} * plan_.capacity);
    found_count_ = memory.take<std::int32_t>(together);
  }

  [[nodiscard]] bool finds_together() const noexcept { return found_ != nullptr; }

  /// Where thresholds name the sets: finds those of scope heads first .. first + together of a
  /// token in one pass over its keys, as score(first, count, out) [together][tile_keys] gives them.
  /// False where they are not named so, or do not fit; then `each` finds them one by one.
  template <class Score>
  [[nodiscard]] bool find(sequence const& s, std::int32_t token, std::int32_t first_head,
                          std::int32_t together, key_span span, Score&& score) noexcept {
    if (found_ == nullptr) return false;
    visible_range const range = range_of<Problem>(plan_, args_, s, token);
    location const at = Problem::query_source::locate(args_.query, s.b, token);
    std::fill_n(found_count_, together, 0);
    bool fits = true;
    each_tile(range, span, [&](std::int32_t first, std::int32_t count) {
      score(first, count, score_);
      for (std::int32_t h = 0; h < together; ++h) {
        gate const own = gate_of(at, first_head + h);
        std::int32_t* const list = found_ + std::int64_t{h} * plan_.capacity;
        std::int32_t size = found_count_[h];
        for (std::int32_t j = 0; j < count; ++j) {
          if (!passes(range, own, first + j, score_[h * tile_keys + j])) continue;
          if (size < plan_.capacity) list[size] = first + j;
          ++size;
        }
        fits &= size <= plan_.capacity;
        found_count_[h] = std::min(size, plan_.capacity);
      }
    });
    return fits;
  }

  /// The same as `each` for set n of those that `find` has found.
  template <class Use>
  void each_found(std::int32_t n, Use&& use) const noexcept {
    std::int32_t const* const list = found_ + std::int64_t{n} * plan_.capacity;
    std::int32_t const count = found_count_[n];
    for (std::int32_t i = 0; i < count; i += step_keys) {
      use(list + i, std::min(step_keys, count - i));
    }
  }

  /// use(local indices, count <= step_keys) over the keys of `span` that the selection of query
  /// token `token` and `scope_head` holds, in the order of its list or ascending.
  /// score(first, count, out): the scores that the selection went by, of local keys first,
  /// first + 1, ...; asked for only where a threshold names the set.
  template <class Score, class Use>
  void each(sequence const& s, std::int32_t token, std::int32_t scope_head, key_span span,
            Score&& score, Use&& use) noexcept {
    size_ = 0;
    location const at = Problem::query_source::locate(args_.query, s.b, token);
    switch (form_) {
      case saved_form::positions: list(s, at, scope_head, span, use); break;
      case saved_form::threshold: pass(s, token, at, scope_head, span, score, use); break;
      case saved_form::visible: see(s, token, span, use); break;
    }
    if (size_ > 0) use(index_, size_);
  }

 private:
  /// The last key of a set that is not forced.
  struct gate {
    ordered_key key;
    std::int64_t position;
  };
  [[nodiscard]] gate gate_of(location at, std::int32_t head) const noexcept {
    return {to_ordered(*args_.saved.threshold_score.at(at.outer, head, at.token)),
            *args_.saved.threshold_position.at(at.outer, head, at.token)};
  }
  /// Forced keys, and those at or before the gate in the order of selection.
  [[nodiscard]] bool passes(visible_range const& range, gate const& last, std::int32_t index,
                            float score) const noexcept {
    ordered_key const key = to_ordered(score);
    if (!range.visible(index) || key <= key_of_minus_infinity) return false;
    if (key > last.key || range.forced(index)) return true;
    return key == last.key && position_of(plan_.options.shard, index) <= last.position;
  }

  template <class Use>
  void put(std::int32_t index, Use& use) noexcept {
    index_[size_++] = index;
    if (size_ < step_keys) return;
    use(index_, size_);
    size_ = 0;
  }

  template <class Use>
  void list(sequence const& s, location at, std::int32_t head, key_span span, Use& use) noexcept {
    std::int32_t count =
        args_.saved.count ? *args_.saved.count.at(at.outer, head, at.token) : plan_.capacity;
    if (count < 0 || count > plan_.capacity) {
      report(args_.error, data_error::budget_out_of_range);
      count = std::clamp(count, 0, plan_.capacity);
    }
    std::int32_t const* const position = args_.saved.positions.at(at.outer, head, at.token);
    for (std::int32_t i = 0; i < count; ++i) {
      std::int32_t const index =
          local_index_of_entry(plan_.options.shard, s.length, position[i],
                               [this](data_error bit) { report(args_.error, bit); });
      if (index >= span.from && index < span.to) put(index, use);
    }
  }

  template <class Score, class Use>
  void pass(sequence const& s, std::int32_t token, location at, std::int32_t head, key_span span,
            Score& score, Use& use) noexcept {
    visible_range const range = range_of<Problem>(plan_, args_, s, token);
    gate const last = gate_of(at, head);
    each_tile(range, span, [&](std::int32_t first, std::int32_t count) {
      score(first, count, score_);
      for (std::int32_t j = 0; j < count; ++j) {
        if (passes(range, last, first + j, score_[j])) put(first + j, use);
      }
    });
  }

  template <class Use>
  void see(sequence const& s, std::int32_t token, key_span span, Use& use) noexcept {
    visible_range const range = range_of<Problem>(plan_, args_, s, token);
    each_tile(range, span, [&](std::int32_t first, std::int32_t count) {
      for (std::int32_t j = first; j < first + count; ++j) {
        if (range.visible(j)) put(j, use);
      }
    });
  }

  /// Tiles of the span that hold a visible key.
  template <class Function>
  static void each_tile(visible_range const& range, key_span span, Function&& function) noexcept {
    std::int32_t const end = std::min(span.to, range.end);
    for (std::int32_t first = span.from; first < end; first += tile_keys) {
      std::int32_t const count = std::min(tile_keys, end - first);
      if (range.touches(first, count)) function(first, count);
    }
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  saved_form const form_;
  std::int32_t* index_ = nullptr;  // [step_keys]
  float* score_ = nullptr;         // [together][tile_keys]
  std::int32_t* found_ = nullptr;  // [together][capacity]
  std::int32_t* found_count_ = nullptr;
  std::int32_t size_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
