// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The last stage: parts of a row are merged in order, and everything a row still owes is written.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/agent/attend.cuh>
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

  __device__ void run() noexcept {
    std::int32_t const blocks = Problem::attends ? attend_blocks<Problem>(c_.p.shape) : 1;
    share const s = share_of(c_.table, count_of::rows, c_.now);
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = find_item(c_.table, count_of::rows, n);
      row<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / blocks)};
      if (!own.exists) continue;
      auto const block = static_cast<std::int32_t>(at.rest % blocks);
      if constexpr (Problem::selects) {
        if (block == 0) write_list_end(own);
      }
      if constexpr (Problem::attends) write_heads(own, heads_of(c_, own.scope_head, block));
    }
  }

 private:
  /// Count, threshold, and what stands behind the last entry.
  __device__ void write_list_end(row<Problem> const& own) const noexcept {
    location const at = own.query(c_);
    std::int32_t const count = own.entries();
    auto const thread = static_cast<std::int32_t>(threadIdx.x);
    for (std::int32_t i = count + thread; i < c_.p.capacity; i += block_threads) {
      if (c_.a.positions) c_.a.positions.at(at.outer, own.scope_head, at.token)[i] = -1;
      if (c_.a.scores) c_.a.scores.at(at.outer, own.scope_head, at.token)[i] = minus_infinity();
    }
    if (thread > 0) return;
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
          static_cast<std::int64_t>(0x7fffffffu - static_cast<std::uint32_t>(last & 0xffffffffu));
      *c_.a.threshold_position.at(at.outer, own.scope_head, at.token) =
          none ? -1 : static_cast<std::int32_t>(position_of(c_.p.options.shard, local));
    }
  }

  /// A warp a head.
  __device__ void write_heads(row<Problem> const& own, head_range const& heads) const noexcept {
    std::int32_t const parts = static_cast<std::int32_t>(ceil_div(own.entries(), part_keys));
    auto const warp = static_cast<std::int32_t>(threadIdx.x / 32);
    for (std::int32_t h = warp; h < heads.count; h += block_warps) {
      write_head(own, heads.first + h, heads.in_selection + h, parts);
    }
  }

  __device__ void write_head(row<Problem> const& own, std::int32_t head, std::int32_t in_selection,
                             std::int32_t parts) const noexcept {
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    std::int32_t const v_dim = c_.p.shape.v_dim;
    softmax_sums all{};
    for (std::int32_t i = 0; i < parts; ++i) {
      float const* const end = own.part(c_.p, i, in_selection) + v_dim;
      all.merge({end[0], end[1], end[2]});
    }
    float const scale = output_scale(all, head);
    location const at = own.query(c_);
    auto* const out = c_.a.o.at(at.outer, head, at.token);
    using output_type = typename Problem::precision::output_type;
    for (std::int32_t d = lane; d < v_dim; d += 32) {
      float sum = 0.0f;
      for (std::int32_t i = 0; i < parts; ++i) {
        float const* const part = own.part(c_.p, i, in_selection);
        // A part without keys has sum 0, and what stands in it does not matter.
        if (part[v_dim + 1] == 0.0f) continue;
        float const weight = expf(part[v_dim] - all.max);
        if (weight != 0.0f) sum = __fmaf_rn(weight, part[d], sum);
      }
      out[d] = output_type(all.empty() ? 0.0f : sum * scale);
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
    if (writes) {
      put(c_.a.lse, at, head, all.lse());
      put(c_.a.entropy, at, head, all.entropy());
    }
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
