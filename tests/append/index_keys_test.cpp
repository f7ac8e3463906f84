// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Index keys written by append and read by the indexer.

#include <tka/append.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/select_top_k.hpp>

#include <doctest/doctest.h>
#include <indexer/index_oracle.hpp>
#include <memory/guarded.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

using index_test::aligned;
using support::guarded;
using e4m3 = tka::float8_e4m3_t;
using paged = tka::form<tka::kv::paged>;

constexpr std::int32_t dim = 128;
constexpr std::int32_t page_size = 5;
constexpr std::int32_t length = 43;
constexpr std::int32_t pages = 9;

tka::append_options with(tka::scale_rounding rounding, tka::rotation rotate) {
  tka::append_options o{};
  o.rounding = rounding;
  o.rotate = rotate;
  return o;
}

std::vector<float> random_rows(std::int32_t rows, support::random_source& random) {
  std::vector<float> all(static_cast<std::size_t>(rows * dim));
  for (float& x : all) x = static_cast<float>(random.normal());
  return all;
}

std::vector<std::int32_t> table() {
  std::vector<std::int32_t> t;
  for (std::int32_t i = 0; i < pages; ++i) t.push_back(pages - 1 - i);
  return t;
}

/// The row as append must store it.
struct stored_row {
  std::vector<e4m3> bytes = std::vector<e4m3>(dim);
  float scale = 0.0f;
  stored_row(float const* row, tka::append_options const& o) {
    std::vector<float> work(row, row + dim);
    scale = tka::quantize_row(work.data(), dim, bytes.data(), o.rounding, o.rotate);
  }
};

constexpr tka::shape s{.q_heads = 1,
                       .kv_heads = 1,
                       .q_len = length,
                       .kv_len = pages * page_size,
                       .qk_dim = 16,
                       .v_dim = 16,
                       .page_size = page_size,
                       .index_heads = 4,
                       .index_dim = dim};

TEST_CASE("[tka.append] 132-byte pages: rows, then scales, and nothing else") {
  support::random_source random("132");
  INFO(random);
  std::vector<float> const rows = random_rows(length, random);
  auto const pages_of = table();
  for (auto const rotate : {tka::rotation::none, tka::rotation::hadamard}) {
    tka::append_options const o = with(tka::scale_rounding::power_of_two, rotate);
    guarded<e4m3> cache(pages * page_size * (dim + 4), support::guard::behind, 1, 0x55);
    std::int32_t const start = 1;
    std::uint32_t error = 0;
    CHECK(tka::append_index_keys<tka::index_fp8, tka::cpu, paged, tka::index_layout::page_132>(
              s, o,
              {.new_k = {rows.data(), 0, 0, dim},
               .k = {cache.data(), page_size * (dim + 4), 0, dim},
               .kv = {.lengths = &start,
                      .block_table = pages_of.data(),
                      .table_stride = pages,
                      .pages = pages},
               .starts = &start,
               .error = &error}) == tka::status::ok);
    CHECK(error == 0);
    CHECK(cache.intact());
    guarded<e4m3> expected(cache.size(), support::guard::behind, 1, 0x55);
    for (std::int32_t i = 0; i < length; ++i) {
      std::int32_t const position = i + 1;
      std::size_t const page = static_cast<std::size_t>(
          pages_of[static_cast<std::size_t>(position / page_size)] * page_size * (dim + 4));
      auto const slot = static_cast<std::size_t>(position % page_size);
      stored_row const want(rows.data() + i * dim, o);
      std::memcpy(static_cast<void*>(expected.data() + page + slot * dim), want.bytes.data(), dim);
      std::memcpy(static_cast<void*>(expected.data() + page + page_size * dim + slot * 4),
                  &want.scale, 4);
    }
    CHECK(std::memcmp(static_cast<void const*>(cache.data()),
                      static_cast<void const*>(expected.data()), cache.size()) == 0);
  }
}

TEST_CASE("[tka.append] plain index keys with a scale a token, and 16-bit ones without") {
  support::random_source random("plain");
  INFO(random);
  std::vector<float> const rows = random_rows(length, random);
  tka::append_options const o = with(tka::scale_rounding::nearest, tka::rotation::hadamard);
  guarded<e4m3> cache(length * dim, support::guard::behind, 16);
  guarded<float> scales(length);
  std::int32_t const start = 0;
  CHECK(tka::append_index_keys<tka::index_fp8, tka::cpu>(s, o,
                                                         {.new_k = {rows.data(), 0, 0, dim},
                                                          .k = {cache.data(), 0, 0, dim},
                                                          .k_scales = {scales.data(), 0, 0, 1},
                                                          .starts = &start}) == tka::status::ok);
  guarded<tka::bfloat16_t> wide(length * dim, support::guard::behind, 16);
  CHECK(tka::append_index_keys<tka::bf16, tka::cpu>(
            s, o,
            {.new_k = {rows.data(), 0, 0, dim}, .k = {wide.data(), 0, 0, dim}, .starts = &start}) ==
        tka::status::ok);
  bool narrow_right = true;
  bool wide_right = true;
  for (std::int32_t i = 0; i < length; ++i) {
    stored_row const want(rows.data() + i * dim, o);
    std::vector<float> rotated(rows.begin() + i * dim, rows.begin() + (i + 1) * dim);
    tka::detail::rotate_hadamard(rotated.data(), dim);
    narrow_right = narrow_right && scales[static_cast<std::size_t>(i)] == want.scale;
    for (std::int32_t d = 0; d < dim; ++d) {
      auto const at = static_cast<std::size_t>(i * dim + d);
      narrow_right = narrow_right && cache[at].bits == want.bytes[static_cast<std::size_t>(d)].bits;
      wide_right =
          wide_right && wide[at].bits == tka::bfloat16_t{rotated[static_cast<std::size_t>(d)]}.bits;
    }
  }
  CHECK(narrow_right);
  CHECK(wide_right);
  CHECK(cache.intact());
  CHECK(scales.intact());
  CHECK(wide.intact());
}

