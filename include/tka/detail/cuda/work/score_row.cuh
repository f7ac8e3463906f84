// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A row of scores that the caller has computed: where it lies, which of its keys compete, and
/// where what is kept of it goes.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/report.cuh>
#include <tka/detail/cuda/work/selection_rules.cuh>
#include <tka/detail/cuda/work/slot.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/form.hpp>
#include <tka/plan.hpp>
#include <tka/status.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Whose row it is.
struct row_place {
  sequence of;
  location at;  ///< of its query token
  std::int32_t token;
  std::int32_t head;  ///< over all heads of the scope
  bool exists;

  /// Row `number` of the plan's bounds. One block reports what breaks a rule.
  template <class Problem>
  [[nodiscard]] __device__ static row_place find(plan const& p, arguments<Problem> const& a,
                                                 std::uint32_t number, bool reports) noexcept {
    auto const heads = static_cast<std::uint32_t>(p.scope_heads);
    auto const tokens = static_cast<std::uint32_t>(p.shape.q_len);
    std::uint32_t const row = number / heads;
    row_place r{};
    r.head = static_cast<std::int32_t>(number - row * heads);
    auto const b = static_cast<std::int32_t>(row / tokens);
    r.token = static_cast<std::int32_t>(row - b * tokens);
    bool const first = reports && threadIdx.x == 0 && r.token == 0 && r.head == 0;
    r.of = sequence_of<Problem>(p, a, b, [&](data_error bit) {
      if (first) report(a.error, bit);
    });
    r.exists = r.token < r.of.queries;
    if (r.exists) r.at = Problem::query_source::locate(a.query, b, r.token);
    return r;
  }
};

/// The keys of a row that compete where they lie side by side, and what is kept of them.
struct competing_run {
  std::int32_t first;     ///< local index
  std::int32_t keys;      ///< how many
  std::int32_t keep;      ///< how many of them are kept, at most
  std::int32_t in_front;  ///< kept keys before them
  std::int32_t behind;    ///< and after them
  bool exists;            ///< false: they do not lie so
};

/// The usual rows: no key is forced, none lies on another shard, and what is seen has no gap.
template <class Problem>
[[nodiscard]] __device__ bool is_usual(plan const& p, arguments<Problem> const& a) noexcept {
  options const& o = p.options;
  return (o.sinks | o.recent | o.budget.denominator) == 0 && o.shard.count == 1 &&
         !a.given_threshold_score;
}
/// Of a usual row.
template <class Problem>
[[nodiscard]] __device__ competing_run usual_run(plan const& p, arguments<Problem> const& a,
                                                 row_place const& row) noexcept {
  auto const length = static_cast<std::int32_t>(row.of.length);
  std::int64_t const position =
      Problem::query_source::position(a.query, row.of.b, row.token, row.of.queries, row.of.length);
  std::int32_t end = length;
  if constexpr (std::is_same_v<typename Problem::visibility, visibility::all>) {
    if (position < 0) end = 0;
  } else {
    end = static_cast<std::int32_t>(
        larger<std::int64_t>(0, smaller<std::int64_t>(position + 1, row.of.length)));
  }
  std::int32_t first = 0;
  if constexpr (std::is_same_v<typename Problem::visibility, visibility::sliding_window>) {
    first = static_cast<std::int32_t>(
        larger<std::int64_t>(0, smaller<std::int64_t>(position + 1 - p.options.window, end)));
  }
  std::int32_t const k = row.of.k >= 0 ? row.of.k : p.options.budget.k;
  return {first, end - first, smaller(k, p.capacity), 0, 0, true};
}

/// The rules of any row.
template <class Problem>
[[nodiscard]] __device__ __noinline__ selection_rules rules_of_row(plan const& p,
                                                                   arguments<Problem> const& a,
                                                                   row_place const& row) noexcept {
  return rules_for<Problem>(p, a, {range_of<Problem>(p, a, row.of, row.token)}, row.at, row.head);
}

