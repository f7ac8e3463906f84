// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The calls of this test: inputs, and one run with the plan of one file by another.

#pragma once

#include "cpu/mixed_builds/level.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace mixed {

/// The same numbers everywhere: small integers, whose scores are exact, or numbers that round.
struct numbers {
  bool integers;
  std::uint32_t state = 1;
  float next() {
    state = state * 1664525u + 1013904223u;
    auto const x = static_cast<float>(static_cast<int>(state >> 16) % 9 - 4);
    return integers ? x : x * 0.37f + static_cast<float>(state >> 20) * 1e-4f;
  }
  template <class T>
  std::vector<T> row(std::size_t count) {
    std::vector<T> r(count);
    for (T& x : r) x = T(next());
    return r;
  }
};

inline constexpr int heads = 4;
inline constexpr int kv_heads = 2;
inline constexpr int queries = 3;
inline constexpr int keys = 700;
inline constexpr int dim = 48;
inline constexpr int kept = 60;
inline constexpr int page = 16;
inline constexpr int pages = (keys + page - 1) / page;
inline constexpr int index_heads = 3;
inline constexpr int index_dim = 32;
inline constexpr tka::shape shape{.q_heads = heads,
                                  .kv_heads = kv_heads,
                                  .q_len = queries,
                                  .kv_len = keys,
                                  .qk_dim = dim,
                                  .v_dim = dim,
                                  .page_size = page,
                                  .index_heads = index_heads,
                                  .index_dim = index_dim};

struct outputs {
  std::vector<std::int32_t> positions;
  std::vector<unsigned char> bytes;  ///< of everything that was written
  friend bool operator==(outputs const&, outputs const&) = default;
};

template <class T>
void add_bytes(outputs& all, std::vector<T> const& x) {
  auto const* const first = reinterpret_cast<unsigned char const*>(x.data());
  all.bytes.insert(all.bytes.end(), first, first + x.size() * sizeof(T));
}

inline void must(bool holds, char const* what) {
  if (holds) return;
  std::printf("failed: %s\n", what);
  std::exit(1);
}

class scratch_memory {
 public:
  explicit scratch_memory(tka::plan const& p)
      : bytes_(p.scratch_bytes + tka::workspace_alignment, std::byte{0xff}),
        size_(p.scratch_bytes) {
    void* base = bytes_.data();
    std::size_t room = bytes_.size();
    base_ = std::align(tka::workspace_alignment, size_, base, room);
  }
  [[nodiscard]] tka::workspace view() const { return {.scratch = base_, .scratch_bytes = size_}; }

 private:
  std::vector<std::byte> bytes_;
  std::size_t size_;
  void* base_;
};

/// Joined by the sum of two heads: `group_score` below says it again.
inline outputs run_exact(level const& planner, level const& runner, bool integers, int threads) {
  tka::plan const p = planner.plan_exact(shape,
                                         {.budget = tka::top_k(kept),
                                          .scale = 0.1f,
                                          .combine = tka::combine::sum,
                                          .metrics = tka::metrics::visible},
                                         {.threads = threads});
  must(p.status == tka::status::ok, "plan of the exact call");
  numbers random{integers};
  auto const q = random.row<tka::float16_t>(std::size_t{heads} * queries * dim);
  auto const k = random.row<tka::float16_t>(std::size_t{kv_heads} * keys * dim);
  auto const v = random.row<tka::float16_t>(std::size_t{kv_heads} * keys * dim);
  std::vector<tka::float16_t> o(q.size());
  std::vector<float> lse(std::size_t{heads} * queries);
  std::vector<float> lse_visible(lse.size());
  outputs all;
  all.positions.resize(std::size_t{kv_heads} * queries * kept);
  exact_tensors t{};
  t.q = tka::hnd(q.data(), heads, queries, dim);
  t.k = tka::hnd(k.data(), kv_heads, keys, dim);
  t.v = tka::hnd(v.data(), kv_heads, keys, dim);
  t.o = tka::hnd(o.data(), heads, queries, dim);
  t.lse = {lse.data(), 0, queries, 1};
  t.lse_visible = {lse_visible.data(), 0, queries, 1};
  t.positions = tka::hnd(all.positions.data(), kv_heads, queries, kept);
  scratch_memory const scratch(p);
  must(runner.run_exact(p, t, scratch.view()) == tka::status::ok, "the exact call");
  add_bytes(all, all.positions);
  add_bytes(all, o);
  add_bytes(all, lse);
  add_bytes(all, lse_visible);
  return all;
}

