// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Joining partial attentions over disjoint sets of keys.

#pragma once

#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/detail/shared/check.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp32.hpp>
#include <tka/shape.hpp>
#include <tka/status.hpp>
#include <tka/tensor_view.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace tka::inline TKA_ABI {

/// Tensors of `merge`: `parts` results, one behind the other.
template <class Precision>
struct merge_tensors {
  using output_type = typename Precision::output_type;
  std::int32_t parts = 0;
  tensor_view<output_type const> part_o{};  ///< [parts][batch, q_heads, q_len, v_dim]
  std::int64_t part_o_stride = 0;           ///< elements from one part to the next
  tensor_view<float const> part_lse{};      ///< [parts][batch, q_heads, q_len]
  std::int64_t part_lse_stride = 0;
  tensor_view<output_type> o{};  ///< [batch, q_heads, q_len, v_dim], written
  tensor_view<float> lse{};      ///< [batch, q_heads, q_len], written unless null
};

namespace detail {

template <class Precision>
void merge_row(merge_tensors<Precision> const& t, std::int64_t b, std::int64_t h, std::int64_t i,
               std::int32_t v_dim) noexcept {
  constexpr float nothing = -std::numeric_limits<float>::infinity();
  auto const lse_of = [&](std::int32_t part) {
    return t.part_lse.at(b, h, i)[part * t.part_lse_stride];
  };
  float largest = nothing;
  bool nan = false;
  for (std::int32_t part = 0; part < t.parts; ++part) {
    float const lse = lse_of(part);
    largest = lse > largest ? lse : largest;
    nan |= lse != lse;
  }
  float total = 0.0f;
  if (largest > nothing || nan) {
    for (std::int32_t part = 0; part < t.parts; ++part) total += std::exp(lse_of(part) - largest);
  }
  auto* const o = t.o.at(b, h, i);
  for (std::int32_t d = 0; d < v_dim; ++d) {
    float sum = 0.0f;
    for (std::int32_t part = 0; part < t.parts && total != 0.0f; ++part) {
      float const weight = std::exp(lse_of(part) - largest);
      // An empty part has weight 0, and what stands in its o does not matter.
      if (weight == 0.0f) continue;
      sum += weight * static_cast<float>(t.part_o.at(b, h, i)[part * t.part_o_stride + d]);
    }
    o[d] = static_cast<typename Precision::output_type>(total == 0.0f ? 0.0f : sum / total);
  }
  if (t.lse) *t.lse.at(b, h, i) = total == 0.0f ? nothing : largest + std::log(total);
}

template <class Precision, class Backend>
struct merge_call {
  static_assert(precision_policy<Precision>,
                "tka::merge: the first argument must be a precision policy; use fp32, fp16 or "
                "bf16");
  static_assert(backend_policy<Backend>,
                "tka::merge: the second argument must be a backend; use cpu (include "
                "tka/backend/cpu.hpp)");
  using tensors = merge_tensors<Precision>;

  [[nodiscard]] status operator()(shape const& s, tensors const& t) const noexcept {
    if (s.batch < 1 || s.q_heads < 1 || s.q_len < 0 || s.v_dim < 1 || t.parts < 0) {
      return status::invalid_shape;
    }
    if (!t.o || (t.parts > 0 && (!t.part_o || !t.part_lse))) return status::null_pointer;
    if (!aligned(t.o) || !aligned(t.part_o)) return status::misaligned;
    for (std::int32_t b = 0; b < s.batch; ++b) {
      for (std::int32_t h = 0; h < s.q_heads; ++h) {
        for (std::int32_t i = 0; i < s.q_len; ++i) merge_row<Precision>(t, b, h, i, s.v_dim);
      }
    }
    return status::ok;
  }
};

}  // namespace detail

/// o and lse of the union of disjoint sets of keys from those of the parts:
/// lse = log sum e^lse_i, o = sum e^(lse_i - lse) * o_i, parts in order, in fp32. Parts without
/// keys (lse = -inf) do not count; all empty gives o = 0, lse = -inf. `shape` needs batch, q_heads,
/// q_len and v_dim. o may not overlap a part.
template <class Precision, class Backend>
inline constexpr detail::merge_call<Precision, Backend> merge{};

}  // namespace tka::inline TKA_ABI
