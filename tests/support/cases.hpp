// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Makes problems: random or exact contents, in the values that a precision can store.

#pragma once

#include <tka/options.hpp>

#include <oracle/oracle.hpp>
#include <support/seed.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace support {

/// Contents of q, k and v.
enum class contents {
  integers,  ///< small ones: every score is exact in fp32, with many ties
  normal     ///< standard normal
};

inline void fill(std::vector<float>& out, std::int64_t count, contents what, random_source& random,
                 int largest = 3) {
  out.resize(static_cast<std::size_t>(count));
  for (float& x : out) {
    x = what == contents::integers ? static_cast<float>(random.between(-largest, largest))
                                   : static_cast<float>(random.normal());
  }
}

struct lengths {
  int q_len;
  int kv_len;
};

/// A problem by `r` with one sequence for each of `sizes`.
inline oracle::problem make_problem(oracle::rules const& r, std::vector<lengths> const& sizes,
                                    contents what, random_source& random) {
  oracle::problem out{r, {}};
  for (lengths const& n : sizes) {
    oracle::sequence s;
    s.q_len = n.q_len;
    s.kv_len = n.kv_len;
    auto const q_len = std::int64_t{n.q_len};
    auto const kv_len = std::int64_t{n.kv_len};
    fill(s.q, r.q_heads * q_len * r.qk_dim, what, random);
    fill(s.k, r.kv_heads * kv_len * r.qk_dim, what, random);
    fill(s.v, r.kv_heads * kv_len * r.v_dim, what, random);
    if (r.score == oracle::score::index) {
      fill(s.index_q, r.index_heads * q_len * r.index_dim, contents::integers, random);
      fill(s.index_k, kv_len * r.index_dim, contents::integers, random);
      fill(s.index_weight, r.index_heads * q_len, contents::integers, random);
      fill(s.index_k_scale, kv_len, contents::integers, random);
      for (float& x : s.index_k_scale) x = x < 0.0f ? 0.5f : x < 2.0f ? 1.0f : 2.0f;
    }
    if (r.score == oracle::score::stored) {
      fill(s.stored, r.scope_heads() * q_len * kv_len, contents::integers, random, 50);
    }
    out.sequences.push_back(std::move(s));
  }
  return out;
}

template <class T>
void store_and_load(std::vector<float>& values) {
  for (float& x : values) x = static_cast<float>(static_cast<T>(x));
}

/// Rounds q, k and v to what the precision stores, so that the oracle sees the same numbers.
template <class Precision>
void round_to(oracle::problem& p) {
  for (oracle::sequence& s : p.sequences) {
    store_and_load<typename Precision::query_type>(s.q);
    store_and_load<typename Precision::key_type>(s.k);
    store_and_load<typename Precision::value_type>(s.v);
  }
}

/// The library's options for `r`.
inline tka::options options_of(oracle::rules const& r) {
  tka::options o{};
  o.budget = r.denominator == 0 ? tka::top_k(r.k) : tka::ratio(r.numerator, r.denominator, r.k_min);
  o.scale = static_cast<float>(r.scale);
  o.soft_cap = static_cast<float>(r.soft_cap);
  o.sinks = r.sinks;
  o.recent = r.recent;
  o.window = r.window;
  o.combine = r.combine == oracle::combine::max   ? tka::combine::max
              : r.combine == oracle::combine::sum ? tka::combine::sum
                                                  : tka::combine::softmax_sum;
  if (r.buckets > 0) o.bucketing = {.buckets = r.buckets, .per_bucket = r.per_bucket};
  return o;
}

/// The largest power of two up to 1 / sqrt(dim): exact in fp32, so the oracle scales alike.
inline double exact_scale(int dim) {
  double scale = 1.0;
  while (scale * scale * dim > 1.0) scale *= 0.5;
  return scale;
}

}  // namespace support
