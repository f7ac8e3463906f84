// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The parts of scratch and their sizes. The same functions size a plan and carve its memory.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/team.cuh>
#include <tka/detail/cuda/tuning/block.cuh>
#include <tka/detail/cuda/work/geometry.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/plan_numbers.cuh>
#include <tka/detail/cuda/work/schedule.cuh>
#include <tka/detail/cuda/work/slot_layout.cuh>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Teams of blocks that may select long slots at once: no more than a quarter of scratch holds.
template <class Problem>
[[nodiscard]] constexpr std::int64_t max_teams(plan const& p, plan_numbers const& n) noexcept {
  shape const& s = p.shape;
  if (!Problem::selects || s.kv_len <= n.select.block_keys_when_few) return 0;
  std::int64_t const slots = std::int64_t{s.batch} * s.q_len * p.scope_heads;
  std::int64_t const fit = p.options.scratch_limit / (4 * std::int64_t{sizeof(team_memory)});
  // A team has two blocks or more: of a kernel that selects, or of the one that loops.
  std::int64_t const blocks =
      larger(std::int64_t{n.multiprocessors} * n.select_blocks, std::int64_t{p.schedule.workers});
  return larger(std::int64_t{1}, smaller(fit, smaller(blocks / 2, slots)));
}

/// Words of all slots of a unit of one token, as long as they may be.
template <class Problem>
[[nodiscard]] constexpr std::int64_t words_of_smallest_unit(plan const& p) noexcept {
  return layout_of<Problem>(p, extent_of<Problem>(p, p.shape.kv_len)).words *
         geometry<Problem>{p}.selections();
}

/// Slots of all units, at most.
template <class Problem>
[[nodiscard]] constexpr double max_slots_of_call(plan const& p) noexcept {
  geometry<Problem> const g{p};
  // Units may be cut for fewer tokens than planned, and the last has slots after the last token.
  return static_cast<double>(p.shape.batch) * g.units_of_tile() * g.selections() *
         (static_cast<double>(p.shape.q_len) + g.tokens - 1);
}

/// Slots of one wave, at most: all that there can be, or as many as fit if they are empty.
template <class Problem>
[[nodiscard]] constexpr std::int64_t max_slots_of_wave(plan const& p) noexcept {
  double const all = max_slots_of_call<Problem>(p);
  std::int64_t const words = larger(static_cast<std::int64_t>(p.options.scratch_limit / 4),
                                    words_of_smallest_unit<Problem>(p) + 128);
  std::int64_t const fit = words / slot_state_words;
  return all < static_cast<double>(fit) ? static_cast<std::int64_t>(all) : fit;
}

/// Scratch for the slots of all units, as long as they may be.
template <class Problem>
[[nodiscard]] constexpr double max_words_of_slots(plan const& p) noexcept {
  slot_layout const slot = layout_of<Problem>(p, extent_of<Problem>(p, p.shape.kv_len));
  return static_cast<double>(slot.words) * max_slots_of_call<Problem>(p) + 32.0;
}

/// Where each part of scratch begins, in words; the schedule is the first.
struct scratch_layout {
  std::int64_t cut;     ///< `team_cut`, in a line of its own
  std::int64_t teams;   ///< [max_teams] `team_memory`
  std::int64_t places;  ///< [slots of a wave] where each slot is: lines of 32 words
  std::int64_t slots;
};
template <class Problem>
[[nodiscard]] constexpr scratch_layout scratch_layout_of(plan const& p,
                                                         plan_numbers const& n) noexcept {
  scratch_layout l{};
  l.cut = schedule_table::words(p.shape.batch);
  l.teams = l.cut + 32;
  l.places = l.teams + max_teams<Problem>(p, n) * std::int64_t{sizeof(team_memory) / 4};
  l.slots = l.places + (Problem::selects ? round_up(max_slots_of_wave<Problem>(p), 32) : 0);
  return l;
}

/// As much as all slots could need at once, but at most the limit, and at least what the largest
/// unit of one token needs.
template <class Problem>
[[nodiscard]] constexpr std::size_t scratch_bytes_of(plan const& p,
                                                     plan_numbers const& n) noexcept {
  double const all = max_words_of_slots<Problem>(p);
  std::int64_t const before = scratch_layout_of<Problem>(p, n).slots;
  std::int64_t const most =
      p.options.scratch_limit / std::int64_t{workspace_alignment} * workspace_alignment / 4;
  auto const limit = static_cast<double>(most) - static_cast<double>(before);
  auto words = static_cast<std::int64_t>(all < limit ? all : limit);
  words = larger(words, words_of_smallest_unit<Problem>(p) + 32);
  return static_cast<std::size_t>(round_up((before + words) * 4, workspace_alignment));
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
