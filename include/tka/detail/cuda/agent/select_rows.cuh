// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Selecting from rows of scores, a cluster a row: by which of three ways each goes, and what is
/// written beside its list.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/select_by_digits.cuh>
#include <tka/detail/cuda/agent/select_from_registers.cuh>
#include <tka/detail/cuda/agent/select_from_stream.cuh>
#include <tka/detail/cuda/block/key_narrowing.cuh>
#include <tka/detail/cuda/block/row_gate.cuh>
#include <tka/detail/cuda/tuning/select_rows.cuh>
#include <tka/detail/cuda/warp/cluster.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/score_row.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// The parameters of the kernel.
template <class Problem>
struct select_rows_arguments {
  row_numbers<Problem> n;
  select_rows_tuning tuning;
  std::int32_t max_slice;  ///< keys for which a block has bits
  std::uint32_t rows;      ///< by the plan's bounds
  plan p;                  ///< these two: only of unusual rows
  arguments<Problem> a;
};

/// Shared memory, the same in all blocks of a cluster; what a way needs beside stands after it.
struct alignas(16) select_rows_memory {
  narrow_memory search;
  stream_memory stream;
  warp_counts of_warp;
  selection_rules rules;
  row_state row;
  std::uint64_t from_last[max_cluster];  ///< of all blocks: see `row_state`
};

template <class Problem, int Threads>
class select_rows_agent {
 public:
  /// Shared memory for lists of `list_keys` and slices of up to `slice` keys.
  [[nodiscard]] static constexpr int bytes(int list_keys, std::int64_t slice) noexcept {
    return static_cast<int>(sizeof(select_rows_memory)) +
           larger(select_from_stream<Threads>::bytes(list_keys, slice),
                  static_cast<int>(sizeof(digits_memory)));
  }

  __device__ explicit select_rows_agent(select_rows_arguments<Problem> const& w) noexcept
      : w_(w), m_(shared_memory()), blocks_(cluster::own(w.tuning.cluster)) {}

  __device__ void run() noexcept {
    if (!blocks_.works()) return;
    auto const size = static_cast<std::uint32_t>(w_.tuning.cluster);
#pragma unroll 1
    for (std::uint32_t row = blockIdx.x / size; row < w_.rows; row += gridDim.x / size) {
      select(row);
      __syncthreads();  // the next row has the same memory
    }
  }

 private:
  [[nodiscard]] __device__ static int thread() noexcept { return static_cast<int>(threadIdx.x); }
  [[nodiscard]] __device__ static int lane() noexcept { return thread() % 32; }

  static constexpr std::uint32_t failed = select_from_stream<Threads>::failed;

  __device__ void select(std::uint32_t number) noexcept {
    row_place const row = row_place::find<Problem>(w_.n, number, blocks_.rank == 0);
    if (!row.exists) return;
    float const* const scores = w_.n.scores.at(row.at.outer, row.head, row.at.token);
    competing_run run{};
    if (w_.n.usual) {
      run = usual_run<Problem>(w_.p, w_.a, w_.n, row);
    } else {
      run = unusual_run(w_, row, scores);
    }
    if (run.exists && misses_pages<Problem>(w_.p, w_.a, row, run.first, run.keys)) {
      run.exists = false;
    }
    if (thread() == 0) {
      m_.row.begin<Problem>(w_.p, w_.a, w_.n, row, scores);
      m_.row.run = run;
    }
    // Of a short row others have no part.
    bool alone = run.exists && run.keys <= w_.tuning.short_keys;
    if (alone && blocks_.rank != 0) return;
    std::uint32_t kept = failed;
    if (alone) {
      kept = 0;
      if (run.keys > 0 && run.keep > 0) {
        kept = from_registers(run, scores, w_.tuning.candidates);
      }
    } else if (run.exists && run.keep <= 0) {
      kept = 0;
    } else if (run.exists) {
      select_from_stream<Threads> way{m_.stream, reinterpret_cast<char*>(&m_ + 1),
                                      w_.tuning.list_keys};
      if (way.stream(run, scores, w_.max_slice, blocks_, m_.search)) {
        kept = finish_stream(w_.tuning.list_keys, w_.tuning.candidates, blocks_);
      }
    }
    if (kept == failed) {
      kept = by_digits(w_, blocks_);
    } else {
      __syncthreads();  // what is known of the row
      kept += put_forced(kept);
    }
    end_row(kept, alone);
  }

  // Each way has all registers to itself: it is not inlined, told nothing by address, and finds
  // shared memory by itself.
  [[nodiscard]] __device__ TKA_OUT_OF_LINE static std::uint32_t from_registers(
      competing_run run, float const* scores, int candidates) noexcept {
    select_rows_memory& m = shared_memory();
    return select_from_registers<Threads>{m.search, m.of_warp, candidates}.run(run, scores, m.row);
  }
  [[nodiscard]] __device__ TKA_OUT_OF_LINE static std::uint32_t finish_stream(
      int list_keys, int candidates, cluster blocks) noexcept {
    select_rows_memory& m = shared_memory();
    return select_from_stream<Threads>{m.stream, reinterpret_cast<char*>(&m + 1), list_keys}.finish(
        m.search, blocks, candidates, m.row);
  }
  [[nodiscard]] __device__ static select_rows_memory& shared_memory() noexcept {
    extern __shared__ __align__(128) char select_rows_shared[];
    return *reinterpret_cast<select_rows_memory*>(select_rows_shared);
  }

