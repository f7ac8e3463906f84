// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the CPU benchmarks share: threads, memory that is past the caches, its bandwidth.

#pragma once

#include <tka/backend/cpu.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

namespace bench {

inline constexpr int threads = 2;
inline constexpr std::int64_t stream_bytes = 1'000'000'000;

inline tka::thread_team& team() {
  static tka::thread_team instance{threads};
  return instance;
}

template <class T>
struct free_memory {
  void operator()(T* p) const { std::free(p); }
};
template <class T>
using block = std::unique_ptr<T[], free_memory<T>>;

/// Pages are touched by the thread that makes them, never zero.
template <class T>
block<T> random_block(std::int64_t count, std::uint32_t seed) {
  static bool const small_pages = std::getenv("TKA_BENCH_SMALL_PAGES") != nullptr;
  // Huge pages where the system grants them, as engines ask for their caches: selected rows lie
  // far apart, and with small pages each costs a walk through the page tables.
  constexpr std::size_t page = std::size_t{2} << 20;
  std::size_t const bytes = (static_cast<std::size_t>(count) * sizeof(T) + page - 1) / page * page;
  block<T> memory{static_cast<T*>(std::aligned_alloc(page, bytes))};
  if (!small_pages) (void)madvise(memory.get(), bytes, MADV_HUGEPAGE);
  std::vector<T> pool(1 << 16);
  std::mt19937 random{seed};
  std::normal_distribution<float> normal;
  for (T& x : pool) x = T(normal(random));
  std::uint32_t state = seed * 2654435761u + 1u;
  for (std::int64_t i = 0; i < count; i += 64) {
    state = state * 1664525u + 1013904223u;
    std::int64_t const n = std::min<std::int64_t>(64, count - i);
    auto const from = (state >> 8) & static_cast<std::uint32_t>(pool.size() - 64);
    for (std::int64_t j = 0; j < n; ++j) {
      memory[static_cast<std::size_t>(i + j)] =
          pool[from + static_cast<std::size_t>((j * 7 + (state >> 24)) & 63)];
    }
  }
  return memory;
}

/// All threads read `stream_bytes` once; what they summed.
inline float read_stream(float const* memory) {
  namespace simd = tka::detail::cpu;
  constexpr int width = simd::lane_count;
  std::int64_t const share = stream_bytes / 4 / threads / (4 * width) * (4 * width);
  float total[threads];
  team()(threads, [&](int worker) {
    float const* p = memory + share * worker;
    float const* const end = p + share;
    simd::lanes sum[4] = {simd::splat(0), simd::splat(0), simd::splat(0), simd::splat(0)};
    for (; p < end; p += 4 * width) {
      for (int i = 0; i < 4; ++i) sum[i] = simd::add(sum[i], simd::load(p + i * width));
    }
    total[worker] = simd::sum(simd::add(simd::add(sum[0], sum[1]), simd::add(sum[2], sum[3])));
  });
  return total[0] + total[threads - 1];
}

}  // namespace bench
