// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The lightning indexer written plainly, and random inputs for it.

#pragma once

#include <support/memory_ranges.hpp>
#include <support/seed.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace index_test {

/// T with its base on 64 bytes.
template <class T>
struct aligned {
  support::array<T> memory;
  T* data = nullptr;
  std::size_t size = 0;
  aligned() = default;
  explicit aligned(std::size_t n) : memory(n + 64 / sizeof(T) + 1), size(n) {
    auto const base = reinterpret_cast<std::uintptr_t>(memory.data());
    data = reinterpret_cast<T*>((base + 63) / 64 * 64);
  }
};

struct extents {
  std::int32_t batch = 1;
  std::int32_t q_len = 1;
  std::int32_t kv_len = 0;
  std::int32_t heads = 1;
  std::int32_t dim = 16;
};

/// Index queries, keys, scales and weights as plain numbers.
struct numbers {
  extents e;
  std::vector<float> q;        // [batch][q_len][heads][dim]
  std::vector<float> k;        // [batch][kv_len][dim]
  std::vector<float> k_scale;  // [batch][kv_len]
  std::vector<float> weight;   // [batch][q_len][heads]

  explicit numbers(extents const& with)
      : e(with),
        q(static_cast<std::size_t>(e.batch * e.q_len * e.heads * e.dim)),
        k(static_cast<std::size_t>(e.batch * e.kv_len * e.dim)),
        k_scale(static_cast<std::size_t>(e.batch * e.kv_len), 1.0f),
        weight(static_cast<std::size_t>(e.batch * e.q_len * e.heads)) {}

  /// Small integers, weights of both signs, scales that are powers of two: every sum is exact.
  static numbers integers(extents const& e, support::random_source& random) {
    numbers n(e);
    for (float& x : n.q) x = static_cast<float>(random.between(-4, 4));
    for (float& x : n.k) x = static_cast<float>(random.between(-4, 4));
    for (float& x : n.k_scale) x = std::ldexp(1.0f, static_cast<int>(random.between(-2, 2)));
    for (float& x : n.weight) x = static_cast<float>(random.between(-3, 3));
    return n;
  }

  [[nodiscard]] float const* q_row(std::int32_t b, std::int32_t i, std::int32_t h) const {
    return q.data() + static_cast<std::size_t>(((b * e.q_len + i) * e.heads + h) * e.dim);
  }
  [[nodiscard]] float const* k_row(std::int32_t b, std::int32_t key) const {
    return k.data() + static_cast<std::size_t>((b * e.kv_len + key) * e.dim);
  }
  /// (sum over heads of weight * max(q.k, 0)) * scale in fp64; NaN passes.
  [[nodiscard]] double score(std::int32_t b, std::int32_t i, std::int32_t key) const {
    double total = 0.0;
    for (std::int32_t h = 0; h < e.heads; ++h) {
      double dot = 0.0;
      for (std::int32_t d = 0; d < e.dim; ++d) {
        dot += static_cast<double>(q_row(b, i, h)[d]) * static_cast<double>(k_row(b, key)[d]);
      }
      double const positive = dot > 0.0 || std::isnan(dot) ? dot : 0.0;
      total +=
          static_cast<double>(weight[static_cast<std::size_t>((b * e.q_len + i) * e.heads + h)]) *
          positive;
    }
    return total * static_cast<double>(k_scale[static_cast<std::size_t>(b * e.kv_len + key)]);
  }
};

/// The first `keep` of keys 0..end - 1: larger first, NaN above all, equal ones by position.
inline std::vector<std::int32_t> largest(std::vector<double> const& s, std::int32_t keep) {
  std::vector<std::int32_t> order;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != -std::numeric_limits<double>::infinity()) {
      order.push_back(static_cast<std::int32_t>(i));
    }
  }
  std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    double const x = s[static_cast<std::size_t>(a)];
    double const y = s[static_cast<std::size_t>(b)];
    if (std::isnan(x) != std::isnan(y)) return std::isnan(x);
    if (!std::isnan(x) && x != y) return x > y;
    return a < b;
  });
  if (order.size() > static_cast<std::size_t>(keep)) order.resize(static_cast<std::size_t>(keep));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace index_test
