// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A paged cache: two sequences grow token by token, take pages from one pool when they need them,
/// and attend over what they hold. The plan is made once, for the longest sequence. A second cache
/// keeps each sequence in one piece; the outputs must be the same bits.

#include <tka/append.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace {

constexpr int batch = 2, q_heads = 4, kv_heads = 2, dim = 64, longest = 256;
constexpr int page_size = 16, pages = 40, table_width = longest / page_size;

struct alignas(tka::workspace_alignment) line {
  std::byte bytes[tka::workspace_alignment];
};

/// Free pages, taken from the end: sequences get theirs interleaved and in falling order.
struct page_pool {
  std::vector<std::int32_t> free;
  page_pool() {
    for (std::int32_t page = 0; page < pages; ++page) free.push_back(page);
  }
  std::int32_t take() {
    std::int32_t const page = free.back();
    free.pop_back();
    return page;
  }
};

/// One token's q, k and v for each sequence, [batch, heads, 1, dim].
struct new_token {
  std::vector<tka::float16_t> q, k, v;
};

template <class Random>
new_token draw(Random& random) {
  std::normal_distribution<float> normal;
  new_token t;
  auto const fill = [&](std::vector<tka::float16_t>& x, int heads) {
    for (int i = 0; i < batch * heads * dim; ++i) x.push_back(tka::float16_t{normal(random)});
  };
  fill(t.q, q_heads);
  fill(t.k, kv_heads);
  fill(t.v, kv_heads);
  return t;
}

/// A cache behind one kv source, with the calls that use it.
template <class Source>
struct cache {
  using form = tka::form<Source>;
  static constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp16, tka::cpu, form>;
  static constexpr auto append = tka::append<tka::fp16, tka::cpu, form>;

  tka::tensor_view<tka::float16_t> k, v;
  tka::shape shape{.batch = batch,
                   .q_heads = q_heads,
                   .kv_heads = kv_heads,
                   .kv_len = longest,
                   .qk_dim = dim,
                   .v_dim = dim,
                   .page_size = page_size};
  tka::plan plan = attend.plan(
      shape, {.budget = tka::ratio(1, 4, 8), .scale = 1 / std::sqrt(float{dim})}, {.threads = 1});
  std::vector<line> scratch = std::vector<line>(plan.scratch_bytes / sizeof(line) + 1);

  /// Puts the new token behind `lengths - 1` others, then lets it attend over all of them.
  std::vector<tka::float16_t> step(new_token const& t, std::int32_t const* lengths,
                                   typename Source::tensors source) {
    std::int32_t starts[batch];
    for (int b = 0; b < batch; ++b) starts[b] = lengths[b] - 1;
    tka::throw_if(append(shape, {},
                         {.new_k = tka::hnd(t.k.data(), kv_heads, 1, dim),
                          .new_v = tka::hnd(t.v.data(), kv_heads, 1, dim),
                          .k = k,
                          .v = v,
                          .kv = source,
                          .starts = starts}));
    std::vector<tka::float16_t> o(t.q.size());
    tka::throw_if(attend(plan,
                         {.q = tka::hnd(t.q.data(), q_heads, 1, dim),
                          .k = k,
                          .v = v,
                          .o = tka::hnd(o.data(), q_heads, 1, dim),
                          .kv = source},
                         {scratch.data(), scratch.size() * sizeof(line)}));
    return o;
  }
};

}  // namespace

int main() {
  // Pages [pages, kv_heads, page_size, dim]; pieces [batch, kv_heads, longest, dim].
  std::vector<tka::float16_t> page_k(std::size_t{pages} * kv_heads * page_size * dim),
      page_v(page_k);
  std::vector<tka::float16_t> piece_k(std::size_t{batch} * kv_heads * longest * dim),
      piece_v(piece_k);
  cache<tka::kv::paged> paged{.k = tka::hnd(page_k.data(), kv_heads, page_size, dim),
                              .v = tka::hnd(page_v.data(), kv_heads, page_size, dim)};
  cache<tka::kv::contiguous> whole{.k = tka::hnd(piece_k.data(), kv_heads, longest, dim),
                                   .v = tka::hnd(piece_v.data(), kv_heads, longest, dim)};

  page_pool pool;
  std::vector<std::int32_t> table(batch * table_width, -1);
  std::int32_t lengths[batch] = {0, 70};  // the second one has a past, of zeros
  for (int i = 0; i * page_size < lengths[1]; ++i)
    table[std::size_t(table_width + i)] = pool.take();

  std::mt19937 random(1);
  int same = 0, steps = 150;
  for (int step = 0; step < steps; ++step) {
    for (int b = 0; b < batch; ++b) {
      auto& page = table[std::size_t(b * table_width + lengths[b] / page_size)];
      if (page < 0) page = pool.take();
      ++lengths[b];
    }
    new_token const t = draw(random);
    auto const from_pages = paged.step(t, lengths,
                                       {.lengths = lengths,
                                        .block_table = table.data(),
                                        .table_stride = table_width,
                                        .pages = pages});
    auto const from_piece = whole.step(t, lengths, {.lengths = lengths});
    same += std::memcmp(from_pages.data(), from_piece.data(),
                        from_pages.size() * sizeof(tka::float16_t)) == 0;
  }
  std::printf("%d tokens appended to each of %d sequences, now %d and %d long, in %zu pages\n",
              steps, batch, lengths[0], lengths[1], pages - pool.free.size());
  std::printf("first pages of the first sequence: %d %d %d\n", table[0], table[1], table[2]);
  std::printf("%d of %d steps gave the same bits as a cache in one piece\n", same, steps);
  return same == steps ? 0 : 1;
}
