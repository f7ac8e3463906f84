// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// DeepSeek's 656-byte rows, laid out here byte by byte, against an fp32 run over the same numbers.

#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr std::int32_t heads = 8;
constexpr std::int32_t page_size = 5;
constexpr std::int32_t pages = 44;
constexpr std::int32_t length = 213;
constexpr std::int32_t capacity = 30;
constexpr tka::shape s{.q_heads = heads,
                       .kv_heads = 1,
                       .q_len = 2,
                       .kv_len = 220,
                       .qk_dim = 576,
                       .v_dim = 512,
                       .page_size = page_size};

template <class T>
struct aligned {
  std::vector<T> memory;
  T* data;
  explicit aligned(std::size_t n) : memory(n + 64) {
    auto const base = reinterpret_cast<std::uintptr_t>(memory.data());
    data = reinterpret_cast<T*>((base + 63) / 64 * 64);
  }
};

/// A cache of pages, and its rows as floats in the order of positions.
struct cache {
  aligned<unsigned char> bytes{std::size_t{pages} * page_size * 656};
  std::vector<std::int32_t> table;
  aligned<float> k{std::size_t{220} * 576};

  explicit cache(support::random_source& random) {
    for (std::int32_t i = 0; i < pages; ++i) table.push_back((i * 9) % pages);
    for (std::int32_t i = 0; i < length; ++i) {
      std::int32_t const page = table[static_cast<std::size_t>(i / page_size)];
      unsigned char* const row =
          bytes.data + static_cast<std::size_t>(page * page_size + i % page_size) * 656;
      float* const wide = k.data + static_cast<std::size_t>(i) * 576;
      for (std::size_t block = 0; block < 4; ++block) {
        float const scale = std::ldexp(1.0f, static_cast<int>(random.between(-2, 2)));
        std::memcpy(row + 512 + 4 * block, &scale, 4);
        for (std::size_t d = block * 128; d < (block + 1) * 128; ++d) {
          auto const value = static_cast<float>(random.between(-4, 4));
          row[d] = tka::float8_e4m3_t{value}.bits;
          wide[d] = value * scale;
        }
      }
      for (std::size_t d = 0; d < 64; ++d) {
        auto const value = static_cast<float>(random.between(-8, 8));
        std::uint16_t const bits = tka::bfloat16_t{value}.bits;
        std::memcpy(row + 528 + 2 * d, &bits, 2);
        wide[512 + d] = value;
      }
    }
  }
};

TEST_CASE("[tka.storage] 656-byte rows: keys of 576, values their first 512, against fp32") {
  support::random_source random("mla");
  INFO(random);
  cache const c(random);
  aligned<float> q(std::size_t{heads} * 2 * 576);
  for (std::size_t i = 0; i < std::size_t{heads} * 2 * 576; ++i) {
    q.data[i] = static_cast<float>(random.between(-3, 3));
  }
  tka::options const o{.budget = tka::top_k(capacity), .scale = 0.003f};
  std::size_t const lists = heads * 2;
  auto const run = [&](auto const& attend, auto tensors, std::vector<std::int32_t>& positions,
                       std::vector<float>& scores, aligned<float>& out) {
    tka::plan const p = attend.plan(s, o, {});
    REQUIRE(p.status == tka::status::ok);
    aligned<unsigned char> scratch(p.scratch_bytes);
    tensors.q = tka::nhd(static_cast<float const*>(q.data), heads, 2, 576);
    tensors.o = tka::nhd(out.data, heads, 2, 512);
    tensors.positions = tka::nhd(positions.data(), heads, 2, capacity);
    tensors.scores = tka::nhd(scores.data(), heads, 2, capacity);
    REQUIRE(attend(p, tensors, {.scratch = scratch.data, .scratch_bytes = p.scratch_bytes}) ==
            tka::status::ok);
  };
  constexpr auto narrow =
      tka::sparse_attention<tka::exact_radix, tka::fp8_with<tka::fp32>, tka::cpu,
                            tka::form<tka::kv::paged, tka::layout::mla_656>>;
  constexpr auto wide = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;
  std::vector<std::int32_t> positions[2];
  std::vector<float> scores[2];
  for (int i = 0; i < 2; ++i) {
    positions[i].resize(lists * capacity);
    scores[i].resize(lists * capacity);
  }
  aligned<float> out_narrow(lists * 512);
  aligned<float> out_wide(lists * 512);
  std::int32_t const lengths = length;

  std::remove_const_t<decltype(narrow)>::tensors n{};
  n.k = {c.bytes.data, page_size * 656, 656, 656};
  n.kv = {
      .lengths = &lengths, .block_table = c.table.data(), .table_stride = pages, .pages = pages};
  run(narrow, n, positions[0], scores[0], out_narrow);
  std::remove_const_t<decltype(wide)>::tensors w{};
  w.k = tka::nhd(static_cast<float const*>(c.k.data), 1, 220, 576);
  w.v = {c.k.data, 220 * 576, 576, 576};  // inside k's memory
  w.kv.lengths = &lengths;
  run(wide, w, positions[1], scores[1], out_wide);

  CHECK(positions[0] == positions[1]);
  CHECK(scores[0] == scores[1]);
  float worst = 0.0f;
  float largest = 0.0f;
  for (std::size_t i = 0; i < lists * 512; ++i) {
    worst = std::max(worst, std::fabs(out_narrow.data[i] - out_wide.data[i]));
    largest = std::max(largest, std::fabs(out_wide.data[i]));
  }
  CHECK(worst <= 1e-5f * largest);
  CHECK(largest > 0.1f);
}

TEST_CASE("656-byte rows: only one key head, 576 and 512 dimensions") {
  constexpr auto attend =
      tka::sparse_attention<tka::exact_radix, tka::fp8, tka::cpu, tka::form<tka::layout::mla_656>>;
  tka::options const o{.budget = tka::top_k(8), .scale = 1.0f};
  CHECK(attend.supported(s, o, {}) == tka::status::ok);
  tka::shape other = s;
  other.kv_heads = 2;
  CHECK(attend.supported(other, o, {}) == tka::status::invalid_group);
  other = s;
  other.qk_dim = 512;
  CHECK(attend.supported(other, o, {}) == tka::status::unsupported_head_dim);
  other = s;
  other.v_dim = 576;
  CHECK(attend.supported(other, o, {}) == tka::status::unsupported_head_dim);
}

}  // namespace
