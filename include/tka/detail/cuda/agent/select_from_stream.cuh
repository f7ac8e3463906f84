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
  std::uint32_t edge;   ///< the gate
  bool strict;          ///< only larger keys pass
  std::uint32_t of_warp[32];
};

/// A key that passed, and its place in the slice. In radix order from the first count on, before it
/// as a score.
struct held_key {
  std::uint32_t key;
  std::uint32_t place;
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
  __device__ select_from_stream(stream_memory& m, char* memory, int list_keys) noexcept
      : m_(m),
        list_(reinterpret_cast<held_key*>(memory)),
        bits_(memory + round_up(8 * std::int64_t{list_keys}, 16)),
        capacity_(static_cast<std::uint32_t>(list_keys)) {}

  static constexpr std::uint32_t failed = ~0u;

  /// First: holds what may be kept of this block's slice of `run`, at most `max_slice` long; false
  /// where it can't, the same in all blocks. All threads of the cluster.
  [[nodiscard]] __device__ __forceinline__ bool stream(competing_run const& run,
                                                       float const* scores, std::int32_t max_slice,
                                                       cluster const& blocks,
                                                       narrow_memory& search) noexcept {
    row_slice const slice{scores + run.first, run.keys, blocks};
    if (slice.max_keys() > max_slice) return false;
    gate_rule const rule = gate_rule::of(run.keys, run.keep, std::int64_t{capacity_} * blocks.size,
                                         slice.row_end() - slice.row_begin());
    // Without a gate all keys are held.
    if (!rule.exists() && slice.max_keys() > static_cast<std::int64_t>(capacity_)) return false;
    prepare(rule, slice, search);
    std::uint32_t const gate = rule.exists() ? larger(m_.gate.gate, max_dropped) : max_dropped;
    // Too many keys equal the gate: those are only counted, by `finish`.
    bool const strict = gate == max_dropped || m_.gate.far == m_.gate.gate;
    if (thread() == 0) {
      m_.edge = gate;
      m_.strict = strict;
    }
    if (!strict) stream_from(slice, gate);
    __syncthreads();
    return true;
  }

  /// Then: writes the kept keys; how many they are, or `failed`: nothing is written then, the same
  /// in all blocks.
  __device__ std::uint32_t finish(narrow_memory& search, cluster const& blocks, int candidates,
                                  row_state& state) noexcept {
    competing_run const& run = state.run;
    key_narrowing<Threads> narrowing{search, blocks, candidates};
    row_slice const slice{state.from + run.first, run.keys, blocks};
    bits_.set_slice(slice.max_keys());
    std::uint32_t const gate = m_.edge;
    bool const strict = m_.strict;
    if (strict) {
      stream_above(slice, list_, capacity_, m_, gate);
      __syncthreads();
    }
    std::uint32_t held = m_.held;
    if (thread() == 0) {
      search.keys = {held > capacity_ ? does_not_fit : held, m_.equal};
    }
    held = smaller(held, capacity_);
    auto const first = [&](auto&& use) {
      each_held(held, [&](held_key& own) {
        own.key = radix_bits(to_ordered(__uint_as_float(own.key)));
        use(own.key);
      });
    };
    auto const again = [&](auto&& use) { each_held(held, [&](held_key& own) { use(own.key); }); };
    std::uint32_t const low = strict && gate != ~0u ? gate + 1 : gate;
    auto wanted = static_cast<std::uint32_t>(run.keep);
    narrowed limit{};
    std::uint32_t edge = 0;  // keys above it are kept
    std::uint32_t kept = wanted;
    if (narrowing.narrow(low, larger(low, m_.gate.high), wanted, first, again)) {
      limit = narrowing.settle(wanted, again);
      edge = cut(limit, held);
    } else {
      if (!strict || wanted == ~0u) return failed;
      // All that is held is kept; what is missing equals the gate, or is -inf.
      if (gate == max_dropped) {
        kept -= wanted;
        wanted = 0;
      } else if (narrowing.equal_to_gate() < wanted || kept > capacity_) {
        return failed;
      }
      limit = narrowing.keep_held(gate, wanted);
      std::uint32_t const allow = allowed(limit);
      take_equal(slice, list_, m_.of_warp, gate, allow, held);
      held += allow;
    }
    put(slice.first(), limit, edge, held, state);
    return kept;
  }

 private:
  static constexpr int warps = Threads / 32;
  static constexpr int tile = slice_vectors * Threads;
  static constexpr unsigned all_lanes = 0xffffffffu;
  static constexpr unsigned all_keys = (1u << (4 * slice_vectors)) - 1;

  [[nodiscard]] __device__ static int thread() noexcept { return static_cast<int>(threadIdx.x); }
  [[nodiscard]] __device__ static int lane() noexcept { return thread() % 32; }

