// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Groups, head sizes, v inside k's memory, query positions, ragged queries, stale page tails.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/rows.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace {

using namespace support;

using packed = tka::form<tka::query::ragged, tka::kv::ragged>;
using packed_precision = on_backend<tka::fp32, tka::bf16>;
constexpr settings visible{.metrics = tka::metrics::visible};

template <class Precision, class Form>
std::string whole_fault(oracle::problem const& p, arrangement const& how = {}) {
  arranged<Precision, Form> const a(p, how);
  auto const got = attend<tka::exact_radix>(a, options_of(p.rules), visible);
  if (auto const found = selection_fault(got, p); !found.empty()) return found;
  if (got.error != 0) return "error word";
  return attention_fault<Precision>(got, p, lists_of(got, p));
}

TEST_CASE("[tka.attention] groups of 1 to 128 query heads") {
  random_source random("groups");
  INFO(random);
  for (int const group : {1, 2, 3, 4, 5, 7, 8, 16, 17, 31, 64, 128}) {
    CAPTURE(group);
    oracle::rules r;
    r.kv_heads = 2;
    r.q_heads = 2 * group;
    r.k = 20;
    r.scale = 0.25;
    auto const p = make_problem(r, {{2, 150}}, contents::integers, random);
    CHECK(whole_fault<tka::fp32, tka::form<>>(p) == "");
    auto shared = p;
    shared.rules.scope = oracle::scope::kv_group;
    shared.rules.combine = oracle::combine::sum;
    CHECK(whole_fault<tka::fp32, tka::form<tka::scope::kv_group>>(shared) == "");
  }
}

TEST_CASE("[tka.attention] qk_dim and v_dim differ") {
  random_source random("dims");
  INFO(random);
  int const dims[][2] = {{16, 1024}, {1024, 16}, {16, 512},  {576, 16}, {192, 128},
                         {48, 80},   {80, 48},   {144, 16},  {64, 64},  {96, 96},
                         {128, 128}, {256, 256}, {576, 512}, {192, 192}};
  for (auto const& d : dims) {
    if (on_cuda && (d[0] > 576 || d[1] > 512)) continue;
    oracle::rules r;
    r.q_heads = 3;
    r.kv_heads = 1;
    r.qk_dim = d[0];
    r.v_dim = d[1];
    r.k = 33;
    r.scale = exact_scale(r.qk_dim);
    CAPTURE(r.qk_dim);
    CAPTURE(r.v_dim);
    auto const p = make_problem(r, {{2, 140}}, contents::integers, random);
    CHECK(whole_fault<tka::fp32, tka::form<>>(p) == "");
    CHECK(whole_fault<tka::bf16, tka::form<tka::kv::paged>>(p, {.page_size = 5}) == "");
  }
}

TEST_CASE("[tka.strides] v may lie inside k's memory") {
  random_source random("v in k");
  INFO(random);
  for (bool const latent : {false, true}) {
    oracle::rules r;
    r.q_heads = 4;
    r.kv_heads = 1;
    r.qk_dim = latent ? 576 : 64;
    r.v_dim = latent ? 512 : 32;
    r.k = 40;
    r.scale = exact_scale(r.qk_dim);
    auto p = make_problem(r, {{2, 200}}, contents::integers, random);
    auto& s = p.sequences[0];
    for (std::size_t j = 0; j < 200; ++j) {
      auto const dim = static_cast<std::size_t>(r.v_dim);
      for (std::size_t d = 0; d < dim; ++d) {
        s.v[j * dim + d] = s.k[j * static_cast<std::size_t>(r.qk_dim) + d];
      }
    }
    CHECK(whole_fault<tka::bf16, tka::form<tka::kv::paged>>(p, {.page_size = 5, .v_in_k = true}) ==
          "");
    CHECK(whole_fault<tka::fp32, tka::form<>>(p, {.v_in_k = true}) == "");
  }
}

TEST_CASE("[tka.attention] query positions that are given, also out of order and out of range") {
  random_source random("positions");
  INFO(random);
  oracle::rules r;
  r.q_heads = 2;
  r.kv_heads = 1;
  r.k = 15;
  auto p = make_problem(r, {{6, 100}, {6, 9}}, contents::integers, random);
  p.sequences[0].query_position = {99, 0, 57, -1, 130, 12};
  p.sequences[1].query_position = {3, 3, 8, 8, 9, 2};
  CHECK(whole_fault<tka::fp32, tka::form<>>(p) == "");
  CHECK(whole_fault<packed_precision, packed>(p) == "");
}

