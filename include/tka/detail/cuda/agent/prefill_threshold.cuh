// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// From what a pass counted and kept to the band of the next one, or to the threshold of a row: a
/// warp a row. Bands come from samples, so the threshold may lie outside; what is known of a row is
/// exact, and each pass narrows it.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/prefill.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cfloat>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Ordered keys have a place for -0, which no score has.
inline constexpr ordered_key key_of_minus_zero = -1;

/// No score lies between.
[[nodiscard]] __device__ inline bool adjacent(ordered_key low, ordered_key high) noexcept {
  return std::int64_t{high} - low <= 1 ||
         (low == key_of_minus_zero - 1 && high == key_of_minus_zero + 1);
}
/// The next smaller score.
[[nodiscard]] __device__ inline ordered_key before(ordered_key k) noexcept {
  return k - 1 == key_of_minus_zero ? k - 2 : k - 1;
}
/// Between two keys that are not adjacent.
[[nodiscard]] __device__ inline ordered_key middle(ordered_key low, ordered_key high) noexcept {
  auto const m = static_cast<ordered_key>(low + (std::int64_t{high} - low) / 2);
  if (m != key_of_minus_zero) return m;
  return low < m - 1 ? m - 1 : m + 1;
}

/// Finds thresholds among scores that a warp holds in registers; -inf where there is none.
template <int Count>
class score_set {
 public:
  struct bracket {
    float low, high;
    std::int32_t above_low, above_high;
  };

  /// Those of four lanes, `stored` each.
  __device__ score_set(float const* band, std::int32_t const (&stored)[lanes_of_row]) noexcept {
    constexpr int own = Count / lanes_of_row;
    auto const lane = static_cast<int>(threadIdx.x % 32);
    float most = minus_infinity;
    float least = -minus_infinity;
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      int const at = i % own * 32 + lane;
      bool const there = at < stored[i / own];
      score_[i] = there ? band[i / own * band_room + at] + 0.0f : minus_infinity;
      most = fmaxf(most, score_[i]);
      least = fminf(least, there ? score_[i] : least);
    }
    whole_.high = from_ordered(__reduce_max_sync(all_lanes, to_ordered(most)));
    whole_.low = from_ordered(before(__reduce_min_sync(all_lanes, to_ordered(least))));
    whole_.above_low = 0;
#pragma unroll
    for (int i = 0; i < lanes_of_row; ++i) whole_.above_low += stored[i];
    whole_.above_high = 0;
  }

  [[nodiscard]] __device__ std::int32_t size() const noexcept { return whole_.above_low; }

  /// above_low >= rank > above_high, few scores between; 1 <= rank <= size().
  [[nodiscard]] __device__ bracket around(std::int32_t rank, std::int32_t few) const noexcept {
    bracket b = whole_;
    constexpr int guesses = 10;
#pragma unroll 1
    for (int i = 0; b.above_low - b.above_high > few; ++i) {
      ordered_key const low = to_ordered(b.low);
      ordered_key const high = to_ordered(b.high);
      if (adjacent(low, high)) break;
      // Scores lie evenly between, more or less: aim a little beside, from both sides in turn.
      float const all = static_cast<float>(b.above_low - b.above_high);
      float const beside = i % 2 == 0 ? 0.3f * few : -0.3f * few;
      float const aim =
          fminf(fmaxf(static_cast<float>(rank) + beside, static_cast<float>(b.above_high) + 0.5f),
                static_cast<float>(b.above_low) - 0.5f);
      float x = b.low + (b.high - b.low) * ((static_cast<float>(b.above_low) - aim) / all) + 0.0f;
      if (i >= guesses || !(x > b.low && x < b.high)) x = from_ordered(middle(low, high));
      std::int32_t const above = count_above(x);
      if (above >= rank) {
        b.low = x;
        b.above_low = above;
      } else {
        b.high = x;
        b.above_high = above;
      }
    }
    return b;
  }

  struct place {
    float score;
    std::int32_t above, equal;
  };
  /// The score of rank `rank`, and how many are above and equal to it.
  [[nodiscard]] __device__ place at(std::int32_t rank) const noexcept {
    bracket const b = around(rank, 4);
    float bound = b.high;
    std::int32_t above = b.above_high;
#pragma unroll 1
    for (;;) {
      float most = minus_infinity;
#pragma unroll
      for (int i = 0; i < Count; ++i) most = fmaxf(most, score_[i] <= bound ? score_[i] : most);
      ordered_key const key = __reduce_max_sync(all_lanes, to_ordered(most));
      float const score = from_ordered(key);
      float const below = from_ordered(before(key));
      std::int32_t const upto = count_above(below);
      if (upto >= rank) return {score, above, upto - above};
      above = upto;
      bound = below;
    }
  }

 private:
  static constexpr unsigned all_lanes = 0xffffffffu;

  [[nodiscard]] __device__ std::int32_t count_above(float x) const noexcept {
    std::int32_t n = 0;
#pragma unroll
    for (int i = 0; i < Count; ++i) n += score_[i] > x ? 1 : 0;
    return __reduce_add_sync(all_lanes, n);
  }

  float score_[Count];
  bracket whole_;
};

