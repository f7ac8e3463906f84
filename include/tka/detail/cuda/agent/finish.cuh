// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The end of a row: its parts are merged in order, and everything it still owes is written. Who
/// attends the last part of a row does so; where nothing is attended it is a stage.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/combine.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

template <class Problem>
class finish_agent {
 public:
  __device__ explicit finish_agent(context<Problem> const& c) noexcept : c_(c) {}

  /// The stage: a warp a row.
  __device__ void run() noexcept {
    share const s = c_.shares[count_of::rows];
    for (std::int64_t n = s.begin + threadIdx.x / 32; n < s.end; n += block_warps) {
      item const at = c_.at(count_of::rows, n);
      row<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest)};
      if (own.exists) finish(own, 0, 1);
    }
  }

  /// A row, by warp `warp` of `warps`.
  __device__ void finish(row<Problem> const& own, std::int32_t warp, std::int32_t warps) noexcept {
    if constexpr (Problem::selects) {
      if (warp == 0 && c_.lists) write_list_end(own);
    }
    if constexpr (Problem::attends) {
      std::int32_t const blocks = attend_blocks<Problem>(c_.p.shape);
#pragma unroll 1
      for (std::int32_t block = 0; block < blocks; ++block) {
        head_range const heads = heads_of(c_, own.scope_head, block);
#pragma unroll 1
        for (std::int32_t h = warp; h < heads.count; h += warps) {
          write_head(own, heads.first + h, heads.in_selection + h);
        }
      }
    }
  }

 private:
  /// Count, threshold, and what stands behind the last entry.
  __device__ void write_list_end(row<Problem> const& own) const noexcept {
    location const at = own.query(c_);
    std::int32_t const count = own.entries();
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    if (c_.a.positions) {
      std::int32_t* const out = c_.a.positions.at(at.outer, own.scope_head, at.token);
      for (std::int32_t i = count + lane; i < c_.p.capacity; i += 32) out[i] = -1;
    }
    if (c_.a.scores) {
      float* const out = c_.a.scores.at(at.outer, own.scope_head, at.token);
      for (std::int32_t i = count + lane; i < c_.p.capacity; i += 32) out[i] = minus_infinity();
    }
    if (lane > 0) return;
    if (c_.a.count) *c_.a.count.at(at.outer, own.scope_head, at.token) = count;
    std::uint64_t const last = *reinterpret_cast<std::uint64_t const*>(own.state() + last_kept);
    bool const none = last == ~std::uint64_t{0};
    if (c_.a.threshold_score) {
      auto const key =
          static_cast<ordered_key>(static_cast<std::uint32_t>(last >> 32) ^ 0x80000000u);
      *c_.a.threshold_score.at(at.outer, own.scope_head, at.token) =
          from_ordered(none ? key_of_nan : key);
    }
    if (c_.a.threshold_position) {
      auto const local =
          static_cast<std::int32_t>(0x7fffffffu - static_cast<std::uint32_t>(last & 0xffffffffu));
      *c_.a.threshold_position.at(at.outer, own.scope_head, at.token) =
          none ? -1 : static_cast<std::int32_t>(global_position(c_.p.options.shard, local));
    }
  }

  /// Parts, 32 at a time: a lane knows the sums of one. Those of values are added in order.
  __device__ void write_head(row<Problem> const& own, std::int32_t head,
                             std::int32_t in_selection) const noexcept {
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    std::int32_t const v_dim = c_.p.shape.v_dim;
    auto const parts = static_cast<std::int32_t>(ceil_div(own.entries(), part_keys));
    auto const sums_of = [&](std::int32_t i) {
      if (i >= parts) return softmax_sums{};
      float const* const end = own.part(c_.p, i, in_selection) + v_dim;
      return softmax_sums{end[0], end[1], end[2]};
    };
    softmax_sums all{};
    for (std::int32_t first = 0; first < parts; first += 32) {
      all.merge(merge_lanes(sums_of(first + lane)));
    }
    float const scale = output_scale(all, head);
    location const at = own.query(c_);
    auto* const out = c_.a.o.at(at.outer, head, at.token);
    constexpr int own_parts = 8;  // divides 32
    std::int64_t const part_pitch =
        std::int64_t{heads_of_selection<Problem>(c_.p.shape)} * (v_dim + 4);
    // A lane has four dimensions at a time.
#pragma unroll 1
    for (std::int32_t from = 0; from < v_dim; from += 128) {
      std::int32_t const d = from + 4 * lane;
      float4 sum{};
#pragma unroll 1
      for (std::int32_t first = 0; first < parts; first += 32) {
        softmax_sums const own_part = sums_of(first + lane);
        // A part without keys has sum 0, and what stands in it does not matter.
        float const own_weight = own_part.empty() ? 0.0f : expf(own_part.max - all.max);
        float const* part = own.part(c_.p, first, in_selection) + d;
        // Several parts at a time: their reads wait for memory together.
#pragma unroll 1
        for (std::int32_t i = 0; i < smaller(32, parts - first); i += own_parts) {
          float weight[own_parts];
          float4 x[own_parts];
#pragma unroll
          for (int j = 0; j < own_parts; ++j) {
            weight[j] = __shfl_sync(0xffffffffu, own_weight, i + j);
            bool const there = weight[j] != 0.0f && d < v_dim;
            x[j] = there ? *reinterpret_cast<float4 const*>(part) : float4{};
            part += part_pitch;
          }
#pragma unroll
          for (int j = 0; j < own_parts; ++j) {
            sum.x = __fmaf_rn(weight[j], x[j].x, sum.x);
            sum.y = __fmaf_rn(weight[j], x[j].y, sum.y);
            sum.z = __fmaf_rn(weight[j], x[j].z, sum.z);
            sum.w = __fmaf_rn(weight[j], x[j].w, sum.w);
          }
        }
      }
      if (d < v_dim) {
        using output_type = typename Problem::precision::output_type;
        out[d] = output_type(sum.x * scale);
        out[d + 1] = output_type(sum.y * scale);
        out[d + 2] = output_type(sum.z * scale);
        out[d + 3] = output_type(sum.w * scale);
      }
    }
    write_metrics(own, at, head, in_selection, all);
  }

  [[nodiscard]] __device__ float output_scale(softmax_sums const& all,
                                              std::int32_t head) const noexcept {
    if (all.empty()) return 0.0f;
    if (c_.a.sink_logits == nullptr) return 1.0f / all.sum;
    // The sink joins the denominator, referred to the larger of both maxima.
    float const sink = c_.a.sink_logits[head];
    float const most = sink > all.max ? sink : all.max;
    float const own = expf(all.max - most);
    return own / (all.sum * own + expf(sink - most));
  }

  __device__ void write_metrics(row<Problem> const& own, location at, std::int32_t head,
                                std::int32_t in_selection, softmax_sums const& all) const noexcept {
    bool const writes = threadIdx.x % 32 == 0;
    if (writes && c_.a.lse) put(c_.a.lse, at, head, all.lse());
    if (writes && c_.a.entropy) put(c_.a.entropy, at, head, all.entropy());
    if constexpr (Problem::selects && Problem::by_query_key) {
      if (c_.p.options.metrics != metrics::visible) return;
      softmax_sums const seen = visible_sums(own, own.range(c_).range, in_selection);
      if (!writes) return;
      put(c_.a.lse_visible, at, head, seen.lse());
      put(c_.a.entropy_visible, at, head, seen.entropy());
      put(c_.a.retained_mass, at, head,
          all.empty() || seen.empty() ? 1.0f : expf(all.lse() - seen.lse()));
    }
  }

  static __device__ void put(tensor_view<float> const& view, location at, std::int32_t head,
                             float value) noexcept {
    if (view) *view.at(at.outer, head, at.token) = value;
  }

  context<Problem> const& c_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