  __device__ void prepare(gate_rule const& rule, row_slice const& slice,
                          narrow_memory& search) noexcept {
    bits_.set_slice(slice.max_keys());
    if (thread() == 0) {
      m_.gate.gate = ~0u;
      m_.gate.far = ~0u;
      m_.gate.high = 0;
      m_.held = 0;
      m_.equal = 0;
    }
    // Its own barrier comes before anything is added to the gate.
    if (thread() < gate_groups && rule.exists()) find_gate(rule, slice, m_.gate);
    key_narrowing<Threads>::clear(search);
    bits_.clear();
    __syncthreads();
  }

  /// Holds every key that is not below the gate. A difference has a sign also where it is rounded.
  __device__ __forceinline__ void stream_from(row_slice const& slice, std::uint32_t gate) noexcept {
    float score = from_ordered(static_cast<ordered_key>(gate ^ 0x80000000u));
    if (score == 0.0f) score = -0.0f;  // zeros of both signs: x - -0 is +0
    if (thread() < 32) {
      slice.each_edge([&](float x, std::int32_t place, bool there) {
        if (there && !(x - score < 0.0f)) hold_one(x, place);
      });
    }
    std::int32_t const begin = slice.whole_begin();
    std::int32_t const end = slice.whole_end();
    auto const filter = [&](float4 const(&x)[slice_vectors], std::int32_t v) {
      std::uint32_t below = 0;
#pragma unroll
      for (int q = slice_vectors - 1; q >= 0; --q) {
        below = __funnelshift_l(__float_as_uint(x[q].w - score), below, 1);
        below = __funnelshift_l(__float_as_uint(x[q].z - score), below, 1);
        below = __funnelshift_l(__float_as_uint(x[q].y - score), below, 1);
        below = __funnelshift_l(__float_as_uint(x[q].x - score), below, 1);
      }
      std::uint32_t passes = ~below & all_keys;
      if (v + tile > end) passes &= within(end - v - thread());
      hold(list_, capacity_, m_.held, x, passes, 4 * (v - slice.begin() + thread()));
    };
#pragma unroll 1
    for (std::int32_t v = begin; v < end; v += tile) {
      // While it waits other warps' reads are on their way: a second tile finds no registers.
      float4 x[slice_vectors];
      slice.load<Threads>(x, v);
      filter(x, v);
    }
  }

  /// The bits of a thread's keys of which `vectors` are left from its first one on.
  [[nodiscard]] __device__ static std::uint32_t within(std::int32_t vectors) noexcept {
    std::uint32_t keys = 0;
#pragma unroll
    for (int q = 0; q < slice_vectors; ++q) {
      if (q * Threads < vectors) keys |= 15u << (4 * q);
    }
    return keys;
  }