class prefill_threshold {
 public:
  __device__ prefill_threshold(prefill_rows& rows, float const* bands) noexcept
      : rows_(rows), bands_(bands) {}

  /// After a pass over a sample of which a row saw `seen` keys: a band that holds the threshold but
  /// in few of a thousand rows. All lanes.
  __device__ void choose_band(int r, std::int32_t seen) noexcept {
    if (rows_.kind[r] != row_kind::open) return;
    with_scores(r, [&](auto const& scores, std::int32_t inside) {
      float const share = static_cast<float>(rows_.keep[r]) / static_cast<float>(rows_.end[r]);
      float const rank = share * static_cast<float>(seen);
      float const spread = sure * sqrtf(rank * (1.0f - share));
      auto const upper = static_cast<std::int32_t>(floorf(rank - spread));
      auto const lower = static_cast<std::int32_t>(ceilf(rank + spread)) + 1;
      std::int32_t const above = rows_.above[r];
      float low = rows_.low[r];
      float high = rows_.high[r];
      float const width = high - low;
      bool const finite = width <= FLT_MAX;
      bool const whole = inside == scores.size();
      std::int32_t const few = larger(1, static_cast<std::int32_t>(0.1f * spread));
      if (upper < 1) {
        high = -minus_infinity;
      } else if (upper <= above) {
        high = finite ? high + width : -minus_infinity;
      } else if (whole && upper - above <= inside) {
        high = scores.around(upper - above, few).high;
      }
      if (lower > seen) {
        low = minus_infinity;
      } else if (lower - above > inside) {
        low = finite ? low - width : minus_infinity;
      } else if (whole && lower - above >= 1) {
        low = scores.around(lower - above, few).low;
      }
      set_band(r, low, high);
    });
  }

  /// After a pass over all keys. True where the row needs another one. All lanes.
  [[nodiscard]] __device__ bool settle(int r) noexcept {
    if (rows_.kind[r] != row_kind::open) return false;
    bool open = true;
    with_scores(
        r, [&](auto const& scores, std::int32_t inside) { open = !settle(r, scores, inside); });
    __syncwarp();
    return open;
  }

 private:
  static constexpr float sure = 3.5f;  ///< standard deviations
  static constexpr int guesses = 4;    ///< passes after which brackets are only halved

  /// use(scores of row r's band that were kept, how many there are)
  template <class Use>
  __device__ void with_scores(int r, Use&& use) noexcept {
    __syncwarp();
    std::int32_t stored[lanes_of_row];
    std::int32_t inside = 0;
    std::int32_t most = 0;
#pragma unroll
    for (int i = 0; i < lanes_of_row; ++i) {
      std::int32_t const n = rows_.inside[r][i];
      inside += n;
      stored[i] = smaller(n, band_room);
      most = larger(most, stored[i]);
    }
    float const* const band = bands_ + std::int64_t{r} * lanes_of_row * band_room;
    if (most <= 128) {
      use(score_set<16>(band, stored), inside);
    } else {
      use(score_set<48>(band, stored), inside);
    }
  }

  [[nodiscard]] __device__ static bool first_lane() noexcept { return threadIdx.x % 32 == 0; }

