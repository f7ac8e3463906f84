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
#include <tka/mask.hpp>
#include <tka/plan.hpp>
#include <tka/status.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// What every row of a call needs, side by side: a kernel's parameters are fetched by lines.
template <class Problem>
struct row_numbers {
  tensor_view<float const> scores{};
  tensor_view<std::int32_t> positions{};
  typename Problem::kv_source::tensors kv{};
  typename Problem::query_source::tensors query{};
  std::int32_t const* k_per_sequence = nullptr;
  std::uint32_t heads = 1;   ///< of the scope
  std::uint32_t tokens = 1;  ///< of a sequence, at most
  std::int32_t kv_len = 0;
  std::int32_t k = 0;
  std::int32_t window = 0;
  std::int32_t capacity = 0;
  /// No key is forced or masked, none lies on another shard, there is no threshold of the caller's,
  /// the budget is a number, and the last query sits on the last key.
  bool usual = false;
  bool only_positions = false;  ///< are asked for, beside counts, and a position is a local index
  std::uint32_t* error = nullptr;

  [[nodiscard]] static row_numbers of(plan const& p, arguments<Problem> const& a) noexcept {
    options const& o = p.options;
    bool const whole = o.shard.count == 1;
    mask_tensors const& m = a.mask;
    bool const masked = m.first != nullptr || m.row_begin || m.row_end || m.draft_keys > 0;
    constexpr bool top_left =
        std::is_same_v<typename Problem::visibility, visibility::causal_top_left>;
    return {.scores = a.index.scores,
            .positions = a.positions,
            .kv = a.kv,
            .query = a.query,
            .k_per_sequence = a.k_per_sequence,
            .heads = static_cast<std::uint32_t>(p.scope_heads),
            .tokens = static_cast<std::uint32_t>(p.shape.q_len),
            .kv_len = p.shape.kv_len,
            .k = o.budget.k,
            .window = o.window,
            .capacity = p.capacity,
            .usual = (o.sinks | o.recent | o.budget.denominator) == 0 && whole && !masked &&
                     !top_left && !a.given_threshold_score,
            .only_positions =
                a.positions && !a.scores && !a.threshold_score && !a.threshold_position && whole,
            .error = a.error};
  }
};

/// Whose row it is.
struct row_place {
  location at;  ///< of its query token
  std::int32_t b;
  std::int32_t token;
  std::int32_t head;  ///< over all heads of the scope
  std::int32_t queries;
  std::int32_t length;  ///< keys of the sequence
  bool exists;

  /// Row `number` of the plan's bounds. One block reports what breaks a rule.
  template <class Problem>
  [[nodiscard]] __device__ static row_place find(row_numbers<Problem> const& n,
                                                 std::uint32_t number, bool reports) noexcept {
    row_place r{};
    r.b = static_cast<std::int32_t>(number);
    if (n.heads * n.tokens != 1) {
      std::uint32_t const row = number / n.heads;
      r.head = static_cast<std::int32_t>(number - row * n.heads);
      r.b = static_cast<std::int32_t>(row / n.tokens);
      r.token = static_cast<std::int32_t>(row - r.b * n.tokens);
    }
    std::int64_t const queries =
        Problem::query_source::length(n.query, r.b, static_cast<std::int32_t>(n.tokens));
    std::int64_t const length = Problem::kv_source::length(n.kv, r.b, n.kv_len);
    if ((queries < 0 || length < 0) && reports && threadIdx.x == 0) {
      if (queries < 0) report(n.error, data_error::query_range_invalid);
      if (length < 0) report(n.error, data_error::length_out_of_bounds);
    }
    r.queries = static_cast<std::int32_t>(larger<std::int64_t>(queries, 0));
    r.length = static_cast<std::int32_t>(larger<std::int64_t>(length, 0));
    r.exists = r.token < r.queries;
    if (r.exists) r.at = Problem::query_source::locate(n.query, r.b, r.token);
    return r;
  }
  /// As the rules know it.
  template <class Problem>
  [[nodiscard]] __device__ sequence of(plan const& p, arguments<Problem> const& a) const noexcept {
    return sequence_of<Problem>(p, a, b, [&](data_error bit) {
      if (bit == data_error::budget_out_of_range && threadIdx.x == 0) report(a.error, bit);
    });
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

/// The budget of a sequence that has its own.
template <class Problem>
[[nodiscard]] __device__ TKA_OUT_OF_LINE inline std::int32_t own_budget(plan const& p,
                                                                        arguments<Problem> const& a,
                                                                        row_place row) noexcept {
  return row.of(p, a).k;
}

/// Of a usual row; see `row_numbers`.
template <class Problem>
[[nodiscard]] __device__ competing_run usual_run(plan const& p, arguments<Problem> const& a,
                                                 row_numbers<Problem> const& n,
                                                 row_place const& row) noexcept {
  std::int32_t first = 0;
  std::int32_t end = row.length;
  if constexpr (!std::is_same_v<typename Problem::visibility, visibility::all>) {
    std::int64_t const position =
        Problem::query_source::position(n.query, row.b, row.token, row.queries, row.length);
    if (position + 1 < end) end = static_cast<std::int32_t>(position + 1);
    if (position < 0) end = 0;
    if constexpr (std::is_same_v<typename Problem::visibility, visibility::sliding_window>) {
      std::int64_t const begin = position + 1 - n.window;
      first = begin <= 0 ? 0 : begin < end ? static_cast<std::int32_t>(begin) : end;
    }
  }
  std::int32_t const k = n.k_per_sequence != nullptr ? own_budget<Problem>(p, a, row) : n.k;
  return {first, end - first, smaller(k, n.capacity), 0, 0, true};
}

/// The rules of any row.
template <class Problem>
[[nodiscard]] __device__ TKA_OUT_OF_LINE inline selection_rules rules_of_row(
    plan const& p, arguments<Problem> const& a, row_place const& row) noexcept {
  return rules_for<Problem>(p, a, {range_of<Problem>(p, a, row.of<Problem>(p, a), row.token)},
                            row.at, row.head);
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
        missing |= Problem::kv_source::locate(a.kv, row.b, i * page, page).outer < 0;
      }
    }
    if (missing) report(a.error, data_error::page_out_of_range);
    return __syncthreads_or(missing ? 1 : 0) != 0;
  } else {
    return false;
  }
}