  /// Holds every key above the gate and counts those that equal it.
  __device__ TKA_OUT_OF_LINE static void stream_above(row_slice slice, held_key* list,
                                                      std::uint32_t capacity, stream_memory& m,
                                                      std::uint32_t gate) noexcept {
    std::uint32_t equal = 0;
    if (thread() < 32) {
      slice.each_edge([&](float x, std::int32_t place, bool there) {
        std::uint32_t const key = radix_bits(to_ordered(x));
        if (there && key > gate) hold_one(list, capacity, m.held, x, place);
        equal += there && key == gate ? 1 : 0;
      });
    }
    std::int32_t const end = slice.whole_end();
#pragma unroll 1
    for (std::int32_t v = slice.whole_begin(); v < end; v += tile) {
      float4 x[slice_vectors];
      slice.load<Threads>(x, v);
      std::uint32_t above = 0;
      std::uint32_t same = 0;
#pragma unroll
      for (int q = 0; q < slice_vectors; ++q) {
        float const score[4] = {x[q].x, x[q].y, x[q].z, x[q].w};
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          std::uint32_t const key = radix_bits(to_ordered(score[e]));
          if (key > gate) above |= 1u << (4 * q + e);
          if (key == gate) same |= 1u << (4 * q + e);
        }
      }
      std::uint32_t const there = v + tile > end ? within(end - v - thread()) : all_keys;
      equal += __popc(same & there);
      hold(list, capacity, m.held, x, above & there, 4 * (v - slice.begin() + thread()));
    }
    equal = __reduce_add_sync(all_lanes, equal);
    // Of -inf none is kept.
    if (lane() == 0 && equal > 0 && gate != max_dropped) atomicAdd(&m.equal, equal);
  }

  __device__ static void hold_one(held_key* list, std::uint32_t capacity, std::uint32_t& held,
                                  float score, std::int32_t place) noexcept {
    std::uint32_t const at = atomicAdd(&held, 1u);
    if (at < capacity) list[at] = {__float_as_uint(score), static_cast<std::uint32_t>(place)};
  }
  __device__ void hold_one(float score, std::int32_t place) noexcept {
    hold_one(list_, capacity_, m_.held, score, place);
  }
  /// Those of a thread's keys that `passes` says; more than there is room for are only counted.
  __device__ __forceinline__ static void hold(held_key* list, std::uint32_t capacity,
                                              std::uint32_t& held, float4 const (&x)[slice_vectors],
                                              std::uint32_t passes, std::int32_t place) noexcept {
    if (!__any_sync(all_lanes, passes != 0)) return;
    auto const own = static_cast<std::uint32_t>(__popc(passes));
    std::uint32_t const sum = inclusive_warp_sum(own);
    std::uint32_t at = 0;
    if (lane() == 31) at = atomicAdd(&held, sum);
    at = __shfl_sync(all_lanes, at, 31) + sum - own;
    if (at + own > capacity) return;
#pragma unroll
    for (int q = 0; q < slice_vectors; ++q) {
      float const score[4] = {x[q].x, x[q].y, x[q].z, x[q].w};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        if ((passes >> (4 * q + e) & 1) != 0) {
          *reinterpret_cast<uint2*>(list + at) = uint2{
              __float_as_uint(score[e]), static_cast<std::uint32_t>(place + 4 * q * Threads + e)};
          ++at;
        }
      }
    }
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
      each_held(held, [&](held_key& own) {
        if (own.key == limit.key) bits_.set(own.place);
      });
      bits_.count();
      each_held(held, [&](held_key& own) {
        if (own.key == limit.key && bits_.rank(own.place) >= allow) own.key = 0;
      });
      __syncthreads();
      bits_.clear();
      __syncthreads();
    }
    return limit.key - 1;
  }

  /// Also holds the first `wanted` keys of the slice that equal the gate, after `held` others.
  __device__ TKA_OUT_OF_LINE static void take_equal(row_slice slice, held_key* list,
                                                    std::uint32_t* of_warps, std::uint32_t gate,
                                                    std::uint32_t wanted,
                                                    std::uint32_t held) noexcept {
    std::int32_t const end = 4 * (slice.end() - slice.begin());
    std::uint32_t taken = 0;
#pragma unroll 1
    for (std::int32_t first = 0; first < end && taken < wanted; first += 4 * Threads) {
      std::int32_t const place = first + 4 * thread();
      std::uint32_t same = 0;
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        bool there = false;
        float const score = slice.at(place + e, there);
        if (there && radix_bits(to_ordered(score)) == gate) same |= 1u << e;
      }
      auto const count = static_cast<std::uint32_t>(__popc(same));
      std::uint32_t const sum = inclusive_warp_sum(count);
      if (lane() == 31) of_warps[thread() / 32] = sum;
      __syncthreads();
      std::uint32_t const of_warp = lane() < warps ? of_warps[lane() % warps] : 0;
      std::uint32_t rank =
          taken + sum - count + __reduce_add_sync(all_lanes, lane() < thread() / 32 ? of_warp : 0);
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        if ((same >> e & 1) != 0) {
          if (rank < wanted) {
            list[held + rank] = {gate, static_cast<std::uint32_t>(place + e)};
          }
          ++rank;
        }
      }
      taken += __reduce_add_sync(all_lanes, of_warp);
      __syncthreads();
    }
    __syncthreads();
  }

  /// use(key) for those that this thread has of what is held.
  template <class Use>
  __device__ void each_held(std::uint32_t held, Use&& use) noexcept {
#pragma unroll 1
    for (auto i = static_cast<std::uint32_t>(thread()); i < held; i += Threads) use(list_[i]);
  }

  /// Writes the keys above `edge`, ascending; the slice begins at index `first` of the row.
  __device__ void put(std::int32_t first, narrowed const& limit, std::uint32_t edge,
                      std::uint32_t held, row_state& state) noexcept {
    each_held(held, [&](held_key& own) {
      if (own.key > edge) bits_.set(own.place);
    });
    bits_.count();
    std::uint32_t const before = static_cast<std::uint32_t>(state.run.in_front) + limit.above +
                                 smaller(limit.before, limit.ties);
    first += state.run.first;
    if (state.only_positions) {
      std::int32_t* const out = state.positions + before;
      each_held(held, [&](held_key& own) {
        if (own.key > edge) {
          out[bits_.rank(own.place)] = first + static_cast<std::int32_t>(own.place);
        }
      });
      return;
    }
    std::uint64_t last = ~std::uint64_t{0};
#pragma unroll 1
    for (auto i = static_cast<std::uint32_t>(thread()); i < held; i += Threads) {
      held_key const own = list_[i];
      if (own.key <= edge) continue;
      std::int32_t const local = first + static_cast<std::int32_t>(own.place);
      state.put(before + bits_.rank(own.place), local, own.key);
      last = smaller(last, row_state::place_in_order(local, own.key));
    }
    if (state.wants_last) state.note_last(last);
  }

  stream_memory& m_;
  held_key* const list_;
  position_bits<Threads> bits_;
  std::uint32_t const capacity_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
