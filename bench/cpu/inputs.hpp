// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Keys, values and queries of the matrix: one memory of each for all points of a precision, and
/// every distribution of scores hidden in the same keys.

#pragma once

#include "cpu/memory.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <string_view>
#include <type_traits>

namespace bench {

inline constexpr int head_dim = 128;
inline constexpr int kv_heads = 8;
inline constexpr int group = 4;
inline constexpr int q_heads = kv_heads * group;
inline constexpr std::int64_t pool_elements = std::int64_t{160} << 20;  // k and v: past any cache
inline constexpr std::int64_t ramp_length = 32768;

/// Where in a key each distribution stands: two components whose sum is the wanted number nearly
/// to fp32, and for those that are drawn one such pair for each query head of a group.
namespace component {
inline constexpr int uniform = 0;
inline constexpr int sparse = 2 * group;
inline constexpr int normal = 4 * group;
inline constexpr int one = 6 * group;
inline constexpr int ramp = 6 * group + 1;
}  // namespace component

template <class T>
void put(T* pair, float value) {
  pair[0] = T(value);
  pair[1] = T(value - static_cast<float>(pair[0]));
}

template <class T>
class pool {
 public:
  static pool const& get() {
    static pool const instance;
    return instance;
  }

  block<T> k = random_block<T>(elements, 2);
  block<T> v = random_block<T>(elements, 3);
  static constexpr std::int64_t elements = pool_elements;

 private:
  pool() {
    std::mt19937 random{20};
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> uniform;
    for (std::int64_t row = 0; row < elements / head_dim; ++row) {
      T* const key = k.get() + row * head_dim;
      key[component::one] = T(1.0f);
      put(key + component::ramp,
          static_cast<float>(row % ramp_length) / static_cast<float>(ramp_length));
      if (!std::is_same_v<T, tka::bfloat16_t>) continue;  // scores vary only where k is bf16
      for (int head = 0; head < group; ++head) {
        put(key + component::uniform + 2 * head, uniform(random));
        put(key + component::sparse + 2 * head, uniform(random) < 0.94f ? 0.0f : normal(random));
        put(key + component::normal + 2 * head, normal(random));
      }
    }
  }
};

inline constexpr std::array<std::string_view, 7> score_kinds{
    "normal", "uniform", "narrow", "zeros_94", "all_equal", "ascending", "descending"};

/// `heads` queries under which scores are distributed as `kind` says.
template <class T>
block<T> queries(std::string_view kind, std::int64_t heads) {
  block<T> q = random_block<T>(heads * head_dim, 4);
  for (std::int64_t head = 0; head < heads; ++head) {
    T* const row = q.get() + head * head_dim;
    int const own = 2 * static_cast<int>(head % group);
    auto const take = [&](int first, int count, float factor) {
      for (int i = 0; i < count; ++i) row[first + i] = T(factor);
    };
    if (kind == "normal") {
      take(component::one, 3, 0.0f);  // no drift along the sequence
      continue;
    }
    take(0, head_dim, 0.0f);
    if (kind == "uniform") take(component::uniform + own, 2, 8.0f);
    if (kind == "zeros_94") take(component::sparse + own, 2, 8.0f);
    if (kind == "narrow") take(component::normal + own, 2, 0x1p-10f);
    if (kind == "narrow" || kind == "all_equal") take(component::one, 1, 8.0f);
    if (kind == "ascending") take(component::ramp, 2, 8.0f);
    if (kind == "descending") take(component::ramp, 2, -8.0f);
  }
  return q;
}

}  // namespace bench
