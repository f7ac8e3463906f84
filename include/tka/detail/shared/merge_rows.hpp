// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The rows of a merge, and the arithmetic of one.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/bits.hpp>
#include <tka/shape.hpp>

#include <cmath>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail {

/// The rows of every sequence, a head's tokens side by side: what a backend runs.
template <class Tensors>
struct merge_rows {
  static constexpr bool same_rows = true;
  static constexpr std::int32_t buffered = 1;

  tka::shape shape;
  Tensors tensors;

  [[nodiscard]] TKA_HOST_DEVICE std::int32_t sequences() const noexcept { return shape.batch; }
  [[nodiscard]] std::int64_t most_rows() const noexcept { return rows(0); }
  [[nodiscard]] TKA_HOST_DEVICE std::int64_t rows(std::int32_t) const noexcept {
    return std::int64_t{shape.q_heads} * shape.q_len;
  }
  [[nodiscard]] TKA_HOST_DEVICE std::uint32_t* error() const noexcept { return nullptr; }

  template <class Crew>
  TKA_HOST_DEVICE void row(std::int32_t b, std::int64_t index, Crew const& crew,
                           float*) const noexcept {
    Tensors const& t = tensors;
    std::int64_t const h = index / shape.q_len;
    std::int64_t const i = index % shape.q_len;
    constexpr float nothing = bits_as<float>(0xff800000u);  // -inf
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
      for (std::int32_t part = 0; part < t.parts; ++part) {
        total += std::exp(lse_of(part) - largest);
      }
    }
    auto* const o = t.o.at(b, h, i);
    using output = std::remove_pointer_t<decltype(t.o.data)>;
    for (std::int32_t d = crew.rank(); d < shape.v_dim; d += Crew::size) {
      float sum = 0.0f;
      for (std::int32_t part = 0; part < t.parts && total != 0.0f; ++part) {
        float const weight = std::exp(lse_of(part) - largest);
        // An empty part has weight 0, and what stands in its o does not matter.
        if (weight == 0.0f) continue;
        sum += weight * static_cast<float>(t.part_o.at(b, h, i)[part * t.part_o_stride + d]);
      }
      o[d] = static_cast<output>(total == 0.0f ? 0.0f : sum / total);
    }
    crew.sync();  // lse may lie over a part's
    if (t.lse && crew.rank() == 0) {
      *t.lse.at(b, h, i) = total == 0.0f ? nothing : largest + std::log(total);
    }
  }
};

}  // namespace tka::inline TKA_ABI::detail