/// Whether a page of [first, first + keys) is not there, which is reported. All threads of a block.
template <class Problem>
[[nodiscard]] __device__ bool misses_pages(plan const& p, arguments<Problem> const& a,
                                           row_place const& row, std::int32_t first,
                                           std::int32_t keys) noexcept {
  if constexpr (Problem::kv_source::has_pages) {
    std::int32_t const page = p.shape.page_size;
    bool missing = false;
    if (keys > 0) {
      std::int32_t const last = (first + keys - 1) / page;
      for (std::int32_t i = first / page + static_cast<std::int32_t>(threadIdx.x); i <= last;
           i += static_cast<std::int32_t>(blockDim.x)) {
        missing |= Problem::kv_source::locate(a.kv, row.of.b, i * page, page).outer < 0;
      }
    }
    if (missing) report(a.error, data_error::page_out_of_range);
    return __syncthreads_or(missing ? 1 : 0) != 0;
  } else {
    return false;
  }
}

/// Where the kept keys of a row go, and the last of them in the order of keys.
struct row_output {
  std::int32_t* positions;
  float* scores;
  shard of;
  bool wants_last;
  std::uint64_t last;

  template <class Problem>
  [[nodiscard]] __device__ static row_output of_row(plan const& p, arguments<Problem> const& a,
                                                    row_place const& row) noexcept {
    return {a.positions ? a.positions.at(row.at.outer, row.head, row.at.token) : nullptr,
            a.scores ? a.scores.at(row.at.outer, row.head, row.at.token) : nullptr, p.options.shard,
            a.threshold_score || a.threshold_position, ~std::uint64_t{0}};
  }
  /// Entry `i` is the key at a local index. `key` in radix order.
  __device__ void put(std::uint32_t i, std::int32_t local, std::uint32_t key) const noexcept {
    if (positions != nullptr) positions[i] = static_cast<std::int32_t>(global_position(of, local));
    if (scores != nullptr) scores[i] = from_ordered(static_cast<ordered_key>(key ^ 0x80000000u));
  }
  /// Smaller means later in the order: a smaller key, or an equal one at a larger position.
  __device__ void note(std::int32_t local, std::uint32_t key) noexcept {
    if (wants_last) {
      last = smaller(last,
                     std::uint64_t{key} << 32 | (0x7fffffffu - static_cast<std::uint32_t>(local)));
    }
  }
};

/// What follows the last of `count` entries, and the numbers of the row. One block.
template <class Problem>
__device__ void write_row_end(plan const& p, arguments<Problem> const& a, row_place const& row,
                              row_output const& out, std::int32_t count) noexcept {
  for (std::int32_t i = count + static_cast<std::int32_t>(threadIdx.x); i < p.capacity;
       i += static_cast<std::int32_t>(blockDim.x)) {
    if (out.positions != nullptr) out.positions[i] = -1;
    if (out.scores != nullptr) out.scores[i] = minus_infinity();
  }
  if (threadIdx.x == 0 && a.count) *a.count.at(row.at.outer, row.head, row.at.token) = count;
}
/// One thread.
template <class Problem>
__device__ void write_threshold(plan const& p, arguments<Problem> const& a, row_place const& row,
                                std::uint64_t last) noexcept {
  bool const none = last == ~std::uint64_t{0};
  if (a.threshold_score) {
    auto const key = static_cast<ordered_key>(static_cast<std::uint32_t>(last >> 32) ^ 0x80000000u);
    *a.threshold_score.at(row.at.outer, row.head, row.at.token) =
        from_ordered(none ? key_of_nan : key);
  }
  if (a.threshold_position) {
    auto const local =
        static_cast<std::int32_t>(0x7fffffffu - static_cast<std::uint32_t>(last & 0xffffffffu));
    *a.threshold_position.at(row.at.outer, row.head, row.at.token) =
        none ? -1 : static_cast<std::int32_t>(global_position(p.options.shard, local));
  }
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
