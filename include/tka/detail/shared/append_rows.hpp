// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One row of an append: where it goes and how it is written.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/form.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/quantize.hpp>
#include <tka/scale_view.hpp>
#include <tka/shape.hpp>
#include <tka/source/location.hpp>
#include <tka/status.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tka::inline TKA_ABI::detail {

/// Values of a row that are buffered at most.
inline constexpr std::int32_t max_row = 1024;
inline constexpr std::int32_t mla_656_dim = 576;

[[nodiscard]] constexpr status check_append(shape const& s, shard const& part, std::int32_t dim,
                                            bool pages) noexcept {
  if (s.batch < 1 || s.q_len < 0 || s.kv_len < 0 || dim < 1) return status::invalid_shape;
  if (dim > max_row || s.v_dim > max_row) return status::unsupported_head_dim;
  if (pages && s.page_size < 1) return status::invalid_page_size;
  if (part.block < 1 || part.count < 1 || part.index < 0 || part.index >= part.count) {
    return status::invalid_shard;
  }
  return status::ok;
}

inline void set_error(std::uint32_t* word, data_error bit) noexcept {
  if (word != nullptr) *word |= static_cast<std::uint32_t>(bit);
}

/// write(from, to) for every new token that has a place in this shard's cache.
template <class Form, class Tensors, class Write>
void for_each_new_token(shape const& s, shard const& part, Tensors const& t,
                        Write&& write) noexcept {
  for (std::int32_t b = 0; b < s.batch; ++b) {
    std::int32_t const count = Form::query_source::length(t.query, b, s.q_len);
    if (count < 0) set_error(t.error, data_error::query_range_invalid);
    for (std::int32_t i = 0; i < count; ++i) {
      std::int64_t const position = std::int64_t{t.starts[b]} + i;
      if (position < 0 || position >= s.kv_len) {
        set_error(t.error, data_error::position_out_of_range);
        continue;
      }
      std::int64_t const local = local_below(part, position);
      if (local_below(part, position + 1) == local) continue;  // another shard's
      location const to =
          Form::kv_source::locate(t.kv, b, static_cast<std::int32_t>(local), s.page_size);
      if (to.outer < 0) {
        set_error(t.error, data_error::page_out_of_range);
        continue;
      }
      write(Form::query_source::locate(t.query, b, i), to);
    }
  }
}

template <class T>
inline void read_row(T const* row, std::int32_t dim, float* out) noexcept {
  for (std::int32_t d = 0; d < dim; ++d) out[d] = static_cast<float>(row[d]);
}

/// e4m3 with scales by `scales`: own scales of a token are chosen and written, shared ones read.
inline void write_scaled(float const* row, std::int32_t dim, float8_e4m3_t* out,
                         mutable_scale_view const& scales, location to, std::int32_t head,
                         scale_rounding rounding) noexcept {
  if (scales.data == nullptr) {
    quantize_with(row, dim, 1.0f, out);
    return;
  }
  float* const scale = scales.at(to.outer, head, to.token);
  std::int32_t const block = scales.block != 0 ? scale_block : dim;
  for (std::int32_t d = 0; d < dim; d += block) {
    std::int32_t const n = std::min(block, dim - d);
    float* const own = scale + d / block * scales.block;
    if (scales.token != 0) *own = choose_scale(largest_magnitude(row + d, n), rounding);
    quantize_with(row + d, n, *own, out + d);
  }
}

template <class From, class To>
inline void write_row(From const* from, std::int32_t dim, To* out, mutable_scale_view const& scales,
                      location to, std::int32_t head, scale_rounding rounding) noexcept {
  if constexpr (sizeof(To) == 1) {
    float row[max_row];
    read_row(from, dim, row);
    write_scaled(row, dim, out, scales, to, head, rounding);
  } else {
    // Wide enough to need no scale: a token's own scales become 1, shared ones divide.
    for (std::int32_t d = 0; d < dim; ++d) {
      float value = static_cast<float>(from[d]);
      if (scales.data != nullptr) {
        float* const scale = scales.at(to.outer, head, to.token) + d / scale_block * scales.block;
        if (scales.token != 0) {
          *scale = 1.0f;
        } else {
          value /= *scale;
        }
      }
      out[d] = To(value);
    }
  }
}

/// 512 e4m3, four scales, 64 bf16: the row of DeepSeek's MLA cache.
template <class From>
inline void write_mla_656(From const* from, float8_e4m3_t* out, scale_rounding rounding) noexcept {
  constexpr std::int32_t latent = 512;
  float row[mla_656_dim];
  read_row(from, mla_656_dim, row);
  float scale[latent / scale_block];
  for (std::int32_t d = 0; d < latent; d += scale_block) {
    scale[d / scale_block] = choose_scale(largest_magnitude(row + d, scale_block), rounding);
    quantize_with(row + d, scale_block, scale[d / scale_block], out + d);
  }
  std::memcpy(static_cast<void*>(out + latent), scale, sizeof(scale));
  bfloat16_t rope[mla_656_dim - latent];
  for (std::int32_t d = latent; d < mla_656_dim; ++d) rope[d - latent] = bfloat16_t{row[d]};
  std::memcpy(static_cast<void*>(out + latent + sizeof(scale)), rope, sizeof(rope));
}

}  // namespace tka::inline TKA_ABI::detail
