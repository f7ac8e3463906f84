// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// e4m3 keys and values with scales of every granularity, against an fp32 run over the same numbers
/// multiplied out.

#include <tka/sparse_attention.hpp>

#include <support/backend.hpp>
#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

namespace {

using e4m3 = tka::float8_e4m3_t;

constexpr tka::shape s{.batch = 2,
                       .q_heads = 4,
                       .kv_heads = 2,
                       .q_len = 2,
                       .kv_len = 300,
                       .qk_dim = 256,
                       .v_dim = 144,
                       .page_size = 12};
constexpr std::int64_t pages = 2 * 25;
constexpr std::int64_t k_blocks = 2;
constexpr std::int64_t v_blocks = 2;

struct aligned_floats {
  support::array<float> memory;
  float* data;
  explicit aligned_floats(std::size_t n) : memory(n + 16) {
    auto const base = reinterpret_cast<std::uintptr_t>(memory.data());
    data = memory.data() + (64 - base % 64) % 64 / sizeof(float);
  }
};

/// A form without the parts that are the defaults: one instance for both spellings.
template <class Source, class... Parts>
using form_of =
    std::conditional_t<Source::has_pages, tka::form<Source, Parts...>, tka::form<Parts...>>;

struct results {
  support::array<std::int32_t> positions;
  support::array<float> scores;
  std::vector<float> o;
};

template <class Precision, class Form, class Key>
results run(float const* q, Key const* k, Key const* v, auto const& kv,
            tka::detail::layout_tensors<typename Form::cache_layout> const& scales) {
  constexpr auto attend =
      tka::sparse_attention<tka::exact_radix, Precision, support::backend, Form>;
  constexpr bool paged = Form::kv_source::has_pages;
  tka::options const o{.budget = tka::top_k(40), .scale = 0.01f};
  tka::plan const p = attend.plan(s, o, support::device_of());
  REQUIRE(p.status == tka::status::ok);
  std::size_t const rows = std::size_t{2} * 4 * 2;
  results r{support::array<std::int32_t>(rows * 40), support::array<float>(rows * 40), {}};
  aligned_floats out(rows * static_cast<std::size_t>(s.v_dim));
  std::int32_t const slots = paged ? s.page_size : s.kv_len;
  typename std::remove_const_t<decltype(attend)>::tensors t{};
  t.q = tka::hnd(q, s.q_heads, s.q_len, s.qk_dim);
  t.k = tka::nhd(k, s.kv_heads, slots, s.qk_dim);
  t.v = tka::nhd(v, s.kv_heads, slots, s.v_dim);
  t.o = tka::hnd(out.data, s.q_heads, s.q_len, s.v_dim);
  t.kv = kv;
  t.scales = scales;
  t.positions = tka::hnd(r.positions.data(), s.q_heads, s.q_len, 40);
  t.scores = tka::hnd(r.scores.data(), s.q_heads, s.q_len, 40);
  REQUIRE(support::run(attend, p, t) == tka::status::ok);
  r.o.assign(out.data, out.data + rows * static_cast<std::size_t>(s.v_dim));
  return r;
}

/// Strides of scales in units of slots: [outer][slot][head][block], the parts that are shared left
/// out.
struct granularity {
  std::string_view name;
  bool head;
  bool token;
  bool block;
};

struct scale_set {
  support::array<float> data;
  tka::scale_view view;

