// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Lists from outside: their entries are checked, and those that are keys of this sequence and
/// this shard move together, so that the others change no bit.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/prepare.cuh>
#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

template <class Problem>
class take_list_agent {
 public:
  __device__ take_list_agent(context<Problem> const& c, char* memory) noexcept
      : c_(c), sums_(reinterpret_cast<std::uint32_t*>(memory)) {}

  __device__ void run() noexcept {
    std::int32_t const blocks = attend_blocks<Problem>(c_.p.shape);
    share const s = c_.shares[count_of::rows];
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = c_.at(count_of::rows, n);
      if (at.rest % blocks != 0) continue;
      row<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / blocks)};
      if (own.exists) take(own);
    }
  }

 private:
  __device__ void take(row<Problem> const& own) noexcept {
    location const at = own.query(c_);
    std::int32_t const given = *c_.a.given_count.at(at.outer, own.scope_head, at.token);
    if (given < 0 || given > c_.p.capacity) report(c_.a.error, data_error::budget_out_of_range);
    std::int32_t const count = smaller(larger(given, 0), c_.p.capacity);
    std::int32_t const* const positions =
        c_.a.given_positions.at(at.outer, own.scope_head, at.token);
    std::uint32_t taken = 0;
    for (std::int32_t first = 0; first < count; first += block_threads) {
      std::int32_t const i = first + static_cast<std::int32_t>(threadIdx.x);
      std::int32_t const local = i < count ? local_of(own, positions[i]) : -1;
      std::uint32_t total = 0;
      std::uint32_t const before = exclusive_sum(local >= 0 ? 1u : 0u, sums_, total);
      if (local >= 0) own.index()[taken + before] = local;
      taken += total;
    }
    if (threadIdx.x != 0) return;
    own.state()[selected_count] = taken;
    own.state()[parts_done] = 0;
  }

  /// The local index of a position; negative where it is not here.
  [[nodiscard]] __device__ std::int32_t local_of(row<Problem> const& own,
                                                 std::int32_t position) const noexcept {
    if (position < 0 || position >= own.entry->of.length) {
      if (position != -1) report(c_.a.error, data_error::position_out_of_range);
      return -1;
    }
    shard const& part = c_.p.options.shard;
    auto const local = static_cast<std::int32_t>(local_below(part, position));
    if (local_below(part, std::int64_t{position} + 1) == local) return -1;  // another shard's
    location const l =
        Problem::kv_source::locate(c_.a.kv, own.entry->of.b, local, c_.p.shape.page_size);
    if (l.outer >= 0) return local;
    report(c_.a.error, data_error::page_out_of_range);
    return -1;
  }

  context<Problem> const& c_;
  std::uint32_t* sums_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
