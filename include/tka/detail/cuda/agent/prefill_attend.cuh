// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Attention of the rows of a warpgroup over all keys up to their ends, of which those after each
/// row's threshold count nothing: scores are made again, to the bit.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/prefill_row.cuh>
#include <tka/detail/cuda/agent/prefill_scan.cuh>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/warp/block_barrier.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/cuda/warp/warpgroup.cuh>
#include <tka/detail/cuda/work/prefill.cuh>
#include <tka/detail/shared/lse_base.hpp>
#include <tka/detail/shared/ordered_key.hpp>

#include <cfloat>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

[[nodiscard]] __device__ inline float exp2_fast(float x) noexcept {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
template <class T>
[[nodiscard]] __device__ inline std::uint32_t pack_two(float low, float high) noexcept {
  std::uint32_t r;
  if constexpr (std::is_same_v<T, bfloat16_t>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  }
  return r;
}

/// What is seldom looked at of a row of a thread. It lies in local memory, as which of two rows it
/// is is found while running: registers are few. Not part of another object, which would lie there
/// too.
struct prefill_seldom {
  row_kind kind;
  std::int32_t keep;
  std::int32_t ties;              ///< of scores equal to the threshold, how many are kept
  std::int32_t equal = 0;         ///< of the row so far
  float weighted = 0.0f;          ///< only where all tiles are weighed key by key
  std::int32_t count = 0;         ///< the same
  ordered_key last = key_of_nan;  ///< of those kept the last in the order, and where it is
  std::int32_t last_at = -1;
};

template <class Problem, int Dim>
class prefill_attend {
  using memory = prefill_memory<Dim>;
  using value = typename Problem::precision::value_type;
  using probabilities = std::uint32_t[32];

 public:
  /// Reads what is known of the rows: before values overwrite it.
  __device__ prefill_attend(prefill_work<Problem> const& w, char* shared, prefill_rows const& rows,
                            prefill_control& control, prefill_seldom* seldom) noexcept
      : w_(w),
        control_(control),
        seldom_(seldom),
        group_(static_cast<int>(threadIdx.x / warpgroup_threads)),
        lane_(static_cast<int>(threadIdx.x % 32)),
        query_(shared_address(shared) + static_cast<std::uint32_t>(group_ * memory::query_bytes)),
        keys_(shared_address(shared) + memory::ring),
        values_(shared_address(shared) + memory::values),
        factor_(w.p.options.scale * log2_e) {
    bool whole = false;
    bool cut = false;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      int const r = static_cast<int>(threadIdx.x / 32) * 16 + lane_ / 4 + 8 * i;
      side& s = sides_[i];
      prefill_seldom& z = seldom_[i];
      s.end = rows.end[r];
      z.keep = rows.keep[r];
      z.kind = rows.kind[r];
      s.threshold = rows.threshold[r];
      z.ties = z.kind == row_kind::cut ? rows.ties[r] : 0x7fffffff;
      bool const some = z.kind == row_kind::plain || z.kind == row_kind::cut;
      if (some) z.last = to_ordered(s.threshold);
      float const largest = rows.largest[r];
      s.reference = largest > minus_infinity ? largest * factor_ : 0.0f;
      whole |= z.kind == row_kind::all;
      cut |= z.kind == row_kind::cut;
    }
    arguments<Problem> const& a = w.a;
    bool const lists = a.count || a.threshold_score || a.threshold_position;
    always_ = __any_sync(all_lanes, a.entropy || (lists && whole));
    slowly_ = always_ || __any_sync(all_lanes, cut);
    watches_ = slowly_ || lists;
    first_end_ = __reduce_min_sync(all_lanes, smaller(sides_[0].end, sides_[1].end));
  }

  /// An odd number of tiles of keys and values.
  __device__ void run(int tiles) noexcept {
    float scores[64];
    probabilities even;
    probabilities odd;
#pragma unroll
    for (int i = 0; i < Dim / 2; ++i) sums_[i] = 0.0f;
    // Warpgroups take turns: while one multiplies the other one makes probabilities.
    if (group_ == 1) pass(turn_of(0), multiplying_threads);
    control_.full[0].wait(0);
    meet(turn_of(group_), multiplying_threads);
    begin_products();
    multiply_tile<value, Dim>(scores, query_, keys_);
    commit_products();
    pass(turn_of(1 - group_), multiplying_threads);
    wait_for_products<0>();
    pin(scores);
    hide(scores, 0);
    if (lane_ == 0) control_.empty[0].arrive();
    weigh(scores, 0, even);
#pragma unroll 1
    for (int tile = 1; tile < tiles; tile += 2) {
      step(scores, tile, even, odd);
      step(scores, tile + 1, odd, even);
    }
    finish(even, tiles);
  }

  /// Where no row sees a key.
  __device__ void empty() noexcept {
#pragma unroll
    for (int i = 0; i < Dim / 2; ++i) sums_[i] = 0.0f;
  }

  /// Outputs of the rows of tile `tile` of rows.
  __device__ void write(std::int32_t b, std::int32_t kv_head, sequence const& s,
                        std::int64_t row_tile) noexcept {
    std::int32_t const group = w_.p.shape.group();
    auto const head = static_cast<std::int32_t>(kv_head * group + row_tile % group);
    auto const first = static_cast<std::int32_t>(row_tile / group * group_rows);
    int const own = static_cast<int>(threadIdx.x % warpgroup_threads / 32) * 16;
    unsigned again = 0;  // rows that are done again, of the warp's 16
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      std::int32_t const token = first + own + lane_ / 4 + 8 * i;
      bool const exists = token < s.queries;
      bool const odd = write_side(i, b, head, exists ? token : first, exists);
      unsigned const votes = __ballot_sync(all_lanes, odd && lane_ % 4 == 0);
#pragma unroll
      for (int r = 0; r < 8; ++r) again |= (votes >> (4 * r) & 1u) << (r + 8 * i);
    }
#pragma unroll 1
    for (int r = 0; r < 16; ++r) {
      if ((again >> r & 1u) == 0) continue;
      int const from = r % 8 * 4;
      bool const upper = r < 8;
      auto const of_row = [&](auto x, auto y) {
        return __shfl_sync(all_lanes, upper ? x : y, from);
      };
      auto const number = [](row_kind kind) { return static_cast<std::int32_t>(kind); };
      auto const ties = [](prefill_seldom const& z) {
        return z.kind == row_kind::some_nans ? z.keep : z.ties;
      };
      side const& x = sides_[0];
      side const& y = sides_[1];
      prefill_row<Problem>{
          w_,
          {.b = b,
           .head = head,
           .kv_head = kv_head,
           .token = first + own + r,
           .end = of_row(x.end, y.end),
           .kind = static_cast<row_kind>(of_row(number(seldom_[0].kind), number(seldom_[1].kind))),
           .threshold = of_row(x.threshold, y.threshold),
           .ties = of_row(ties(seldom_[0]), ties(seldom_[1]))}}
          .run();
    }
  }

 private:
  static constexpr unsigned all_lanes = 0xffffffffu;
  static constexpr float log2_e = 1.4426950408889634f;
  static constexpr float ln_2 = 0.6931471805599453f;

  /// One of the two rows of a thread.
  struct side {
    std::int32_t end;
    float threshold;
    float reference;   ///< logits are taken against it, in units of log 2
    float sum = 0.0f;  ///< of this thread's columns
  };
  [[nodiscard]] __device__ static int turn_of(int group) noexcept { return 1 + group; }
  [[nodiscard]] __device__ static std::uint32_t slot(std::uint32_t ring, int tile) noexcept {
    return ring + static_cast<std::uint32_t>(tile % attend_slots * memory::tile_bytes);
  }
  [[nodiscard]] __device__ static int parity(int tile) noexcept { return tile / attend_slots % 2; }

  __device__ void hide(float (&scores)[64], int slot) const noexcept {
    if constexpr (Problem::kv_source::has_pages) {
      hide_missing(scores, control_, slot);
      __syncwarp();
    }
  }

  /// Values of a tile, weighed.
  __device__ void add_values(probabilities const& p, int tile) noexcept {
    std::uint64_t const v = matrix_descriptor(slot(values_, tile), memory::half_bytes);
#pragma unroll
    for (int i = 0; i < tile_keys / 16; ++i) {
      multiply_lines<value>(sums_, &p[4 * i], v + i * (16 * 128 / 16));
    }
  }

  /// Scores of tile `tile`, while values of the tile before are added.
  __device__ void step(float (&scores)[64], int tile, probabilities const& before_,
                       probabilities& now) noexcept {
    arrival_barrier* const full = control_.full;
    arrival_barrier* const empty = control_.empty;
    full[tile % attend_slots].wait(parity(tile));
    meet(turn_of(group_), multiplying_threads);
    begin_products();
    multiply_tile<value, Dim>(scores, query_, slot(keys_, tile));
    commit_products();
    full[attend_slots + (tile - 1) % attend_slots].wait(parity(tile - 1));
    begin_products();
    add_values(before_, tile - 1);
    commit_products();
    pass(turn_of(1 - group_), multiplying_threads);
    wait_for_products<1>();
    pin(scores);
    hide(scores, tile % attend_slots);
    if (lane_ == 0) {
      empty[tile % attend_slots].arrive();
      if (tile >= 2) empty[attend_slots + (tile - 2) % attend_slots].arrive();
    }
    weigh(scores, tile, now);
  }
  __device__ void finish(probabilities const& p, int tiles) noexcept {
    control_.full[attend_slots + (tiles - 1) % attend_slots].wait(parity(tiles - 1));
    begin_products();
    add_values(p, tiles - 1);
    commit_products();
    wait_for_products<0>();
    pin(sums_);
    // The other one's last turn.
    if (group_ == 0) meet(turn_of(0), multiplying_threads);
  }

  /// Probabilities of a tile.
  __device__ void weigh(float (&scores)[64], int tile, probabilities& p) noexcept {
    int const column = tile * tile_keys + lane_ % 4 * 2;
    if ((tile + 1) * tile_keys > first_end_) {
#pragma unroll
      for (int i = 0; i < 64; ++i) {
        if (column + i / 4 * 8 + i % 2 >= sides_[i / 2 % 2].end) scores[i] = minus_infinity;
      }
    }
    if (watches_) {
      bool found = always_;
#pragma unroll
      for (int i = 0; i < 64; ++i) found |= scores[i] == sides_[i / 2 % 2].threshold;
      if (__any_sync(all_lanes, found)) {
        if (slowly_) {
          weigh_by_key(scores, column, p);
          return;
        }
#pragma unroll
        for (int i = 0; i < 64; ++i) {
          if (scores[i] == sides_[i / 2 % 2].threshold) {
            seldom_[i / 2 % 2].last_at = column + i / 4 * 8 + i % 2;
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      side& s = sides_[i % 2];
      float x[2];
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        float const score = scores[2 * i + c];
        float const e = exp2_fast(__fmaf_rn(score, factor_, -s.reference));
        x[c] = score < s.threshold ? 0.0f : e;  // NaN is kept
        s.sum += x[c];
      }
      p[i] = pack_two<value>(x[0], x[1]);
    }
  }

  /// The same where a score may equal a threshold, or more is asked for than sums. Rarely: by a
  /// loop over a copy, as its code would else stand here many times.
  __device__ void weigh_by_key(float const (&scores)[64], int column, probabilities& p) noexcept {
    float x[64];
#pragma unroll
    for (int i = 0; i < 64; ++i) x[i] = scores[i];
#pragma unroll 1
    for (int i = 0; i < 64; i += 2) {
      bool const upper = i / 2 % 2 == 0;
      side s{};
      s.threshold = pick(upper, sides_[0].threshold, sides_[1].threshold);
      s.reference = pick(upper, sides_[0].reference, sides_[1].reference);
      s.sum = pick(upper, sides_[0].sum, sides_[1].sum);
      weigh_pair(s, seldom_[i / 2 % 2], x[i], x[i + 1], column + i / 4 * 8);
      sides_[0].sum = pick(upper, s.sum, sides_[0].sum);
      sides_[1].sum = pick(upper, sides_[1].sum, s.sum);
    }
#pragma unroll
    for (int i = 0; i < 32; ++i) p[i] = pack_two<value>(x[2 * i], x[2 * i + 1]);
  }
  /// By value: an address of one of two would keep both in memory.
  [[nodiscard]] __device__ static float pick(bool first, float a, float b) noexcept {
    return first ? a : b;
  }
  /// Two keys of a row, from key `column` on; the row's other lanes have the next six.
  __device__ void weigh_pair(side& s, prefill_seldom& z, float& first, float& second,
                             int column) noexcept {
    int const own = lane_ % 4 * 2;
    bool const may_tie = z.kind != row_kind::all;
    unsigned equal = may_tie && first == s.threshold ? 1u << own : 0u;
    equal |= may_tie && second == s.threshold ? 2u << own : 0u;
    equal |= __shfl_xor_sync(all_lanes, equal, 1);
    equal |= __shfl_xor_sync(all_lanes, equal, 2);
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      float& x = c == 0 ? first : second;
      float const score = x;
      int const bit = own + c;
      bool kept = !(score < s.threshold);
      if ((equal >> bit & 1u) != 0) kept = z.equal + __popc(equal & ((1u << bit) - 1)) < z.ties;
      float const power = __fmaf_rn(score, factor_, -s.reference);
      x = kept ? exp2_fast(power) : 0.0f;
      s.sum += x;
      if (!kept) continue;
      ++z.count;
      z.weighted += x == 0.0f ? 0.0f : x * power;
      ordered_key const key = to_ordered(score);
      if (key <= z.last) {
        z.last = key;
        z.last_at = column + c;
      }
    }
    z.equal += __popc(equal);
  }

  /// True where the row must be done by `prefill_row`. All lanes.
  [[nodiscard]] __device__ bool write_side(int i, std::int32_t b, std::int32_t head,
                                           std::int32_t token, bool exists) noexcept {
    using output = typename Problem::precision::output_type;
    side const& s = sides_[i];
    prefill_seldom z = seldom_[i];
    arguments<Problem> const& a = w_.a;
    float const sum = sum_of_row(s.sum);
    float const weighted = sum_of_row(z.weighted);
    std::int32_t const count = sum_of_row(z.count);
#pragma unroll
    for (int step = 1; step <= 2; ++step) {
      ordered_key const key = __shfl_xor_sync(all_lanes, z.last, step);
      std::int32_t const place = __shfl_xor_sync(all_lanes, z.last_at, step);
      if (key < z.last || (key == z.last && place > z.last_at)) {
        z.last = key;
        z.last_at = place;
      }
    }
    bool finite = true;
#pragma unroll
    for (int n = 0; n < Dim / 4; ++n) {
      finite &= fabsf(sums_[n / 2 * 4 + 2 * i + n % 2]) <= FLT_MAX;
    }
    finite = (__ballot_sync(all_lanes, finite) >> (lane_ / 4 * 4) & 0xfu) == 0xfu;
    bool const none = z.kind == row_kind::none || (z.kind == row_kind::all && sum == 0.0f);
    if (!exists) return false;
    if (z.kind == row_kind::some_nans || (!finite && z.kind != row_kind::none)) return true;
    location const at = Problem::query_source::locate(a.query, b, token);
    float scale = none ? 0.0f : 1.0f / sum;
    if (a.sink_logits != nullptr && !none) {
      // The sink joins the denominator, referred to the larger of both maxima.
      float const sink = a.sink_logits[head] * log2_e;
      float const most = sink > s.reference ? sink : s.reference;
      float const own = exp2f(s.reference - most);
      scale = own / (sum * own + exp2f(sink - most));
    }
    output* const out = a.o.at(at.outer, head, at.token) + lane_ % 4 * 2;
#pragma unroll
    for (int n = 0; n < Dim / 8; ++n) {
      if (n * 8 < w_.p.shape.v_dim) {
        float const x = none ? 0.0f : sums_[4 * n + 2 * i] * scale;
        float const y = none ? 0.0f : sums_[4 * n + 2 * i + 1] * scale;
        *reinterpret_cast<std::uint32_t*>(out + n * 8) = pack_two<output>(x, y);
      }
    }
    if (lane_ % 4 > 0) return false;
    auto const put = [&](auto const& view, auto x) {
      if (view) *view.at(at.outer, head, at.token) = x;
    };
    put(a.lse, in_base(w_.p.options, none ? minus_infinity : s.reference * ln_2 + logf(sum)));
    put(a.entropy, none ? 0.0f : logf(sum) - ln_2 * (weighted / sum));
    put(a.count, none ? 0 : z.kind == row_kind::all ? count : z.keep);
    put(a.threshold_score, none ? from_ordered(key_of_nan) : from_ordered(z.last));
    put(a.threshold_position, none ? -1 : z.last_at);
    return false;
  }

  prefill_work<Problem> const& w_;
  prefill_control& control_;
  prefill_seldom* const seldom_;  ///< [2]
  int const group_;
  int const lane_;
  std::uint32_t const query_;
  std::uint32_t const keys_;
  std::uint32_t const values_;
  float const factor_;
  side sides_[2];
  bool always_;   ///< every tile is weighed key by key
  bool slowly_;   ///< tiles with a score equal to the threshold are
  bool watches_;  ///< such tiles are looked for
  std::int32_t first_end_;
  float sums_[Dim / 2];
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