  scale_set(granularity const& g, std::int64_t slots, std::int64_t blocks,
            support::random_source& random, bool powers_of_two)
      : data(static_cast<std::size_t>(pages * 12 * 2 * blocks)) {
    for (float& x : data) {
      x = powers_of_two ? std::ldexp(1.0f, static_cast<int>(random.between(-3, 3)))
                        : static_cast<float>(0.25 + random.uniform());
    }
    std::int64_t const per_head = g.block ? blocks : 1;
    std::int64_t const per_token = per_head * (g.head ? 2 : 1);
    view = {.data = data.data(),
            .batch = g.token ? slots * per_token : 0,
            .head = g.head ? per_head : 0,
            .token = g.token ? per_token : 0,
            .block = g.block ? 1 : 0};
  }
};

template <class Source>
void equals_the_fp32_run(granularity const& g, bool powers_of_two) {
  constexpr bool paged = Source::has_pages;
  support::random_source random(g.name);
  INFO(random);
  std::int64_t const slots = paged ? s.page_size : s.kv_len;
  std::int64_t const outers = paged ? pages : s.batch;
  auto const rows = static_cast<std::size_t>(outers * slots * s.kv_heads);
  auto const dim = static_cast<std::size_t>(s.qk_dim);
  auto const v_dim = static_cast<std::size_t>(s.v_dim);

  aligned_floats q(std::size_t{2} * 4 * 2 * dim);
  aligned_floats wide_k(rows * dim);
  aligned_floats wide_v(rows * v_dim);
  support::array<e4m3> k(rows * dim + 16);
  support::array<e4m3> v(rows * v_dim + 16);
  e4m3* const k_data = k.data() + (16 - reinterpret_cast<std::uintptr_t>(k.data()) % 16) % 16;
  e4m3* const v_data = v.data() + (16 - reinterpret_cast<std::uintptr_t>(v.data()) % 16) % 16;
  // Small integers: products and their sums are exact where scales are powers of two.
  for (std::size_t i = 0; i < std::size_t{2} * 4 * 2 * dim; ++i) {
    q.data[i] = static_cast<float>(random.between(-3, 3));
  }
  scale_set const k_scales(g, slots, k_blocks, random, powers_of_two);
  scale_set const v_scales(g, slots, v_blocks, random, powers_of_two);
  auto const fill = [&](e4m3* narrow, float* wide, std::size_t width, scale_set const& scales) {
    for (std::int64_t outer = 0; outer < outers; ++outer) {
      for (std::int64_t slot = 0; slot < slots; ++slot) {
        for (std::int64_t h = 0; h < 2; ++h) {
          auto const row = static_cast<std::size_t>((outer * slots + slot) * 2 + h);
          for (std::size_t d = 0; d < width; ++d) {
            auto const value = static_cast<float>(random.between(-4, 4));
            narrow[row * width + d] = e4m3{value};
            tka::scale_view const& view = scales.view;
            std::int64_t const at = outer * view.batch + h * view.head + slot * view.token +
                                    static_cast<std::int64_t>(d / 128) * view.block;
            wide[row * width + d] = value * scales.data[static_cast<std::size_t>(at)];
          }
        }
      }
    }
  };
  fill(k_data, wide_k.data, dim, k_scales);
  fill(v_data, wide_v.data, v_dim, v_scales);

  support::array<std::int32_t> const lengths{300, 211};
  support::array<std::int32_t> table(static_cast<std::size_t>(pages));
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<std::int32_t>((i * 7) % table.size());
  }
  typename Source::tensors kv{};
  kv.lengths = lengths.data();
  if constexpr (paged) {
    kv.block_table = table.data();
    kv.table_stride = 25;
    kv.pages = static_cast<std::int32_t>(pages);
  }
  auto const wide = run<tka::fp32, form_of<Source>>(q.data, static_cast<float const*>(wide_k.data),
                                                    static_cast<float const*>(wide_v.data), kv, {});
  auto const narrow = run<tka::fp8_with<tka::fp32>, form_of<Source, tka::layout::scaled>>(
      q.data, static_cast<e4m3 const*>(k_data), static_cast<e4m3 const*>(v_data), kv,
      {.k = k_scales.view, .v = v_scales.view});

  CAPTURE(g.name);
  if (powers_of_two) {
    CHECK(narrow.positions == wide.positions);
    CHECK(narrow.scores == wide.scores);
  }
  // Other scales round the products: near the last place two keys may change, their scores not by
  // more than the rounding.
  std::size_t const lists = wide.scores.size() / 40;
  std::size_t equal_lists = 0;
  float worst_score = 0.0f;
  float worst = 0.0f;
  float largest = 0.0f;
  for (std::size_t list = 0; list < lists; ++list) {
    auto const first = static_cast<std::ptrdiff_t>(list * 40);
    auto const sorted = [&](support::array<float> const& all) {
      std::vector<float> part(all.begin() + first, all.begin() + first + 40);
      std::sort(part.begin(), part.end());
      return part;
    };
    auto const ours = sorted(narrow.scores);
    auto const theirs = sorted(wide.scores);
    for (std::size_t i = 0; i < 40; ++i) {
      worst_score = std::max(worst_score, std::fabs(ours[i] - theirs[i]));
    }
    if (!std::equal(wide.positions.begin() + first, wide.positions.begin() + first + 40,
                    narrow.positions.begin() + first)) {
      continue;
    }
    ++equal_lists;
    for (std::size_t i = list * v_dim; i < (list + 1) * v_dim; ++i) {
      worst = std::max(worst, std::fabs(narrow.o[i] - wide.o[i]));
      largest = std::max(largest, std::fabs(wide.o[i]));
    }
  }
  CHECK(worst_score <= 2e-3f);  // scores are some hundreds, sums of |q k| some thousands
  CHECK(equal_lists * 2 > lists);
  CHECK(worst <= 1e-5f * largest);
  CHECK(largest > 0.1f);
}

