// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The same index keys in every layout that the library reads.

#pragma once

#include <tka/select_top_k.hpp>

#include <support/backend.hpp>

#include <doctest/doctest.h>
#include <indexer/index_oracle.hpp>

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace index_test {

struct found {
  std::vector<std::vector<std::int32_t>> positions;  // [batch * q_len]
  std::vector<std::vector<float>> scores;
};

/// Selects with the lightning indexer over `n`, stored as Precision, Layout and Source say. Pages
/// lie in reverse order.
template <class Selector, class Precision, class Layout, class Source>
found selected(numbers const& n, tka::options const& o, std::int32_t page_size = 1,
               int threads = 1) {
  using key = typename Precision::key_type;
  using query = typename Precision::query_type;
  using selection = tka::lightning_indexer<Selector, Precision, Layout>;
  constexpr auto select =
      tka::select_top_k<selection, tka::bf16, support::backend, tka::form<Source>>;
  constexpr bool paged = Source::has_pages;
  constexpr bool in_page = std::is_same_v<Layout, tka::index_layout::page_132>;
  extents const& e = n.e;
  tka::shape const s{.batch = e.batch,
                     .q_heads = 2,
                     .kv_heads = 1,
                     .q_len = e.q_len,
                     .kv_len = e.kv_len,
                     .qk_dim = 16,
                     .v_dim = 16,
                     .page_size = page_size,
                     .index_heads = e.heads,
                     .index_dim = e.dim};
  tka::plan const p = select.plan(s, o, support::device_of(threads));
  REQUIRE(p.status == tka::status::ok);
  REQUIRE(p.scope_heads == 1);

  aligned<query> q(n.q.size());
  for (std::size_t i = 0; i < n.q.size(); ++i) q.data[i] = static_cast<query>(n.q[i]);
  std::int32_t const per_sequence = (e.kv_len + page_size - 1) / page_size;
  std::int32_t const pages = per_sequence * e.batch;
  std::size_t const slots =
      static_cast<std::size_t>(paged ? pages * page_size : e.batch * e.kv_len);
  auto const dim = static_cast<std::size_t>(e.dim);
  auto const page_bytes = static_cast<std::size_t>(page_size) * (dim + 4);
  aligned<key> k(in_page ? static_cast<std::size_t>(pages) * page_bytes : slots * dim);
  std::memset(static_cast<void*>(k.data), 0xff, k.size * sizeof(key));
  support::array<float> scale(slots, -1.0f);
  support::array<std::int32_t> table;
  for (std::int32_t i = 0; i < pages; ++i) table.push_back(pages - 1 - i);
  for (std::int32_t b = 0; b < e.batch; ++b) {
    for (std::int32_t i = 0; i < e.kv_len; ++i) {
      std::int32_t const page = table[static_cast<std::size_t>(b * per_sequence + i / page_size)];
      auto const slot =
          static_cast<std::size_t>(paged ? page * page_size + i % page_size : b * e.kv_len + i);
      float const own = n.k_scale[static_cast<std::size_t>(b * e.kv_len + i)];
      std::size_t row = slot * dim;
      if constexpr (in_page) {
        std::size_t const base = static_cast<std::size_t>(page) * page_bytes;
        auto const in = static_cast<std::size_t>(i % page_size);
        row = base + in * dim;
        std::memcpy(
            static_cast<void*>(k.data + base + static_cast<std::size_t>(page_size) * dim + 4 * in),
            &own, 4);
      }
      for (std::size_t d = 0; d < dim; ++d) k.data[row + d] = static_cast<key>(n.k_row(b, i)[d]);
      scale[slot] = own;
    }
  }

  support::array<float> const weight(n.weight.begin(), n.weight.end());
  support::array<std::int32_t> const lengths(static_cast<std::size_t>(e.batch), e.kv_len);
  typename std::remove_const_t<decltype(select)>::tensors t{};
  t.kv.lengths = lengths.data();
  if constexpr (paged) {
    t.kv.block_table = table.data();
    t.kv.table_stride = per_sequence;
    t.kv.pages = pages;
  }
  std::int64_t const slots_apart = paged ? page_size : e.kv_len;
  t.index.q = tka::nhd(static_cast<query const*>(q.data), e.heads, e.q_len, e.dim);
  t.index.weights = tka::nhd(weight.data(), e.heads, e.q_len, 1);
  if constexpr (in_page) {
    t.index.k = {k.data, static_cast<std::int64_t>(page_bytes), 0, e.dim};
  } else {
    t.index.k = {k.data, slots_apart * e.dim, 0, e.dim};
    t.index.k_scales = {scale.data(), slots_apart, 0, 1};
  }
  auto const lists = static_cast<std::size_t>(e.batch * e.q_len);
  auto const room = static_cast<std::size_t>(p.capacity);
  support::array<std::int32_t> positions(lists * room);
  support::array<float> scores(lists * room);
  support::array<std::int32_t> count(lists);
  t.positions = {positions.data(), e.q_len * p.capacity, 0, p.capacity};
  t.scores = {scores.data(), e.q_len * p.capacity, 0, p.capacity};
  t.count = {count.data(), e.q_len, 0, 1};
  REQUIRE(support::run(select, p, t) == tka::status::ok);
  found f;
  for (std::size_t i = 0; i < lists; ++i) {
    auto const from = static_cast<std::ptrdiff_t>(i * room);
    f.positions.emplace_back(positions.begin() + from, positions.begin() + from + count[i]);
    f.scores.emplace_back(scores.begin() + from, scores.begin() + from + count[i]);
  }
  return f;
}

/// The causal rows of `n` by the oracle; `keep` keys each.
inline bool equals_oracle(numbers const& n, found const& f, std::int32_t keep) {
  bool same = true;
  for (std::int32_t b = 0; b < n.e.batch; ++b) {
    for (std::int32_t i = 0; i < n.e.q_len; ++i) {
      std::vector<double> scores;
      for (std::int32_t key = 0; key <= n.e.kv_len - n.e.q_len + i; ++key) {
        scores.push_back(n.score(b, i, key));
      }
      auto const row = static_cast<std::size_t>(b * n.e.q_len + i);
      std::vector<std::int32_t> const expected = largest(scores, keep);
      same = same && f.positions[row] == expected;
      if (f.positions[row] != expected) continue;
      for (std::size_t j = 0; j < expected.size(); ++j) {
        double const want = scores[static_cast<std::size_t>(expected[j])];
        auto const got = static_cast<double>(f.scores[row][j]);
        same = same && (std::isnan(want) ? std::isnan(got) : want == got);
      }
    }
  }
  return same;
}

}  // namespace index_test
