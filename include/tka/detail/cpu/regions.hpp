// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Where the parts of a call's scratch lie.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

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

}  // namespace tka::inline TKA_ABI::detail::cpu