TEST_CASE("[tka.storage] e4m3 scales per tensor, head, token and 128 values: contiguous") {
  for (bool const powers : {true, false}) {
    equals_the_fp32_run<tka::kv::contiguous>({"tensor", false, false, false}, powers);
    equals_the_fp32_run<tka::kv::contiguous>({"head", true, false, false}, powers);
    equals_the_fp32_run<tka::kv::contiguous>({"token", false, true, false}, powers);
    equals_the_fp32_run<tka::kv::contiguous>({"token and head", true, true, false}, powers);
    equals_the_fp32_run<tka::kv::contiguous>({"block", false, false, true}, powers);
    equals_the_fp32_run<tka::kv::contiguous>({"block of each token", true, true, true}, powers);
  }
}

TEST_CASE("[tka.storage] e4m3 scales per tensor, head, token and 128 values: paged") {
  using source = support::on_backend<tka::kv::paged, tka::kv::contiguous>;
  for (bool const powers : {true, false}) {
    equals_the_fp32_run<source>({"tensor", false, false, false}, powers);
    equals_the_fp32_run<source>({"head", true, false, false}, powers);
    equals_the_fp32_run<source>({"token", false, true, false}, powers);
    equals_the_fp32_run<source>({"block of each token", true, true, true}, powers);
  }
}

TEST_CASE("[tka.storage] without scales, and with null ones, e4m3 stands for itself") {
  support::random_source random("no scales");
  INFO(random);
  auto const rows = static_cast<std::size_t>(s.batch * s.kv_len * s.kv_heads);
  aligned_floats q(std::size_t{2} * 4 * 2 * 256);
  aligned_floats wide_k(rows * 256);
  aligned_floats wide_v(rows * 144);
  support::array<e4m3> bytes(rows * (256 + 144) + 16);
  e4m3* const k = bytes.data() + (16 - reinterpret_cast<std::uintptr_t>(bytes.data()) % 16) % 16;
  e4m3* const v = k + rows * 256;
  for (std::size_t i = 0; i < std::size_t{2} * 4 * 2 * 256; ++i) {
    q.data[i] = static_cast<float>(random.between(-3, 3));
  }
  for (std::size_t i = 0; i < rows * 256; ++i) {
    wide_k.data[i] = static_cast<float>(random.between(-4, 4));
    k[i] = e4m3{wide_k.data[i]};
  }
  for (std::size_t i = 0; i < rows * 144; ++i) {
    wide_v.data[i] = static_cast<float>(random.between(-4, 4));
    v[i] = e4m3{wide_v.data[i]};
  }
  tka::kv::contiguous::tensors const kv{};
  auto const wide = run<tka::fp32, tka::form<>>(q.data, static_cast<float const*>(wide_k.data),
                                                static_cast<float const*>(wide_v.data), kv, {});
  using narrow_type = tka::fp8_with<tka::fp32>;
  auto const plain = run<narrow_type, tka::form<>>(q.data, static_cast<e4m3 const*>(k),
                                                   static_cast<e4m3 const*>(v), kv, {});
  auto const null = run<narrow_type, tka::form<tka::layout::scaled>>(
      q.data, static_cast<e4m3 const*>(k), static_cast<e4m3 const*>(v), kv, {});
  CHECK(plain.positions == wide.positions);
  CHECK(plain.scores == wide.scores);
  CHECK(null.positions == wide.positions);
  CHECK(null.o == plain.o);
}

}  // namespace
