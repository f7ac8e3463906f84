// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How one row of an append is written, in every layout of a cache.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/rounded.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/quantize.hpp>
#include <tka/scale_view.hpp>
#include <tka/source/location.hpp>

#include <cstdint>
#include <cstring>

namespace tka::inline TKA_ABI::detail {

/// Values of a row that are buffered at most.
inline constexpr std::int32_t max_row = 1024;
inline constexpr std::int32_t mla_656_dim = 576;

/// Fills `out`, which the crew may still be reading, for all of it to see.
template <class T, class Crew>
TKA_HOST_DEVICE void read_row(T const* row, std::int32_t dim, float* out,
                              Crew const& crew) noexcept {
  crew.sync();
  for (std::int32_t d = crew.rank(); d < dim; d += Crew::size) out[d] = static_cast<float>(row[d]);
  crew.sync();
}

/// `value` at an address of any alignment.
template <class T>
TKA_HOST_DEVICE void store_bytes(float8_e4m3_t* to, T const& value) noexcept {
  std::memcpy(static_cast<void*>(to), &value, sizeof(T));
}

/// The new rows of one token, a head each.
template <class T>
struct token_heads {
  T const* first;
  std::int64_t stride;  ///< elements from one head to the next
  std::int32_t count;

  [[nodiscard]] TKA_HOST_DEVICE T const* of(std::int32_t head) const noexcept {
    return first + head * stride;
  }
};

// clang before 17 deduces no aggregate without it.
template <class T>
token_heads(T const*, std::int64_t, std::int32_t) -> token_heads<T>;

/// e4m3 with scales by `scales`: own scales of a token are chosen and written, shared ones read.
/// `row` is that of `head`, widened.
template <class From, class Crew>
TKA_HOST_DEVICE void write_scaled(float const* row, token_heads<From> const& from,
                                  std::int32_t head, std::int32_t dim, float8_e4m3_t* out,
                                  mutable_scale_view const& scales, location to,
                                  scale_rounding rounding, Crew const& crew) noexcept {
  if (scales.data == nullptr) {
    quantize_with(row, dim, 1.0f, out, crew);
    return;
  }
  float* const scale = scales.at(to.outer, head, to.token);
  std::int32_t const block = scales.block != 0 ? scale_block : dim;
  for (std::int32_t d = 0; d < dim; d += block) {
    std::int32_t const n = block < dim - d ? block : dim - d;
    float* const place = scale + d / block * scales.block;
    float by = 0.0f;
    if (scales.token == 0) {
      by = *place;
    } else {
      float amax = largest_magnitude(row + d, n, crew);
      // Heads that share the scales of a token find the same ones, and the first writes them.
      bool const shared = scales.head == 0;
      for (std::int32_t h = 0; shared && h < from.count; ++h) {
        float const other = h == head ? amax : largest_magnitude(from.of(h) + d, n, crew);
        amax = other > amax ? other : amax;
      }
      by = choose_scale(amax, rounding);
      if (crew.rank() == 0 && (!shared || head == 0)) *place = by;
    }
    quantize_with(row + d, n, by, out + d, crew);
  }
}

/// The row of one head, of keys or values; `buffer` holds max_row floats.
template <class From, class To, class Crew>
TKA_HOST_DEVICE void write_row(token_heads<From> const& from, std::int32_t head, std::int32_t dim,
                               To* out, mutable_scale_view const& scales, location to,
                               scale_rounding rounding, Crew const& crew, float* buffer) noexcept {
  if constexpr (sizeof(To) == 1) {
    read_row(from.of(head), dim, buffer, crew);
    write_scaled(buffer, from, head, dim, out, scales, to, rounding, crew);
  } else {
    // Wide enough to need no scale: a token's own scales become 1, shared ones divide.
    From const* const row = from.of(head);
    std::int32_t const block = scales.block != 0 ? scale_block : dim;
    for (std::int32_t d = crew.rank(); d < dim; d += Crew::size) {
      float value = static_cast<float>(row[d]);
      if (scales.data != nullptr) {
        float* const scale = scales.at(to.outer, head, to.token) + d / block * scales.block;
        if (scales.token == 0) {
          value = one_nan(quotient(value, *scale), value);
        } else if (d % block == 0) {
          *scale = 1.0f;
        }
      }
      out[d] = To(value);
    }
  }
}

/// 512 e4m3, four scales, 64 bf16: the row of DeepSeek's MLA cache.
template <class From, class Crew>
TKA_HOST_DEVICE void write_mla_656(From const* from, float8_e4m3_t* out, scale_rounding rounding,
                                   Crew const& crew, float* buffer) noexcept {
  constexpr std::int32_t latent = 512;
  constexpr std::int32_t scales = latent / scale_block;
  read_row(from, mla_656_dim, buffer, crew);
  for (std::int32_t block = 0; block < scales; ++block) {
    float const* const values = buffer + block * scale_block;
    float const scale = choose_scale(largest_magnitude(values, scale_block, crew), rounding);
    quantize_with(values, scale_block, scale, out + block * scale_block, crew);
    if (crew.rank() == 0) store_bytes(out + latent + block * 4, scale);
  }
  float8_e4m3_t* const rope = out + latent + scales * 4;
  for (std::int32_t d = crew.rank(); d < mla_656_dim - latent; d += Crew::size) {
    store_bytes(rope + 2 * d, bfloat16_t{buffer[latent + d]});
  }
}

}  // namespace tka::inline TKA_ABI::detail
