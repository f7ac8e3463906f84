// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Selecting from a long row, which the blocks of a cluster read once: keys that are not below a
/// gate are held in shared memory, and the threshold is found among them.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/block/key_narrowing.cuh>
#include <tka/detail/cuda/block/position_bits.cuh>
#include <tka/detail/cuda/block/row_gate.cuh>
#include <tka/detail/cuda/block/row_slice.cuh>
#include <tka/detail/cuda/tuning/select_rows.cuh>
#include <tka/detail/cuda/warp/cluster.cuh>
#include <tka/detail/cuda/work/score_row.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Shared memory beside that of the search, the keys that are held, and the bits.
struct stream_memory {
  gate_memory gate;
  std::uint32_t held;   ///< keys that passed
  std::uint32_t equal;  ///< keys that equal a gate which only larger ones pass
  std::uint32_t of_warp[32];
};

template <int Threads>
class select_from_stream {
 public:
  /// Shared memory for what is held, and a bit for each key of a slice.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr int bytes(int list_keys,
                                                           std::int64_t slice) noexcept {
    return static_cast<int>(round_up(8 * std::int64_t{list_keys}, 16)) +
           position_bits<Threads>::bytes(slice);
  }

  /// `memory`: bytes(list_keys, max_slice), at a multiple of 16.
  __device__ select_from_stream(stream_memory& m, narrow_memory& search, char* memory,
                                select_rows_tuning const& tuning, std::int64_t max_slice,
                                cluster const& blocks) noexcept
      : m_(m),
        search_(search),
        keys_(reinterpret_cast<std::uint32_t*>(memory)),
        places_(keys_ + tuning.list_keys),
        bits_(memory + round_up(8 * std::int64_t{tuning.list_keys}, 16)),
        max_slice_(max_slice),
        capacity_(static_cast<std::uint32_t>(tuning.list_keys)),
        blocks_(blocks),
        narrowing_(search, blocks, tuning.candidates) {}

  static constexpr std::uint32_t failed = ~0u;

  /// Writes the kept keys of `run`; how many they are, or `failed`: nothing is written then, the
  /// same in all blocks. All threads of the cluster.
  __device__ std::uint32_t run(competing_run const& run, float const* scores,
                               row_output& out) noexcept {
    row_slice const slice{scores + run.first, run.keys, blocks_};
    if (slice.max_keys() > max_slice_) return failed;
    gate_rule const rule =
        gate_rule::of(run.keys, run.keep, std::int64_t{capacity_} * blocks_.size);
    // Without a gate all keys are held.
    if (!rule.exists() && slice.max_keys() > static_cast<std::int64_t>(capacity_)) return failed;
    float4 first[slice_vectors];
    slice.load(first, slice.begin() + static_cast<int>(threadIdx.x), Threads);
    prepare(rule, slice);
    std::uint32_t const gate = larger(m_.gate.gate, max_dropped);
    // Too many keys equal the gate: those are only counted.
    bool const strict = !rule.exists() || gate == max_dropped || m_.gate.far == m_.gate.gate;
    std::uint32_t const edge = !rule.exists() ? max_dropped : gate;
    if (strict) {
      stream_above(slice, first, edge);
    } else {
      stream(slice, first, edge);
    }
    return finish(run, slice, edge, strict, out);
  }

 private:
  static constexpr int warps = Threads / 32;
  static constexpr unsigned all_lanes = 0xffffffffu;

  [[nodiscard]] __device__ static int thread() noexcept { return static_cast<int>(threadIdx.x); }
  [[nodiscard]] __device__ static int lane() noexcept { return thread() % 32; }

  __device__ void prepare(gate_rule const& rule, row_slice const& slice) noexcept {
    bits_.set_slice(slice.max_keys());
    if (thread() == 0) {
      m_.gate.gate = ~0u;
      m_.gate.far = ~0u;
      m_.gate.high = 0;
      m_.held = 0;
      m_.equal = 0;
    }
    if (thread() < gate_groups) {
      // Its own barrier comes before anything is added to the gate.
      if (rule.exists()) {
        find_gate(rule, slice.vectors(), m_.gate, [&](std::int32_t v) { return slice.at(v); });
      }
    }
    narrowing_.clear();
    bits_.clear();
    __syncthreads();
  }

  /// Holds every key that is not below the gate. A difference has a sign also where it is rounded.
  __device__ void stream(row_slice const& slice, float4 (&a)[slice_vectors],
                         std::uint32_t gate) noexcept {
    float score = from_ordered(static_cast<ordered_key>(gate ^ 0x80000000u));
    if (score == 0.0f) score = -0.0f;  // zeros of both signs: x - -0 is +0
    each_tile(slice, a, [&](float4 const(&x)[slice_vectors], std::int32_t from) {
      std::uint32_t below = 0;
#pragma unroll
      for (int q = slice_vectors - 1; q >= 0; --q) {
        below = __funnelshift_l(__float_as_uint(x[q].w - score), below, 1);
        below = __funnelshift_l(__float_as_uint(x[q].z - score), below, 1);
        below = __funnelshift_l(__float_as_uint(x[q].y - score), below, 1);
        below = __funnelshift_l(__float_as_uint(x[q].x - score), below, 1);
      }
      hold(x, ~below & ((1u << (4 * slice_vectors)) - 1), from);
    });
  }

  /// Holds every key above the gate and counts those that equal it.
  __device__ __noinline__ void stream_above(row_slice const& slice, float4 (&a)[slice_vectors],
                                            std::uint32_t gate) noexcept {
    std::uint32_t equal = 0;
    each_tile(slice, a, [&](float4 const(&x)[slice_vectors], std::int32_t from) {
      std::uint32_t above = 0;
#pragma unroll
      for (int q = 0; q < slice_vectors; ++q) {
        float const score[4] = {x[q].x, x[q].y, x[q].z, x[q].w};
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          std::uint32_t const key = radix_bits(to_ordered(score[e]));
          above |= key > gate ? 1u << (4 * q + e) : 0;
          equal += key == gate ? 1 : 0;
        }
      }
      hold(x, above, from);
    });
    if (gate == max_dropped) equal = 0;  // what lies beyond the slice too looks like -inf
    equal = __reduce_add_sync(all_lanes, equal);
    if (lane() == 0 && equal > 0) atomicAdd(&m_.equal, equal);
  }

  /// use(vectors of this thread, its first one's place in the slice), tile by tile, the next one on
  /// its way; `a` is the first.
  template <class Use>
  __device__ static void each_tile(row_slice const& slice, float4 (&a)[slice_vectors],
                                   Use&& use) noexcept {
    constexpr int tile = slice_vectors * Threads;
    float4 b[slice_vectors];
#pragma unroll 1
    for (std::int32_t v = slice.begin(); v < slice.end(); v += 2 * tile) {
      std::int32_t const own = v + thread();
      bool const two = v + tile < slice.end();
      if (two) slice.load(b, own + tile, Threads);
      use(a, 4 * (own - slice.begin()));
      if (two) {
        if (v + 2 * tile < slice.end()) slice.load(a, own + 2 * tile, Threads);
        use(b, 4 * (own + tile - slice.begin()));
      }
    }
  }

  /// Those of a thread's keys that `passes` says; more than there is room for are only counted.
  __device__ void hold(float4 const (&x)[slice_vectors], std::uint32_t passes,
                       std::int32_t from) noexcept {
    if (!__any_sync(all_lanes, passes != 0)) return;
    unsigned const lower = (1u << lane()) - 1;
    auto const own = static_cast<std::uint32_t>(__popc(passes));
    std::uint32_t before = 0;
    std::uint32_t all = 0;
#pragma unroll
    for (int bit = 0; bit < 5; ++bit) {
      unsigned const has = __ballot_sync(all_lanes, (own >> bit & 1) != 0);
      before += __popc(has & lower) << bit;
      all += __popc(has) << bit;
    }
    std::uint32_t at = 0;
    if (lane() == 0) at = atomicAdd(&m_.held, all);
    at = __shfl_sync(all_lanes, at, 0) + before;
    if (at + own > capacity_) return;
#pragma unroll
    for (int q = 0; q < slice_vectors; ++q) {
      float const score[4] = {x[q].x, x[q].y, x[q].z, x[q].w};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        if ((passes >> (4 * q + e) & 1) != 0) {
          keys_[at] = __float_as_uint(score[e]);
          places_[at] = static_cast<std::uint32_t>(from + 4 * q * Threads + e);
          ++at;
        }
      }
    }
  }

  __device__ std::uint32_t finish(competing_run const& run, row_slice const& slice,
                                  std::uint32_t gate, bool strict, row_output& out) noexcept {
    __syncthreads();
    std::uint32_t held = m_.held;
    if (thread() == 0) {
      search_.keys = {held > capacity_ ? does_not_fit : held, m_.equal};
    }
    held = smaller(held, capacity_);
    // Scores become keys when they are counted first.
    auto const first = [&](auto&& use) {
      for (auto i = static_cast<std::uint32_t>(thread()); i < held; i += Threads) {
        std::uint32_t const key = radix_bits(to_ordered(__uint_as_float(keys_[i])));
        keys_[i] = key;
        use(key);
      }
    };
    auto const again = [&](auto&& use) {
      for (auto i = static_cast<std::uint32_t>(thread()); i < held; i += Threads) use(keys_[i]);
    };
    std::uint32_t const low = strict && gate != ~0u ? gate + 1 : gate;
    auto wanted = static_cast<std::uint32_t>(run.keep);
    narrowed limit{};
    std::uint32_t edge = 0;  // keys above it are kept
    std::uint32_t kept = wanted;
    if (narrowing_.narrow(low, larger(low, m_.gate.high), wanted, first, again)) {
      limit = narrowing_.settle(wanted, again);
      edge = cut(limit, held);
    } else {
      if (!strict || wanted == ~0u) return failed;
      // All that is held is kept; what is missing equals the gate, or is -inf.
      std::uint32_t const equal = narrowing_.equal_to_gate();
      if (gate == max_dropped) {
        kept -= wanted;
        wanted = 0;
      } else if (equal < wanted || run.keep > static_cast<std::int64_t>(capacity_)) {
        return failed;
      }
      limit = narrowing_.keep_held(gate, wanted);
      held = take_equal(slice, gate, allowed(limit), held);
    }
    put(run, slice, limit, edge, held, out);
    return kept;
  }

  /// How many of this block's keys that equal the threshold are kept.
  [[nodiscard]] __device__ static std::uint32_t allowed(narrowed const& limit) noexcept {
    return limit.ties > limit.before ? smaller(limit.ties - limit.before, limit.own) : 0;
  }

  /// The key above which this block's are kept, once those that equal the threshold and are not
  /// kept have been taken out.
  [[nodiscard]] __device__ std::uint32_t cut(narrowed const& limit, std::uint32_t held) noexcept {
    std::uint32_t const allow = allowed(limit);
    if (allow == 0) return limit.key;
    if (allow < limit.own) {
      each_held(held, [&](std::uint32_t i) {
        if (keys_[i] == limit.key) bits_.set(places_[i]);
      });
      bits_.count();
      each_held(held, [&](std::uint32_t i) {
        if (keys_[i] == limit.key && bits_.rank(places_[i]) >= allow) keys_[i] = 0;
      });
      __syncthreads();
      bits_.clear();
      __syncthreads();
    }
    return limit.key - 1;
  }

  /// Also holds the first `wanted` keys of the slice that equal the gate; how many are held then.
  [[nodiscard]] __device__ __noinline__ std::uint32_t take_equal(row_slice const& slice,
                                                                 std::uint32_t gate,
                                                                 std::uint32_t wanted,
                                                                 std::uint32_t held) noexcept {
    std::uint32_t taken = 0;
#pragma unroll 1
    for (std::int32_t v = slice.begin(); v < slice.end() && taken < wanted; v += Threads) {
      std::int32_t const own = v + thread();
      float4 x[1] = {};
      bool const there = own < slice.end();
      if (there) x[0] = slice.at(own);
      float const score[4] = {x[0].x, x[0].y, x[0].z, x[0].w};
      std::uint32_t same = 0;
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        same |= there && radix_bits(to_ordered(score[e])) == gate ? 1u << e : 0;
      }
      auto const count = static_cast<std::uint32_t>(__popc(same));
      std::uint32_t const sum = inclusive_warp_sum(count);
      if (lane() == 31) m_.of_warp[thread() / 32] = sum;
      __syncthreads();
      std::uint32_t const of_warp = lane() < warps ? m_.of_warp[lane() % warps] : 0;
      std::uint32_t rank =
          taken + sum - count + __reduce_add_sync(all_lanes, lane() < thread() / 32 ? of_warp : 0);
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        if ((same >> e & 1) != 0) {
          if (rank < wanted) {
            keys_[held + rank] = gate;
            places_[held + rank] = static_cast<std::uint32_t>(4 * (own - slice.begin()) + e);
          }
          ++rank;
        }
      }
      taken += __reduce_add_sync(all_lanes, of_warp);
      __syncthreads();
    }
    return held + wanted;
  }

  template <class Use>
  __device__ static void each_held(std::uint32_t held, Use&& use) noexcept {
    for (auto i = static_cast<std::uint32_t>(thread()); i < held; i += Threads) use(i);
  }

  /// Writes the keys above `edge`, ascending.
  __device__ void put(competing_run const& run, row_slice const& slice, narrowed const& limit,
                      std::uint32_t edge, std::uint32_t held, row_output& out) noexcept {
    each_held(held, [&](std::uint32_t i) {
      if (keys_[i] > edge) bits_.set(places_[i]);
    });
    bits_.count();
    std::uint32_t const before =
        static_cast<std::uint32_t>(run.in_front) + limit.above + smaller(limit.before, limit.ties);
    std::int32_t const first = run.first + slice.first();
    each_held(held, [&](std::uint32_t i) {
      std::uint32_t const key = keys_[i];
      if (key > edge) {
        std::uint32_t const place = places_[i];
        std::int32_t const local = first + static_cast<std::int32_t>(place);
        out.put(before + bits_.rank(place), local, key);
        out.note(local, key);
      }
    });
  }

  stream_memory& m_;
  narrow_memory& search_;
  std::uint32_t* const keys_;    ///< of what is held; scores until they are counted
  std::uint32_t* const places_;  ///< in the slice
  position_bits<Threads> bits_;
  std::int64_t const max_slice_;
  std::uint32_t const capacity_;
  cluster const blocks_;
  key_narrowing<Threads> narrowing_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
