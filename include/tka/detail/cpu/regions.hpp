// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Where the parts of a call's scratch lie, and how many units of work it holds at once.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Phases that one wave of units takes.
template <class Problem>
[[nodiscard]] constexpr std::int32_t phases_of_wave(plan const& p) noexcept {
  if (!Problem::selects || p.schedule.splits == 1) return 1;
  return Problem::attends ? 3 : 2;
}

/// Regions of the scratch of one call, in order: selections under way, finished lists, workers.
///
/// Whole units are a worker's own, from its first score to its output. Split units go through the
/// phases in waves, as many at once as the plan's scratch_limit holds (one, at least).
template <class Problem>
struct regions {
  plan const& p;
  std::size_t first_bytes = 0;   ///< selections of a unit's first split: the others join them
  std::size_t later_bytes = 0;   ///< of another split
  std::size_t lists_bytes = 0;   ///< of a unit
  std::size_t worker_bytes = 0;  ///< of a worker
  std::int64_t units = 0;        ///< of a wave, or the workers that have whole units
  std::int64_t all_units = 0;
  std::int64_t workers = 0;  ///< that have anything to do

  explicit regions(plan const& with) noexcept : p(with) {
    all_units = unit_count<Problem>(p);
    std::int64_t const splits = p.schedule.splits;
    if constexpr (Problem::selects) {
      first_bytes = size_of([&](arena& m) { (void)stored::carve(m, p, part::first, true); });
      later_bytes = size_of([&](arena& m) { (void)stored::carve(m, p, part::later, true); });
      lists_bytes = size_of([&](arena& m) { (void)list_store<Problem>::carve(m, p); });
    }
    worker_bytes = size_of([&](arena& m) { (void)worker_store<Problem>::carve(m, p); });
    std::int64_t const most = std::max<std::int64_t>(all_units, 1);
    if (splits == 1) {
      units = std::min<std::int64_t>(p.schedule.workers, most);
      workers = units;
    } else {
      // Any of them may have work of its own in some phase.
      workers = p.schedule.workers;
      double const room = static_cast<double>(p.options.scratch_limit) -
                          static_cast<double>(worker_bytes) * static_cast<double>(workers);
      double const fit = room / static_cast<double>(unit_bytes());
      // Waves are counted in phases, in 32 bits.
      std::int64_t const least = most / (std::int64_t{1} << 24) + 1;
      units = fit >= static_cast<double>(most)
                  ? most
                  : std::clamp(static_cast<std::int64_t>(fit), least, most);
    }
  }
  /// Of a unit that is split.
  [[nodiscard]] std::size_t unit_bytes() const noexcept {
    return first_bytes + later_bytes * static_cast<std::size_t>(p.schedule.splits - 1) +
           lists_bytes;
  }
  [[nodiscard]] std::size_t total() const noexcept {
    auto const bytes = [](std::size_t one, std::int64_t count) {
      return static_cast<std::size_t>(bounded_product(static_cast<std::int64_t>(one), count));
    };
    return bytes(unit_bytes(), units) + bytes(worker_bytes, workers);
  }
  [[nodiscard]] std::int32_t waves() const noexcept {
    if (p.schedule.splits == 1) return 1;
    return static_cast<std::int32_t>(std::max<std::int64_t>((all_units + units - 1) / units, 1));
  }

  /// Selections of split `split` of the unit in place `place` of its wave.
  [[nodiscard]] selection_store<Problem> selections(workspace const& w, std::int64_t place,
                                                    std::int32_t split, bool fresh) const noexcept {
    auto const own = static_cast<std::size_t>(place);
    if (split == 0) {
      arena memory{base(w) + own * first_bytes};
      return stored::carve(memory, p, part::first, fresh);
    }
    auto const others = static_cast<std::size_t>(p.schedule.splits - 1);
    arena memory{base(w) + static_cast<std::size_t>(units) * first_bytes +
                 (own * others + static_cast<std::size_t>(split - 1)) * later_bytes};
    return stored::carve(memory, p, part::later, fresh);
  }
  [[nodiscard]] list_store<Problem> lists(workspace const& w, std::int64_t place) const noexcept {
    auto const count = static_cast<std::size_t>(units);
    arena memory{base(w) + count * (unit_bytes() - lists_bytes) +
                 static_cast<std::size_t>(place) * lists_bytes};
    return list_store<Problem>::carve(memory, p);
  }
  [[nodiscard]] worker_store<Problem> worker(workspace const& w, std::int32_t i) const noexcept {
    arena memory{base(w) + static_cast<std::size_t>(units) * unit_bytes() +
                 static_cast<std::size_t>(i) * worker_bytes};
    return worker_store<Problem>::carve(memory, p);
  }

 private:
  using stored = selection_store<Problem>;

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

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