  __device__ void set_band(int r, float low, float high) noexcept {
    if (!(low < high)) low = from_ordered(before(to_ordered(high)));
    __syncwarp();
    if (first_lane()) {
      rows_.low[r] = low;
      rows_.high[r] = high;
    }
  }
  __device__ void finish(int r, row_kind kind, float threshold, std::int32_t ties) noexcept {
    __syncwarp();
    if (!first_lane()) return;
    rows_.kind[r] = kind;
    rows_.threshold[r] = threshold;
    rows_.ties[r] = ties;
    // Nothing is in its band any more, nor above.
    rows_.low[r] = rows_.high[r] = -minus_infinity;
  }
  __device__ void finish_at(int r, float threshold, std::int32_t above,
                            std::int32_t equal) noexcept {
    std::int32_t const ties = rows_.keep[r] - above;
    finish(r, ties < equal ? row_kind::cut : row_kind::plain, threshold, ties);
  }

  template <class Scores>
  [[nodiscard]] __device__ bool settle(int r, Scores const& scores, std::int32_t inside) noexcept {
    std::int32_t const keep = rows_.keep[r];
    std::int32_t const above = rows_.above[r];
    float const low = rows_.low[r];
    float const high = rows_.high[r];
    bool const whole = inside == scores.size();
    if (above < keep && keep <= above + inside && whole) {
      auto const found = scores.at(keep - above);
      finish_at(r, found.score, above + found.above, found.equal);
      return true;
    }
    ordered_key floor = rows_.floor[r];
    ordered_key ceiling = rows_.ceiling[r];
    std::int32_t above_floor = rows_.above_floor[r];
    std::int32_t above_ceiling = rows_.above_ceiling[r];
    auto const learn = [&](float x, std::int32_t n) {
      ordered_key const key = to_ordered(x);
      if (n >= keep && key >= floor) {
        floor = key;
        above_floor = n;
      }
      if (n < keep && key <= ceiling) {
        ceiling = key;
        above_ceiling = n;
      }
    };
    learn(high, above);
    learn(low, above + inside);
    if (ceiling == key_of_minus_infinity) {
      finish(r, row_kind::all, -FLT_MAX, keep);
      return true;
    }
    if (floor == to_ordered(-minus_infinity)) {
      finish(r, row_kind::some_nans, 0.0f, keep);
      return true;
    }
    bool const known = above_floor >= 0 && above_ceiling >= 0;
    if (known && adjacent(floor, ceiling)) {
      finish_at(r, from_ordered(ceiling), above_ceiling, above_floor - above_ceiling);
      return true;
    }
    std::int32_t const tries = rows_.tries[r];
    __syncwarp();
    if (first_lane()) {
      rows_.floor[r] = floor;
      rows_.ceiling[r] = ceiling;
      rows_.above_floor[r] = above_floor;
      rows_.above_ceiling[r] = above_ceiling;
      rows_.tries[r] = tries + 1;
    }
    float next_low = from_ordered(floor);
    float next_high = from_ordered(ceiling);
    if (known && above_floor - above_ceiling <= band_room) {
      // All of them fit.
    } else if (tries >= guesses) {
      if (!adjacent(floor, ceiling)) {
        ordered_key const m = middle(floor, ceiling);
        next_high = from_ordered(m);
        next_low = from_ordered(larger(floor, before(m)));
      }
    } else if (above >= keep) {
      next_low = high;
      next_high = fminf(next_high, high + beyond(above - keep, low, high, inside));
    } else if (above + inside < keep) {
      next_high = low;
      next_low = fmaxf(next_low, low - beyond(keep - above - inside, low, high, inside));
    } else {
      // Too many: those that were kept are a sample of them.
      float const share = static_cast<float>(keep - above) / static_cast<float>(inside);
      float const rank = share * static_cast<float>(scores.size());
      float const spread = sure * sqrtf(rank * (1.0f - share)) + 1.0f;
      auto const upper = static_cast<std::int32_t>(floorf(rank - spread));
      auto const lower = static_cast<std::int32_t>(ceilf(rank + spread)) + 1;
      if (upper >= 1) next_high = scores.around(upper, 2).high;
      if (lower <= scores.size()) next_low = scores.around(lower, 2).low;
    }
    set_band(r, next_low, next_high);
    return false;
  }
  /// How far to look for `missing` scores more, and some, by how dense they were in a band; NaN
  /// where that says nothing.
  [[nodiscard]] __device__ static float beyond(std::int32_t missing, float low, float high,
                                               std::int32_t inside) noexcept {
    float const each = (high - low) / static_cast<float>(larger(inside, 1));
    float const width = 2.0f * static_cast<float>(missing + 16) * each;
    return width <= FLT_MAX ? width : -minus_infinity;
  }

  prefill_rows& rows_;
  float const* bands_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