/// What is known of the row under way, in shared memory: registers are few while keys pass. Thread
/// 0 writes it when a row begins.
struct row_state {
  row_place row;
  competing_run run;
  float const* from;        ///< the row's scores, from local index 0 on
  std::int32_t* positions;  ///< where kept keys go, or null
  float* scores;
  tka::shard shard;
  bool wants_last;
  bool only_positions;  ///< see `row_numbers`
  /// Of the kept keys that are not forced the last in the order of keys: see `place_in_order`.
  std::uint64_t last;

  template <class Problem>
  __device__ void begin(plan const& p, arguments<Problem> const& a, row_numbers<Problem> const& n,
                        row_place const& of, float const* from_) noexcept {
    row = of;
    from = from_;
    location const at = of.at;
    positions = n.positions ? n.positions.at(at.outer, of.head, at.token) : nullptr;
    only_positions = n.only_positions;
    wants_last = false;
    last = ~std::uint64_t{0};
    if (only_positions) return;
    scores = a.scores ? a.scores.at(at.outer, of.head, at.token) : nullptr;
    shard = p.options.shard;
    wants_last = a.threshold_score || a.threshold_position;
  }
  /// Entry `i` is the key at a local index. `key` in radix order.
  __device__ void put(std::uint32_t i, std::int32_t local, std::uint32_t key) const noexcept {
    if (positions != nullptr) {
      positions[i] = static_cast<std::int32_t>(global_position(shard, local));
    }
    if (scores != nullptr) scores[i] = from_ordered(static_cast<ordered_key>(key ^ 0x80000000u));
  }
  /// Smaller means later in the order: a smaller key, or an equal one at a larger position.
  [[nodiscard]] __device__ static std::uint64_t place_in_order(std::int32_t local,
                                                               std::uint32_t key) noexcept {
    return std::uint64_t{key} << 32 | (0x7fffffffu - static_cast<std::uint32_t>(local));
  }
  /// Of a thread's kept keys; ~0: there are none.
  __device__ void note_last(std::uint64_t own) noexcept {
    if (own != ~std::uint64_t{0}) {
      atomicMin(reinterpret_cast<unsigned long long*>(&last), static_cast<unsigned long long>(own));
    }
  }
};

/// What follows the last of `count` entries, and their number. One block.
template <class Problem>
__device__ void write_row_end(arguments<Problem> const& a, row_numbers<Problem> const& n,
                              row_state const& r, std::int32_t count) noexcept {
  for (std::int32_t i = count + static_cast<std::int32_t>(threadIdx.x); i < n.capacity;
       i += static_cast<std::int32_t>(blockDim.x)) {
    if (r.positions != nullptr) r.positions[i] = -1;
    if (!r.only_positions && r.scores != nullptr) r.scores[i] = minus_infinity;
  }
  if (threadIdx.x == 0 && a.count) {
    *a.count.at(r.row.at.outer, r.row.head, r.row.at.token) = count;
  }
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
