// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Attention of one row by one warp, key by key: rows whose threshold is a NaN, and rows over
/// values that are not finite, where a product with a probability of 0 would be NaN.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/warp/matrix.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/cuda/work/prefill.cuh>
#include <tka/detail/shared/lse_base.hpp>
#include <tka/detail/shared/ordered_key.hpp>

#include <cfloat>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class Problem>
class prefill_row {
  using value = typename Problem::precision::value_type;

 public:
  struct place {
    std::int32_t b, head, kv_head, token, end;
    row_kind kind;
    float threshold;
    std::int32_t ties;
  };

  __device__ prefill_row(prefill_work<Problem> const& w, place const& at) noexcept
      : w_(w), at_(at), lane_(static_cast<int>(threadIdx.x % 32)) {
    location const q = Problem::query_source::locate(w.a.query, at.b, at.token);
    q_ = w.a.q.at(q.outer, at.head, q.token);
  }

  /// All lanes.
  __device__ TKA_OUT_OF_LINE void run() noexcept {
    arguments<Problem> const& a = w_.a;
    ordered_key const threshold = at_.kind == row_kind::some_nans ? key_of_nan
                                  : at_.kind == row_kind::all     ? key_of_minus_infinity
                                                                  : to_ordered(at_.threshold);
    softmax_sums all{};
    float out[4] = {};
    std::int32_t equal = 0;
    std::int32_t count = 0;
    ordered_key last = key_of_nan;
    std::int32_t last_at = -1;
#pragma unroll 1
    for (std::int32_t first = 0; first < at_.end; first += step_keys) {
      float scores[2];
      multiply(first, scores);
#pragma unroll 1
      for (int n = 0; n < smaller(step_keys, at_.end - first); ++n) {
        float const x = __shfl_sync(all_lanes, scores[0], n / 2);
        float const y = __shfl_sync(all_lanes, scores[1], n / 2);
        float const score = n % 2 == 0 ? x : y;
        ordered_key const key = to_ordered(score);
        bool const tie = key == threshold && at_.kind != row_kind::all;
        if (!(key > threshold || (tie && equal < at_.ties))) continue;
        equal += tie ? 1 : 0;
        ++count;
        if (key <= last) {
          last = key;
          last_at = first + n;
        }
        add(all, out, score, first + n);
      }
    }
    write(all, out);
    if (lane_ > 0) return;
    location const at = Problem::query_source::locate(a.query, at_.b, at_.token);
    auto const put = [&](auto const& view, auto x) {
      if (view) *view.at(at.outer, at_.head, at.token) = x;
    };
    put(a.lse, in_base(w_.p.options, all.lse()));
    put(a.entropy, all.entropy());
    put(a.count, count);
    put(a.threshold_score, from_ordered(last));
    put(a.threshold_position, last_at);
  }

 private:
  static constexpr unsigned all_lanes = 0xffffffffu;
  static constexpr int step_keys = 8;

  /// Scores of eight keys: two in each of the first four lanes.
  __device__ void multiply(std::int32_t first, float (&scores)[2]) const noexcept {
    std::int32_t const key = smaller(first + lane_ / 4, at_.end - 1);
    location const l = Problem::kv_source::locate(w_.a.kv, at_.b, key, w_.p.shape.page_size);
    bool const missing = Problem::kv_source::has_pages && l.outer < 0;
    auto const* const k = missing ? w_.a.k.data : w_.a.k.at(l.outer, at_.kv_head, l.token);
    bool const mine = lane_ / 4 == 0;  // other rows of the left operand are 0
    auto const word = [](auto const* at) { return *reinterpret_cast<std::uint32_t const*>(at); };
    float sum[4] = {};
#pragma unroll 1
    for (int d = lane_ % 4 * 2; d < w_.p.shape.qk_dim; d += score_step_dims) {
      left_fragment left{};
      left.r[0] = mine ? word(q_ + d) : 0;
      left.r[2] = mine ? word(q_ + d + 8) : 0;
      multiply_add<value>(sum, left, word(k + d), word(k + d + 8));
    }
    unsigned const gone = __ballot_sync(all_lanes, missing && lane_ % 4 == 0);
    scores[0] = (gone >> (lane_ % 4 * 8) & 1u) != 0 ? minus_infinity : sum[0];
    scores[1] = (gone >> (lane_ % 4 * 8 + 4) & 1u) != 0 ? minus_infinity : sum[1];
  }

  /// Another key: against the largest logit so far.
  __device__ void add(softmax_sums& all, float (&out)[4], float score,
                      std::int32_t key) const noexcept {
    float const x = to_logit(w_.p.options, score);
    float const most = all.empty() || x > all.max ? x : all.max;
    float const factor = all.refer_to(most);
    float const p = expf(x - most);
    all.sum += p;
    all.weighted += p == 0.0f ? 0.0f : p * (x - most);
    location const l = Problem::kv_source::locate(w_.a.kv, at_.b, key, w_.p.shape.page_size);
    value const* const v = w_.a.v.at(l.outer, at_.kv_head, l.token) + 4 * lane_;
    bool const there = 4 * lane_ < w_.p.shape.v_dim;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float const before = factor == 0.0f ? 0.0f : out[i] * factor;
      out[i] = there ? before + p * static_cast<float>(v[i]) : 0.0f;
    }
  }

  __device__ void write(softmax_sums const& all, float const (&out)[4]) const noexcept {
    float scale = all.empty() ? 0.0f : 1.0f / all.sum;
    if (w_.a.sink_logits != nullptr && !all.empty()) {
      float const sink = w_.a.sink_logits[at_.head];
      float const most = sink > all.max ? sink : all.max;
      float const own = expf(all.max - most);
      scale = own / (all.sum * own + expf(sink - most));
    }
    location const at = Problem::query_source::locate(w_.a.query, at_.b, at_.token);
    using output = typename Problem::precision::output_type;
    output* const o = w_.a.o.at(at.outer, at_.head, at.token) + 4 * lane_;
    if (4 * lane_ >= w_.p.shape.v_dim) return;
#pragma unroll
    for (int i = 0; i < 4; ++i) o[i] = output(all.empty() ? 0.0f : out[i] * scale);
  }

  prefill_work<Problem> const& w_;
  place const at_;
  int const lane_;
  typename Problem::precision::query_type const* q_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