  [[nodiscard]] __device__ TKA_OUT_OF_LINE static std::uint32_t by_digits(
      select_rows_arguments<Problem> const& w, cluster blocks) noexcept {
    select_rows_memory& m = shared_memory();
    __syncthreads();
    if (thread() == 0) m.rules = rules_of_row<Problem>(w.p, w.a, m.row.row);
    blocks.wait();  // no block reads any more what other ways left
    return select_by_digits<Problem, Threads>{w.p, w.a, *reinterpret_cast<digits_memory*>(&m + 1),
                                              blocks}
        .run(m.row, m.rules);
  }

  /// The keys that compete, if no threshold of the caller's is in play and they lie side by side.
  [[nodiscard]] __device__ TKA_OUT_OF_LINE static competing_run unusual_run(
      select_rows_arguments<Problem> const& w, row_place row, float const* scores) noexcept {
    select_rows_memory& m = shared_memory();
    if (thread() == 0) m.rules = rules_of_row<Problem>(w.p, w.a, row);
    __syncthreads();
    selection_rules const& r = m.rules;
    bool const forces = r.head > 0 || r.tail < r.visible;
    bool const apart = r.gap > 0 && r.head < r.sinks;
    bool const drafts = w.a.mask.draft_keys > 0;
    if (r.given || apart || drafts || (forces && Problem::kv_source::has_pages)) return {};
    competing_run run{r.local(r.head), r.tail - r.head, r.keep, 0, 0, true};
    if (forces) {
      run.in_front = count_forced(scores + r.local(0), r.head);
      run.behind = count_forced(scores + r.local(r.tail), r.visible - r.tail);
      run.keep -= run.in_front + run.behind;
    }
    return run;
  }
  /// Those of the first `keys` scores that are above -inf.
  [[nodiscard]] __device__ static std::int32_t count_forced(float const* scores,
                                                            std::int32_t keys) noexcept {
    std::int32_t n = 0;
    for (std::int32_t i = 0; i < keys; i += Threads) {
      std::int32_t const own = i + thread();
      n += __syncthreads_count(own < keys && to_ordered(scores[own]) > key_of_minus_infinity ? 1
                                                                                             : 0);
    }
    return n;
  }

  /// Forced keys, before and after the `kept` others; how many they are.
  [[nodiscard]] __device__ std::uint32_t put_forced(std::uint32_t kept) const noexcept {
    competing_run const& run = m_.row.run;
    auto const front = static_cast<std::uint32_t>(run.in_front);
    auto const behind = static_cast<std::uint32_t>(run.behind);
    if (front + behind > 0 && blocks_.rank == 0 && thread() < 32) {
      selection_rules const& r = m_.rules;
      put_forced_run(r.local(0), r.head, 0);
      put_forced_run(r.local(r.tail), r.visible - r.tail, front + kept);
    }
    return front + behind;
  }
  /// From entry `at` on. A warp.
  __device__ TKA_OUT_OF_LINE static void put_forced_run(std::int32_t first, std::int32_t keys,
                                                        std::uint32_t at) noexcept {
    row_state const& row = shared_memory().row;
    for (std::int32_t i = 0; i < keys; i += 32) {
      std::int32_t const own = i + lane();
      ordered_key const key = own < keys ? to_ordered(row.from[first + own]) : key_of_nothing;
      unsigned const is = __ballot_sync(0xffffffffu, key > key_of_minus_infinity);
      if (key > key_of_minus_infinity) {
        row.put(at + __popc(is & ((1u << lane()) - 1)), first + own, radix_bits(key));
      }
      at += __popc(is);
    }
  }

  /// Count, threshold, and what stands after the last entry. All threads of the blocks that
  /// selected.
  __device__ void end_row(std::uint32_t kept, bool alone) const noexcept {
    if (m_.row.wants_last) find_last(w_, blocks_, alone);
    if (blocks_.rank == 0) {
      write_row_end<Problem>(w_.a, w_.n, m_.row, static_cast<std::int32_t>(kept));
    }
  }
  __device__ TKA_OUT_OF_LINE static void find_last(select_rows_arguments<Problem> const& w,
                                                   cluster blocks, bool alone) noexcept {
    select_rows_memory& m = shared_memory();
    __syncthreads();
    int const own = alone ? 0 : blocks.rank;
    int const count = alone ? 1 : blocks.size;
    if (thread() == 0) (count > 1 ? blocks.of(&m, 0) : &m)->from_last[own] = m.row.last;
    if (count > 1) blocks.wait();
    if (own == 0 && thread() == 0) {
      std::uint64_t last = m.from_last[0];
      for (int i = 1; i < count; ++i) last = smaller(last, m.from_last[i]);
      write_threshold<Problem>(w.p, w.a, m.row.row, last);
    }
    if (count > 1) blocks.wait();  // a next row writes to the first block at once
  }

  select_rows_arguments<Problem> const& w_;
  select_rows_memory& m_;
  cluster const blocks_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