/// What integers must give, by a sort.
inline std::vector<std::int32_t> expected_positions() {
  numbers random{true};
  auto const q = random.row<tka::float16_t>(std::size_t{heads} * queries * dim);
  auto const k = random.row<tka::float16_t>(std::size_t{kv_heads} * keys * dim);
  std::vector<std::int32_t> all;
  for (int g = 0; g < kv_heads; ++g) {
    for (int i = 0; i < queries; ++i) {
      int const visible = keys - queries + i + 1;
      std::vector<float> score(static_cast<std::size_t>(visible));
      std::vector<std::int32_t> order(score.size());
      for (int j = 0; j < visible; ++j) {
        for (int h = 2 * g; h < 2 * g + 2; ++h) {
          for (int d = 0; d < dim; ++d) {
            score[static_cast<std::size_t>(j)] +=
                static_cast<float>(q[static_cast<std::size_t>((h * queries + i) * dim + d)]) *
                static_cast<float>(k[static_cast<std::size_t>((g * keys + j) * dim + d)]);
          }
        }
        order[static_cast<std::size_t>(j)] = j;
      }
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        return score[static_cast<std::size_t>(a)] > score[static_cast<std::size_t>(b)];
      });
      std::sort(order.begin(), order.begin() + kept);
      all.insert(all.end(), order.begin(), order.begin() + kept);
    }
  }
  return all;
}

inline outputs run_index(level const& planner, level const& runner, bool integers, int threads) {
  tka::plan const p =
      planner.plan_index(shape, {.budget = tka::top_k(kept), .scale = 0.1f}, {.threads = threads});
  must(p.status == tka::status::ok, "plan of the indexer's call");
  numbers random{integers};
  auto const q = random.row<tka::bfloat16_t>(std::size_t{heads} * queries * dim);
  auto const k = random.row<tka::bfloat16_t>(std::size_t{pages} * page * kv_heads * dim);
  auto const v = random.row<tka::bfloat16_t>(std::size_t{pages} * page * kv_heads * dim);
  auto const index_q =
      random.row<tka::float8_e4m3_t>(std::size_t{index_heads} * queries * index_dim);
  auto const weights = random.row<float>(std::size_t{index_heads} * queries);
  // Keys of the indexer are written by the same file.
  std::vector<tka::float8_e4m3_t> index_k(std::size_t{pages} * page * index_dim);
  std::vector<float> index_scales;
  for (std::size_t i = 0; i < std::size_t{pages} * page; ++i) {
    std::vector<float> row = random.row<float>(index_dim);
    index_scales.push_back(runner.quantize(row.data(), index_dim, index_k.data() + i * index_dim));
  }
  std::vector<std::int32_t> table(pages);
  for (int i = 0; i < pages; ++i) table[static_cast<std::size_t>(i)] = pages - 1 - i;
  std::int32_t const length = keys;
  std::vector<tka::bfloat16_t> o(q.size());
  std::vector<float> entropy(std::size_t{heads} * queries);
  outputs all;
  all.positions.resize(std::size_t{queries} * kept);
  index_tensors t{};
  t.q = tka::hnd(q.data(), heads, queries, dim);
  t.k = tka::nhd(k.data(), kv_heads, page, dim);
  t.v = tka::nhd(v.data(), kv_heads, page, dim);
  t.o = tka::hnd(o.data(), heads, queries, dim);
  t.kv = {.lengths = &length, .block_table = table.data(), .table_stride = pages, .pages = pages};
  t.index.q = tka::hnd(index_q.data(), index_heads, queries, index_dim);
  t.index.k = tka::nhd(index_k.data(), 1, page, index_dim);
  t.index.k_scales = {index_scales.data(), page, 0, 1};
  t.index.weights = {weights.data(), 0, queries, 1};
  t.entropy = {entropy.data(), 0, queries, 1};
  t.positions = {all.positions.data(), 0, 0, kept};
  scratch_memory const scratch(p);
  must(runner.run_index(p, t, scratch.view()) == tka::status::ok, "the indexer's call");
  add_bytes(all, all.positions);
  add_bytes(all, o);
  add_bytes(all, entropy);
  add_bytes(all, index_k);
  return all;
}

/// All that a file gives with plans of `planner`.
inline outputs run_all(level const& planner, level const& runner) {
  outputs all;
  for (bool const integers : {true, false}) {
    for (int const threads : {1, 4}) {
      outputs const exact = run_exact(planner, runner, integers, threads);
      if (integers) must(exact.positions == expected_positions(), "the set of integer scores");
      add_bytes(all, exact.bytes);
      add_bytes(all, run_index(planner, runner, integers, threads).bytes);
    }
  }
  return all;
}

[[nodiscard]] inline std::uint64_t hash_of(outputs const& x) {
  std::uint64_t hash = 14695981039346656037ull;
  for (unsigned char const c : x.bytes) hash = (hash ^ c) * 1099511628211ull;
  return hash;
}

}  // namespace mixed
