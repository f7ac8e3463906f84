// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows of a cache in layouts other than plain ones, written here byte by byte.

#pragma once

#include <tka/precision/bf16.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/scale_view.hpp>
#include <tka/source/location.hpp>

#include <support/buffers.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace support {

/// One of DeepSeek's rows: 512 e4m3, 4 fp32 scales, 64 bf16. The scales are powers of two, so small
/// integers come back exactly.
inline void put_mla_656(float const* values, tka::float8_e4m3_t* row) {
  for (int block = 0; block < 4; ++block) {
    float const scale = std::ldexp(1.0f, block % 3 - 1);
    std::memcpy(static_cast<void*>(row + 512 + 4 * block), &scale, 4);
    for (int d = block * 128; d < (block + 1) * 128; ++d) {
      row[d] = tka::float8_e4m3_t{values[d] / scale};
    }
  }
  for (int d = 0; d < 64; ++d) {
    tka::bfloat16_t const rope{values[512 + d]};
    std::memcpy(static_cast<void*>(row + 528 + 2 * d), &rope, 2);
  }
}

inline std::int64_t scale_blocks(std::int64_t dim) {
  return (dim + tka::scale_block - 1) / tka::scale_block;
}

/// Divides rows by a power of two for each token, head and 128 values, and writes those down.
template <class T>
void take_scales_out(std::vector<tka::location> const& at, int heads, tensor<T>& rows,
                     tensor<float>& scales) {
  for (tka::location const where : at) {
    for (int h = 0; h < heads; ++h) {
      T* const row = rows.at(where, h);
      for (std::int64_t block = 0; block < scales.dim(); ++block) {
        auto const mixed = where.outer * 5 + where.token * 3 + h + block;
        float const scale = std::ldexp(1.0f, static_cast<int>(mixed % 3) - 1);
        scales.at(where, h)[block] = scale;
        for (auto d = block * 128; d < std::min(rows.dim(), (block + 1) * 128); ++d) {
          row[d] = static_cast<T>(static_cast<float>(row[d]) / scale);
        }
      }
    }
  }
}

inline tka::scale_view scale_view_of(tensor<float> const& scales) {
  auto const view = scales.view();
  return {
      .data = view.data, .batch = view.batch, .head = view.head, .token = view.token, .block = 1};
}

}  // namespace support