TEST_CASE("[tka.attention] query positions that are given, windows far from one another") {
  random_source random("positions and windows");
  INFO(random);
  using window = tka::visibility::sliding_window;
  for (int const sinks : {0, 5, 150}) {
    CAPTURE(sinks);
    oracle::rules r;
    r.q_heads = 2;
    r.kv_heads = 1;
    r.visibility = oracle::visibility::sliding_window;
    r.window = 140;
    r.sinks = sinks;
    r.k = 160;
    auto p = make_problem(r, {{6, 2000}, {6, 900}}, contents::integers, random);
    p.sequences[0].query_position = {1999, 0, 1157, -1, 2500, 300};
    p.sequences[1].query_position = {200, 201, 899, 203, 204, 0};
    CHECK(whole_fault<tka::fp32, tka::form<window>>(p) == "");
    CHECK(whole_fault<tka::bf16, tka::form<tka::kv::ragged, window>>(p) == "");
  }
}

TEST_CASE("[tka.empty] more query tokens than keys: the leading rows are empty") {
  random_source random("more queries");
  INFO(random);
  oracle::rules r;
  r.q_heads = 2;
  r.kv_heads = 1;
  r.k = 5;
  auto const p = make_problem(r, {{12, 4}, {12, 0}, {12, 12}}, contents::integers, random);
  CHECK(whole_fault<tka::fp32, tka::form<>>(p) == "");
  CHECK(whole_fault<packed_precision, packed>(p) == "");
}

TEST_CASE("[tka.lengths] ragged queries: decode, prefill and nothing in one batch") {
  random_source random("mixed batch");
  INFO(random);
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  r.k = 25;
  r.scale = 0.5;
  auto const p =
      make_problem(r, {{1, 300}, {0, 50}, {90, 90}, {3, 0}, {5, 131}}, contents::integers, random);
  using paged = on_backend<tka::form<tka::query::ragged, tka::kv::paged>, packed>;
  CHECK(whole_fault<packed_precision, paged>(p, {.page_size = 3}) == "");
  CHECK(whole_fault<packed_precision, packed>(p) == "");
}

TEST_CASE("[tka.lengths] contiguous keys without lengths have the bound's length") {
  random_source random("no lengths");
  INFO(random);
  oracle::rules r;
  r.k = 9;
  auto const p = make_problem(r, {{2, 70}, {2, 70}}, contents::integers, random);
  CHECK(whole_fault<tka::fp32, tka::form<>>(p, {.lengths = false}) == "");
}

TEST_CASE("[tka.data_error] [tka.unselected] a page that does not exist hides its keys only") {
  random_source random("bad page");
  INFO(random);
  oracle::rules r;
  r.q_heads = 2;
  r.kv_heads = 1;
  r.k = 20;
  auto p = make_problem(r, {{2, 100}}, contents::normal, random);
  using paged = tka::form<tka::kv::paged>;
  using precision = on_backend<tka::fp32, tka::bf16>;
  for (int const page : {-1, 1000, 1 << 30}) {
    arranged<precision, paged> a(p, {.page_size = 10});
    a.block_table()[4] = page;  // positions 40..49
    auto const got = attend<tka::exact_radix>(a, options_of(r), visible);
    REQUIRE(fault(got) == "");
    CHECK(got.error == static_cast<std::uint32_t>(tka::data_error::page_out_of_range));
    // The same as keys that score -inf and so are never selected, nor seen by a measure.
    auto hidden = p;
    for (int j = 40; j < 50; ++j) {
      hidden.sequences[0].k[static_cast<std::size_t>(j * 16)] =
          -std::numeric_limits<float>::infinity();
    }
    for (float& x : hidden.sequences[0].q) x = std::abs(x);
    auto visible_queries = p;
    visible_queries.sequences[0].q = hidden.sequences[0].q;
    arranged<precision, paged> b(visible_queries, {.page_size = 10});
    b.block_table()[4] = page;
    arranged<precision, paged> const c(hidden, {.page_size = 10});
    auto missing = attend<tka::exact_radix>(b, options_of(r), visible);
    missing.error = 0;
    CHECK(difference(missing, attend<tka::exact_radix>(c, options_of(r), visible)) == "");
  }
}

}  // namespace
