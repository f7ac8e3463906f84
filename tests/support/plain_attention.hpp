// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The plain implementation whose error the library's is measured by: products and sums in fp32,
/// left to right; weights rounded to what the backend multiplies.

#pragma once

#include <oracle/oracle.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace support {

struct plain_result {
  std::vector<float> o;  ///< not yet rounded to the output type
  float lse = -std::numeric_limits<float>::infinity();
  float entropy = 0.0f;
};

/// `Weight`: what the weights of values are rounded to. Their sum takes them as they are.
template <class Weight = float>
plain_result plain_attention(oracle::rules const& r, oracle::sequence const& s, int token,
                             int q_head, std::vector<int> const& positions) {
  plain_result out;
  out.o.assign(static_cast<std::size_t>(r.v_dim), 0.0f);
  if (positions.empty()) return out;
  int const kv_head = q_head / r.group();
  auto const row = [](std::vector<float> const& of, int head, int len, int i, int dim) {
    return of.data() + (std::int64_t{head} * len + i) * dim;
  };
  float const* const q = row(s.q, q_head, s.q_len, token, r.qk_dim);
  auto const scale = static_cast<float>(r.scale);
  auto const cap = static_cast<float>(r.soft_cap);

  std::vector<float> logits;
  float largest = -std::numeric_limits<float>::infinity();
  for (int const j : positions) {
    float const* const k = row(s.k, kv_head, s.kv_len, j, r.qk_dim);
    float product = 0.0f;
    for (int d = 0; d < r.qk_dim; ++d) product += q[d] * k[d];
    float const x = cap > 0.0f ? cap * std::tanh(scale * product / cap) : scale * product;
    logits.push_back(x);
    if (!(x <= largest)) largest = x;
  }
  float sum = 0.0f;
  float weighted = 0.0f;
  for (std::size_t n = 0; n < positions.size(); ++n) {
    float const p = std::exp(logits[n] - largest);
    float const* const v = row(s.v, kv_head, s.kv_len, positions[n], r.v_dim);
    sum += p;
    if (p > 0.0f) weighted += p * (logits[n] - largest);
    float const weight = static_cast<float>(static_cast<Weight>(p));
    for (int d = 0; d < r.v_dim; ++d) out.o[static_cast<std::size_t>(d)] += weight * v[d];
  }
  float denominator = sum;
  if (!r.sink_logits.empty()) {
    denominator +=
        std::exp(static_cast<float>(r.sink_logits[static_cast<std::size_t>(q_head)]) - largest);
  }
  for (float& x : out.o) x /= denominator;
  out.lse = largest + std::log(sum);
  out.entropy = std::log(sum) - weighted / sum;
  return out;
}

}  // namespace support
