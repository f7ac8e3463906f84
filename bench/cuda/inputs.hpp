// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Keys, values, scores and queries of bench_matrix_cuda: one memory of each for all points of a
/// precision. The benchmark library makes them, so that worker.py has the same for its peers.

#pragma once

#include "bench_abi.h"
#include "cuda/device.hpp"
#include "point.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace bench::cuda {

/// What is stored; precisions are named as in bench/matrix.py, numbers are those of bench_abi.h.
enum class element : std::int32_t { fp32, fp16, bf16, fp8 };

[[nodiscard]] constexpr int bytes_of(element e) {
  return e == element::fp32 ? 4 : e == element::fp8 ? 1 : 2;
}

[[nodiscard]] constexpr element element_of(std::string_view precision) {
  if (precision == "fp32") return element::fp32;
  if (precision == "fp16") return element::fp16;
  return precision == "bf16" ? element::bf16 : element::fp8;
}

/// What is set aside for keys, and as much for values: of bf16 more, for the largest points.
[[nodiscard]] constexpr std::int64_t pool_bytes(element e) {
  return std::int64_t{e == element::bf16 ? 16 : 4} << 30;
}

inline void fill_normal(void* values, element type, std::int64_t count, std::uint32_t seed) {
  check_launch(
      tka_bench_fill_normal(values, static_cast<std::int32_t>(type), 0, count, seed, stream()));
}

/// Keys and values of all points of a precision.
struct pool {
  element type;
  std::int64_t elements;
  memory<std::byte> k, v;

  [[nodiscard]] std::byte const* key(std::int64_t at) const {
    return k.get() + at * bytes_of(type);
  }
  [[nodiscard]] std::byte const* value(std::int64_t at) const {
    return v.get() + at * bytes_of(type);
  }
};

/// Less than pool_bytes where the device has less.
inline pool const& pool_of(element type) {
  static std::map<element, pool> pools;
  if (auto const found = pools.find(type); found != pools.end()) return found->second;
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  std::int64_t bytes = pool_bytes(type);
  while (bytes > (std::int64_t{1} << 28) && 6 * bytes > static_cast<std::int64_t>(total)) {
    bytes /= 2;
  }
  std::int64_t const elements = bytes / bytes_of(type);
  pool made{type, elements, memory<std::byte>(bytes), memory<std::byte>(bytes)};
  check_launch(tka_bench_fill_keys(made.k.get(), static_cast<std::int32_t>(type), 0,
                                   elements / head_dim, stream()));
  fill_normal(made.v.get(), type, elements, TKA_BENCH_SEED_VALUES);
  synchronize();
  return pools.emplace(type, std::move(made)).first->second;
}

/// Scores for selections alone.
inline memory<float> const& score_pool() {
  static memory<float> const made = [] {
    memory<float> m(std::int64_t{1} << 28);
    fill_normal(m.get(), element::fp32, m.size(), TKA_BENCH_SEED_SCORES);
    synchronize();
    return m;
  }();
  return made;
}

/// [heads, head_dim] under which scores are distributed as `scores` says.
inline memory<std::byte> queries(element type, char const* scores, std::int64_t heads) {
  std::vector<std::byte> all(static_cast<std::size_t>(heads * head_dim * bytes_of(type)));
  tka_bench_make_queries(all.data(), static_cast<std::int32_t>(type), scores, heads);
  return memory<std::byte>(all);
}

}  // namespace bench::cuda
