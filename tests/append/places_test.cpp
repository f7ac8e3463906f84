// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Where appended tokens go: shards, tokens without a place, starts out of range; and the rows of
/// 656 bytes and pages of 132 bytes a token.

#include <tka/append.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/precision/fp32.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>
#include <memory/guarded.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <vector>

namespace {

using support::guarded;

constexpr std::int32_t dim = 16;

/// One key head of `dim` floats; token i of the new rows is all i + 1.
struct floats {
  guarded<float> rows;
  guarded<float> k;
  guarded<float> v;
  std::uint32_t error = 0;

  floats(std::int32_t tokens, std::int32_t slots)
      : rows(static_cast<std::size_t>(tokens * dim), support::guard::behind, 16),
        k(static_cast<std::size_t>(slots * dim), support::guard::behind, 16, 0),
        v(static_cast<std::size_t>(slots * dim), support::guard::before, 16, 0) {
    for (std::int32_t i = 0; i < tokens * dim; ++i) {
      rows[static_cast<std::size_t>(i)] = static_cast<float>(i / dim + 1);
    }
  }
  /// What stands in each slot: 0 for nothing.
  [[nodiscard]] std::vector<int> contents() const {
    std::vector<int> all;
    for (std::size_t slot = 0; slot < k.size() / dim; ++slot) {
      bool whole = true;
      for (std::size_t d = 0; d < dim; ++d) {
        whole = whole && k[slot * dim + d] == k[slot * dim] && v[slot * dim + d] == k[slot * dim];
      }
      all.push_back(whole ? static_cast<int>(k[slot * dim]) : -1);
    }
    return all;
  }
};

using contents = std::vector<int>;

TEST_CASE("[tka.append] [tka.shard] each shard takes its blocks, at its own local places") {
  // Positions 3..12 (values 1..10), blocks of 2 dealt out to 3 shards.
  for (std::int32_t index = 0; index < 3; ++index) {
    floats f(10, 8);
    std::int32_t const start = 3;
    tka::append_options o{};
    o.shard = {.block = 2, .index = index, .count = 3};
    CHECK(tka::append<tka::fp32, tka::cpu>(
              {.kv_heads = 1, .q_len = 10, .kv_len = 24, .qk_dim = dim, .v_dim = dim}, o,
              {.new_k = {f.rows.data(), 0, 0, dim},
               .new_v = {f.rows.data(), 0, 0, dim},
               .k = {f.k.data(), 0, 0, dim},
               .v = {f.v.data(), 0, 0, dim},
               .starts = &start,
               .error = &f.error}) == tka::status::ok);
    contents expected(8, 0);
    for (std::int32_t position = 3; position < 13; ++position) {
      if (position / 2 % 3 != index) continue;
      std::int32_t const local = position / 6 * 2 + position % 2;
      expected[static_cast<std::size_t>(local)] = position - 3 + 1;
    }
    CHECK(f.contents() == expected);
    CHECK(f.error == 0);
    CHECK(f.k.intact());
    CHECK(f.v.intact());
  }
}

tka::status append_at(floats& f, std::int32_t start, std::int32_t tokens, std::int32_t kv_len) {
  return tka::append<tka::fp32, tka::cpu>(
      {.kv_heads = 1, .q_len = tokens, .kv_len = kv_len, .qk_dim = dim, .v_dim = dim}, {},
      {.new_k = {f.rows.data(), 0, 0, dim},
       .new_v = {f.rows.data(), 0, 0, dim},
       .k = {f.k.data(), 0, 0, dim},
       .v = {f.v.data(), 0, 0, dim},
       .starts = &start,
       .error = &f.error});
}

TEST_CASE("[tka.data_error] tokens before the first or behind the last position are passed over") {
  auto const bit = static_cast<std::uint32_t>(tka::data_error::position_out_of_range);
  floats behind(4, 6);
  CHECK(append_at(behind, 4, 4, 6) == tka::status::ok);
  CHECK(behind.contents() == contents{0, 0, 0, 0, 1, 2});
  CHECK(behind.error == bit);

  floats before(4, 6);
  CHECK(append_at(before, -2, 4, 6) == tka::status::ok);
  CHECK(before.contents() == contents{3, 4, 0, 0, 0, 0});
  CHECK(before.error == bit);

  floats far(4, 6);
  CHECK(append_at(far, std::numeric_limits<std::int32_t>::max() - 1, 4, 6) == tka::status::ok);
  CHECK(append_at(far, std::numeric_limits<std::int32_t>::min(), 4, 6) == tka::status::ok);
  CHECK(far.contents() == contents(6, 0));
  CHECK(far.error == bit);

  floats right(4, 6);
  CHECK(append_at(right, 2, 4, 6) == tka::status::ok);
  CHECK(right.contents() == contents{0, 0, 1, 2, 3, 4});
  CHECK(right.error == 0);
  CHECK(right.k.intact());
}

TEST_CASE("[tka.data_error] a page out of range is never written; the rest is") {
  floats f(6, 6);  // pages of 2: 3 of them
  std::vector<std::int32_t> const table{2, 3, -1, 0};
  std::int32_t const start = 1;
  std::int32_t const length = 8;
  CHECK(tka::append<tka::fp32, tka::cpu, tka::form<tka::kv::paged>>(
            {.kv_heads = 1, .q_len = 6, .kv_len = 8, .qk_dim = dim, .v_dim = dim, .page_size = 2},
            {},
            {.new_k = {f.rows.data(), 0, 0, dim},
             .new_v = {f.rows.data(), 0, 0, dim},
             .k = {f.k.data(), 2 * dim, 0, dim},
             .v = {f.v.data(), 2 * dim, 0, dim},
             .kv = {.lengths = &length, .block_table = table.data(), .table_stride = 4, .pages = 3},
             .starts = &start,
             .error = &f.error}) == tka::status::ok);
  // Position 1 is page 2 slot 1; 2..5 have no page; 6 is page 0 slot 0.
  CHECK(f.contents() == contents{6, 0, 0, 0, 0, 1});
  CHECK(f.error == static_cast<std::uint32_t>(tka::data_error::page_out_of_range));
  CHECK(f.k.intact());
  CHECK(f.v.intact());
}

TEST_CASE("[tka.data_error] packed sequences end at their borders, whatever the bound") {
  floats f(8, 9);
  // Room for 3, 2 and 4 keys; the second sequence needs one more, the third begins before it.
  std::vector<std::int32_t> const borders{0, 3, 5, 9};
  std::vector<std::int32_t> const starts{1, 1, -1};
  auto const append_between = [&](std::vector<std::int32_t> const& cache_borders) {
    return tka::append<tka::fp32, tka::cpu, tka::form<tka::kv::ragged>>(
        {.batch = 3, .kv_heads = 1, .q_len = 2, .kv_len = 6, .qk_dim = dim, .v_dim = dim}, {},
        {.new_k = {f.rows.data(), 2 * dim, 0, dim},
         .new_v = {f.rows.data(), 2 * dim, 0, dim},
         .k = {f.k.data(), 0, 0, dim},
         .v = {f.v.data(), 0, 0, dim},
         .kv = {.cumulative = cache_borders.data()},
         .starts = starts.data(),
         .error = &f.error});
  };
  CHECK(append_between(borders) == tka::status::ok);
  CHECK(f.contents() == contents{0, 1, 2, 0, 3, 6, 0, 0, 0});
  CHECK(f.error == static_cast<std::uint32_t>(tka::data_error::position_out_of_range));

  // Borders that fall, that lie further apart than the bound, and that begin before the cache.
  for (auto const& broken : {contents{4, 3, 3, 3}, contents{0, 7, 7, 7}, contents{-1, 3, 3, 3}}) {
    std::fill(f.k.data(), f.k.data() + f.k.size(), 0.0f);
    std::fill(f.v.data(), f.v.data() + f.v.size(), 0.0f);
    f.error = 0;
    CHECK(append_between(broken) == tka::status::ok);
    CHECK(f.contents() == contents(9, 0));
    CHECK(f.error == (static_cast<std::uint32_t>(tka::data_error::length_out_of_bounds) |
                      static_cast<std::uint32_t>(tka::data_error::position_out_of_range)));
  }
  CHECK(f.k.intact());
  CHECK(f.v.intact());
}

TEST_CASE("[tka.data_error] borders of queries that break the rules skip their sequence") {
  floats f(5, 12);
  // Sequence 0: 2 tokens; 1: falling; 2: more than q_len.
  std::vector<std::int32_t> const borders{3, 5, 1, 9};
  std::vector<std::int32_t> const starts{0, 0, 0};
  CHECK(tka::append<tka::fp32, tka::cpu, tka::form<tka::query::ragged>>(
            {.batch = 3, .kv_heads = 1, .q_len = 4, .kv_len = 4, .qk_dim = dim, .v_dim = dim}, {},
            {.new_k = {f.rows.data(), 0, 0, dim},
             .new_v = {f.rows.data(), 0, 0, dim},
             .k = {f.k.data(), 4 * dim, 0, dim},
             .v = {f.v.data(), 4 * dim, 0, dim},
             .query = {.cumulative = borders.data()},
             .starts = starts.data(),
             .error = &f.error}) == tka::status::ok);
  CHECK(f.contents() == contents{4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  CHECK(f.error == static_cast<std::uint32_t>(tka::data_error::query_range_invalid));
}

TEST_CASE("[tka.append] rows of 656 bytes, byte by byte") {
  support::random_source random("656");
  INFO(random);
  std::vector<float> row(2 * 576);
  for (float& x : row) x = static_cast<float>(random.normal());
  using form = tka::form<tka::layout::mla_656, tka::kv::paged>;
  for (auto const rounding : {tka::scale_rounding::nearest, tka::scale_rounding::power_of_two}) {
    guarded<tka::float8_e4m3_t> cache(4 * 656, support::guard::behind, 16, 0x55);
    std::vector<std::int32_t> const table{1, 0};
    std::int32_t const start = 1;
    std::int32_t const length = 4;
    tka::append_options o{};
    o.rounding = rounding;
    CHECK(
        tka::append<tka::fp8_with<tka::fp32>, tka::cpu, form>(
            {.kv_heads = 1, .q_len = 2, .kv_len = 4, .qk_dim = 576, .v_dim = 512, .page_size = 2},
            o,
            {.new_k = {row.data(), 0, 0, 576},
             .k = {cache.data(), 2 * 656, 0, 656},
             .kv = {.lengths = &length, .block_table = table.data(), .table_stride = 2, .pages = 2},
             .starts = &start}) == tka::status::ok);
    CHECK(cache.intact());
    // Positions 1 and 2: page 1 slot 1, page 0 slot 0.
    std::size_t const slots[2] = {3, 0};
    for (std::size_t i = 0; i < 2; ++i) {
      auto const* const bytes =
          reinterpret_cast<unsigned char const*>(cache.data() + slots[i] * 656);
      bool right = true;
      for (std::size_t block = 0; block < 4; ++block) {
        float amax = 0.0f;
        for (std::size_t d = block * 128; d < (block + 1) * 128; ++d) {
          amax = std::max(amax, std::fabs(row[i * 576 + d]));
        }
        float want = amax / 448.0f;
        if (rounding == tka::scale_rounding::power_of_two) {
          want = std::exp2(std::ceil(std::log2(want)));
        }
        float scale = 0.0f;
        std::memcpy(&scale, bytes + 512 + 4 * block, 4);
        right = right && scale == want;
        for (std::size_t d = block * 128; d < (block + 1) * 128; ++d) {
          right = right && bytes[d] == tka::float8_e4m3_t{row[i * 576 + d] / scale}.bits;
        }
      }
      for (std::size_t d = 0; d < 64; ++d) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, bytes + 528 + 2 * d, 2);
        right = right && bits == tka::bfloat16_t{row[i * 576 + 512 + d]}.bits;
      }
      CHECK(right);
    }
    for (std::size_t const slot : {std::size_t{1}, std::size_t{2}}) {
      auto const* const bytes = reinterpret_cast<unsigned char const*>(cache.data() + slot * 656);
      CHECK(std::all_of(bytes, bytes + 656, [](unsigned char b) { return b == 0x55; }));
    }
  }
}

TEST_CASE("append refuses what the host can know, and writes nothing") {
  floats f(4, 6);
  std::int32_t const start = 0;
  constexpr auto call = tka::append<tka::fp32, tka::cpu>;
  using tensors = std::remove_const_t<decltype(call)>::tensors;
  tensors const t{.new_k = {f.rows.data(), 0, 0, dim},
                  .new_v = {f.rows.data(), 0, 0, dim},
                  .k = {f.k.data(), 0, 0, dim},
                  .v = {f.v.data(), 0, 0, dim},
                  .starts = &start,
                  .error = &f.error};
  tka::shape const s{.kv_heads = 1, .q_len = 4, .kv_len = 6, .qk_dim = dim, .v_dim = dim};
  auto const with = [&](auto&& change) {
    tka::shape shape = s;
    tka::append_options o{};
    tensors tensor = t;
    change(shape, o, tensor);
    return call(shape, o, tensor);
  };
  using tka::status;
  CHECK(with([](auto& x, auto&, auto&) { x.batch = 0; }) == status::invalid_shape);
  CHECK(with([](auto& x, auto&, auto&) { x.q_len = -1; }) == status::invalid_shape);
  CHECK(with([](auto& x, auto&, auto&) { x.kv_len = -1; }) == status::invalid_shape);
  CHECK(with([](auto& x, auto&, auto&) { x.qk_dim = 0; }) == status::invalid_shape);
  CHECK(with([](auto& x, auto&, auto&) { x.v_dim = 0; }) == status::invalid_shape);
  CHECK(with([](auto& x, auto&, auto&) { x.kv_heads = 0; }) == status::invalid_shape);
  CHECK(with([](auto& x, auto&, auto&) { x.qk_dim = 1040; }) == status::unsupported_head_dim);
  CHECK(with([](auto& x, auto&, auto&) { x.v_dim = 1040; }) == status::unsupported_head_dim);
  CHECK(with([](auto&, auto& o, auto&) { o.shard.count = 0; }) == status::invalid_shard);
  CHECK(with([](auto&, auto& o, auto&) { o.shard.block = 0; }) == status::invalid_shard);
  CHECK(with([](auto&, auto& o, auto&) { o.shard.index = 1; }) == status::invalid_shard);
  CHECK(with([](auto&, auto&, auto& x) { x.starts = nullptr; }) == status::null_pointer);
  CHECK(with([](auto&, auto&, auto& x) { x.new_k.data = nullptr; }) == status::null_pointer);
  CHECK(with([](auto&, auto&, auto& x) { x.new_v.data = nullptr; }) == status::null_pointer);
  CHECK(with([](auto&, auto&, auto& x) { x.k.data = nullptr; }) == status::null_pointer);
  CHECK(with([](auto&, auto&, auto& x) { x.v.data = nullptr; }) == status::null_pointer);
  using paged = tka::form<tka::kv::paged>;
  CHECK(tka::append<tka::fp32, tka::cpu, paged>(s, {}, {}) == status::invalid_page_size);
  using ragged = tka::form<tka::kv::ragged>;
  tka::append_options two_shards{};
  two_shards.shard.count = 2;
  CHECK(tka::append<tka::fp32, tka::cpu, ragged>(s, two_shards, {}) == status::invalid_shard);
  using mla = tka::form<tka::layout::mla_656>;
  CHECK(tka::append<tka::fp8, tka::cpu, mla>(s, {}, {}) == status::unsupported_head_dim);
  CHECK(f.contents() == contents(6, 0));
  CHECK(f.error == 0);
}

}  // namespace