/// Index queries quantised by quantize_row, keys by append: the indexer's scores are those of the
/// rows before rounding, within the rounding.
TEST_CASE("[tka.indexer] [tka.append] appended, rotated, power-of-two keys give the score of q.k") {
  support::random_source random("round trip");
  INFO(random);
  std::vector<float> const rows = random_rows(length, random);
  auto const pages_of = table();
  aligned<e4m3> cache(pages * page_size * (dim + 4));
  std::int32_t const start = 0;
  std::int32_t const keys = length;
  tka::append_options const o = with(tka::scale_rounding::power_of_two, tka::rotation::hadamard);
  REQUIRE(tka::append_index_keys<tka::index_fp8, tka::cpu, paged, tka::index_layout::page_132>(
              s, o,
              {.new_k = {rows.data(), 0, 0, dim},
               .k = {cache.data, page_size * (dim + 4), 0, dim},
               .kv = {.lengths = &keys,
                      .block_table = pages_of.data(),
                      .table_stride = pages,
                      .pages = pages},
               .starts = &start}) == tka::status::ok);
  std::vector<float> const q = random_rows(4, random);
  std::vector<float> const weight{1.0f, -0.5f, 2.0f, 0.25f};
  aligned<e4m3> index_q(4 * dim);
  std::vector<float> folded(4);
  for (std::size_t h = 0; h < 4; ++h) {
    std::vector<float> work(q.begin() + static_cast<std::ptrdiff_t>(h * dim),
                            q.begin() + static_cast<std::ptrdiff_t>((h + 1) * dim));
    folded[h] = weight[h] *
                tka::quantize_row(work.data(), dim, index_q.data + h * dim, o.rounding, o.rotate);
  }
  constexpr auto select = tka::select_top_k<
      tka::lightning_indexer<tka::exact_radix, tka::index_fp8, tka::index_layout::page_132>,
      tka::bf16, tka::cpu, paged>;
  tka::shape one = s;
  one.q_len = 1;
  tka::plan const p = select.plan(one, {.budget = tka::top_k(length)}, {});
  REQUIRE(p.status == tka::status::ok);
  std::vector<float> scores(length);
  aligned<unsigned char> scratch(p.scratch_bytes);
  std::remove_const_t<decltype(select)>::tensors t{};
  t.kv = {.lengths = &keys, .block_table = pages_of.data(), .table_stride = pages, .pages = pages};
  t.index.q = {index_q.data, 0, dim, 4 * dim};
  t.index.k = {cache.data, page_size * (dim + 4), 0, dim};
  t.index.weights = {folded.data(), 0, 1, 4};
  t.scores = {scores.data(), 0, 0, 0};
  REQUIRE(select(p, t, {.scratch = scratch.data, .scratch_bytes = p.scratch_bytes}) ==
          tka::status::ok);
  double worst = 0.0;
  double largest = 0.0;
  for (std::size_t i = 0; i < length; ++i) {
    double want = 0.0;
    for (std::size_t h = 0; h < 4; ++h) {
      double dot = 0.0;
      for (std::size_t d = 0; d < dim; ++d) {
        dot += static_cast<double>(q[h * dim + d]) * static_cast<double>(rows[i * dim + d]);
      }
      want += static_cast<double>(weight[h]) * std::max(dot, 0.0);
    }
    worst = std::max(worst, std::fabs(static_cast<double>(scores[i]) - want));
    largest = std::max(largest, std::fabs(want));
  }
  // 128 products, each off by about 4 %: some hundredths of |q| |k| = 128, times the weights.
  CHECK(worst < 4.0);
  CHECK(largest > 15.0);
}

TEST_CASE("append_index_keys refuses what the host can know") {
  using tka::status;
  tka::shape other = s;
  other.index_dim = 96;
  std::int32_t const start = 0;
  float row[128] = {};
  e4m3 out[128];
  float scale = 0.0f;
  constexpr auto call = tka::append_index_keys<tka::index_fp8, tka::cpu>;
  using tensors = std::remove_const_t<decltype(call)>::tensors;
  tensors const t{.new_k = {row, 0, 0, 128},
                  .k = {out, 0, 0, 128},
                  .k_scales = {&scale, 0, 0, 1},
                  .starts = &start};
  tka::append_options const rotated = with(tka::scale_rounding::nearest, tka::rotation::hadamard);
  CHECK(call(other, rotated, t) == status::unsupported_head_dim);
  other.index_dim = 1040;
  CHECK(call(other, {}, t) == status::unsupported_head_dim);
  other.index_dim = 0;
  CHECK(call(other, {}, t) == status::invalid_shape);
  tensors no_scales = t;
  no_scales.k_scales = {};
  CHECK(call(s, {}, no_scales) == status::null_pointer);
  tensors no_starts = t;
  no_starts.starts = nullptr;
  CHECK(call(s, {}, no_starts) == status::null_pointer);
}

}  // namespace
