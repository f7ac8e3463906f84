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
  plan p;
  arguments<Problem> a;
  select_rows_tuning tuning;
  std::int64_t max_slice;  ///< keys for which a block has bits
  std::uint32_t rows;      ///< by the plan's bounds
};

/// Shared memory, the same in all blocks of a cluster; what a way needs beside stands after it.
struct alignas(16) select_rows_memory {
  narrow_memory search;
  stream_memory stream;
  warp_counts of_warp;
  selection_rules rules;
  std::uint64_t last;                    ///< of this block: see row_output
  std::uint64_t from_last[max_cluster];  ///< of all
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

  __device__ select_rows_agent(select_rows_arguments<Problem> const& w, char* memory) noexcept
      : w_(w),
        m_(*reinterpret_cast<select_rows_memory*>(memory)),
        rest_(memory + sizeof(select_rows_memory)),
        blocks_(cluster::own(w.tuning.cluster)) {}

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

  __device__ void select(std::uint32_t number) noexcept {
    row_place const row = row_place::find<Problem>(w_.p, w_.a, number, blocks_.rank == 0);
    if (!row.exists) return;
    float const* const scores = w_.a.index.scores.at(row.at.outer, row.head, row.at.token);
    row_output out = row_output::of_row(w_.p, w_.a, row);
    competing_run run{};
    if (is_usual<Problem>(w_.p, w_.a)) {
      run = usual_run<Problem>(w_.p, w_.a, row);
    } else {
      run = unusual_run(row, scores);
    }
    if (run.exists && misses_pages<Problem>(w_.p, w_.a, row, run.first, run.keys)) {
      run.exists = false;
    }
    std::uint32_t kept = select_from_stream<Threads>::failed;
    bool all_blocks = false;
    if (run.exists) {
      if (run.keys <= 0 || run.keep <= 0) {
        kept = 0;
      } else if (run.keys <= register_keys) {
        if (blocks_.rank == 0) kept = from_registers(run, scores, out);
        // Others have nothing to do, and no part in what follows.
        if (blocks_.rank != 0) kept = 0;
      } else {
        kept = select_from_stream<Threads>{m_.stream, m_.search,    rest_,
                                           w_.tuning, w_.max_slice, blocks_}
                   .run(run, scores, out);
        all_blocks = true;
      }
    }
    if (kept == select_from_stream<Threads>::failed) {
      kept = by_digits(row, scores, out);
      all_blocks = true;
    } else {
      kept += static_cast<std::uint32_t>(run.in_front);
      if (blocks_.rank == 0) put_forced(row, scores, run, kept, out);
      kept += static_cast<std::uint32_t>(run.behind);
    }
    end_row(row, kept, all_blocks, out);
  }

  __device__ __noinline__ std::uint32_t from_registers(competing_run const& run,
                                                       float const* scores,
                                                       row_output& out) noexcept {
    return select_from_registers<Threads>{m_.search, m_.of_warp, w_.tuning.candidates}.run(
        run, scores, out);
  }

  __device__ __noinline__ std::uint32_t by_digits(row_place const& row, float const* scores,
                                                  row_output& out) noexcept {
    if (thread() == 0) m_.rules = rules_of_row<Problem>(w_.p, w_.a, row);
    blocks_.wait();  // no block reads any more what other ways left
    return select_by_digits<Problem, Threads>{w_.p, w_.a, *reinterpret_cast<digits_memory*>(rest_),
                                              blocks_}
        .run(row, scores, m_.rules, out);
  }

  /// The keys that compete, if no threshold of the caller's is in play and they lie side by side.
  [[nodiscard]] __device__ __noinline__ competing_run unusual_run(row_place const& row,
                                                                  float const* scores) noexcept {
    if (thread() == 0) m_.rules = rules_of_row<Problem>(w_.p, w_.a, row);
    __syncthreads();
    selection_rules const& r = m_.rules;
    bool const forces = r.head > 0 || r.tail < r.visible;
    bool const apart = r.gap > 0 && r.head < r.sinks_end;
    if (r.given || apart || (forces && Problem::kv_source::has_pages)) return {};
    competing_run run{r.local(r.head), r.tail - r.head, r.keep, 0, 0, true};
    if (forces) {
      run.in_front = count_forced(scores, 0, r.head);
      run.behind = count_forced(scores, r.local(r.tail), r.visible - r.tail);
      run.keep -= run.in_front + run.behind;
    }
    return run;
  }
  /// Keys above -inf of `keys` from a local index on.
  [[nodiscard]] __device__ static std::int32_t count_forced(float const* scores, std::int32_t first,
                                                            std::int32_t keys) noexcept {
    std::int32_t n = 0;
    for (std::int32_t i = 0; i < keys; i += Threads) {
      std::int32_t const own = i + thread();
      n += __syncthreads_count(
          own < keys && to_ordered(scores[first + own]) > key_of_minus_infinity ? 1 : 0);
    }
    return n;
  }

  /// Forced keys: before all others, and from entry `at` on after them. One block.
  __device__ void put_forced(row_place const& row, float const* scores, competing_run const& run,
                             std::uint32_t at, row_output const& out) const noexcept {
    if (run.in_front + run.behind == 0) return;
    put_forced_run(scores, 0, m_.rules.head, 0, out);
    put_forced_run(scores, m_.rules.local(m_.rules.tail), m_.rules.visible - m_.rules.tail, at,
                   out);
  }
  /// By the first warp.
  __device__ static void put_forced_run(float const* scores, std::int32_t first, std::int32_t keys,
                                        std::uint32_t at, row_output const& out) noexcept {
    if (thread() >= 32) return;
    for (std::int32_t i = 0; i < keys; i += 32) {
      std::int32_t const own = i + lane();
      ordered_key const key = own < keys ? to_ordered(scores[first + own]) : key_of_nothing;
      unsigned const is = __ballot_sync(0xffffffffu, key > key_of_minus_infinity);
      if (key > key_of_minus_infinity) {
        out.put(at + __popc(is & ((1u << lane()) - 1)), first + own, radix_bits(key));
      }
      at += __popc(is);
    }
  }

  /// Count, threshold, and what stands after the last entry. All threads of the blocks that
  /// selected.
  __device__ void end_row(row_place const& row, std::uint32_t kept, bool all_blocks,
                          row_output const& out) noexcept {
    if (out.wants_last) find_last(row, all_blocks, out);
    if (blocks_.rank == 0) {
      write_row_end<Problem>(w_.p, w_.a, row, out, static_cast<std::int32_t>(kept));
    }
  }
  __device__ __noinline__ void find_last(row_place const& row, bool all_blocks,
                                         row_output const& out) noexcept {
    if (thread() == 0) m_.last = ~std::uint64_t{0};
    __syncthreads();
    if (out.last != ~std::uint64_t{0}) {
      atomicMin(reinterpret_cast<unsigned long long*>(&m_.last),
                static_cast<unsigned long long>(out.last));
    }
    __syncthreads();
    if (all_blocks && !blocks_.alone()) {
      if (thread() == 0) blocks_.of(&m_, 0)->from_last[blocks_.rank] = m_.last;
      blocks_.wait();
      if (blocks_.rank == 0 && thread() == 0) {
        for (int i = 0; i < blocks_.size; ++i) m_.last = smaller(m_.last, m_.from_last[i]);
      }
    }
    if (blocks_.rank == 0 && thread() == 0) write_threshold<Problem>(w_.p, w_.a, row, m_.last);
  }

  select_rows_arguments<Problem> const& w_;
  select_rows_memory& m_;
  char* const rest_;
  cluster const blocks_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
