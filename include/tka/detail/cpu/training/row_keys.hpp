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

  void carve(arena& memory) noexcept {
    index_ = memory.take<std::int32_t>(step_keys);
    score_ = memory.take<float>(tile_keys);
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
  template <class Use>
  void put(std::int32_t index, Use& use) noexcept {
    index_[size_++] = index;
    if (size_ < step_keys) return;
    use(index_, size_);
    size_ = 0;
  }

  template <class Use>
  void list(sequence const& s, location at, std::int32_t head, key_span span, Use& use) noexcept {
    std::int32_t count = *args_.saved.count.at(at.outer, head, at.token);
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

  /// Forced keys, and those at or before the threshold in the order of selection.
  template <class Score, class Use>
  void pass(sequence const& s, std::int32_t token, location at, std::int32_t head, key_span span,
            Score& score, Use& use) noexcept {
    visible_range const range = range_of<Problem>(plan_, args_, s, token);
    ordered_key const limit = to_ordered(*args_.saved.threshold_score.at(at.outer, head, at.token));
    std::int64_t const last = *args_.saved.threshold_position.at(at.outer, head, at.token);
    each_tile(range, span, [&](std::int32_t first, std::int32_t count) {
      score(first, count, score_);
      for (std::int32_t j = 0; j < count; ++j) {
        std::int32_t const index = first + j;
        ordered_key const key = to_ordered(score_[j]);
        if (!range.visible(index) || key <= key_of_minus_infinity) continue;
        bool const level = key == limit && position_of(plan_.options.shard, index) <= last;
        if (range.forced(index) || key > limit || level) put(index, use);
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
  float* score_ = nullptr;         // [tile_keys]
  std::int32_t size_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
