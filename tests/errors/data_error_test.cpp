// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Data in memory that breaks the rules: excluded, reported, never read out of bounds (every buffer
/// stands beside a page that faults), and without effect on other sequences.

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

namespace {

using support::guarded_call;
using support::on_backend;
using tka::status;

constexpr std::int32_t huge = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t lowest = std::numeric_limits<std::int32_t>::min();
constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

constexpr tka::shape small{.batch = 3,
                           .q_heads = 4,
                           .kv_heads = 2,
                           .q_len = 2,
                           .kv_len = 200,
                           .qk_dim = 32,
                           .v_dim = 16,
                           .page_size = 8};
constexpr tka::options numbers{.budget = tka::top_k(20), .scale = 0.3f, .sinks = 1, .recent = 2};

using pages_all_visible = tka::form<tka::kv::paged, tka::visibility::all>;

std::uint32_t bit(tka::data_error e) { return static_cast<std::uint32_t>(e); }

/// Rows of one sequence in every output of a call with uniform queries, as bytes.
template <class Call>
std::vector<unsigned char> rows_of(Call const& c, std::int32_t b) {
  std::vector<unsigned char> all;
  auto const add = [&](auto const& memory) {
    std::size_t const share = memory.size() / static_cast<std::size_t>(c.s.batch);
    auto const* const first =
        reinterpret_cast<unsigned char const*>(memory.data() + static_cast<std::size_t>(b) * share);
    all.insert(all.end(), first, first + share * sizeof(memory[0]));
  };
  add(c.o);
  add(c.lse);
  add(c.entropy);
  add(c.positions);
  add(c.scores);
  add(c.count);
  return all;
}

/// The rows of sequence `b` are those without keys.
template <class Call>
bool empty_rows(Call const& c, std::int32_t b) {
  auto const all = [&](auto const& memory, auto value) {
    auto const share = static_cast<std::ptrdiff_t>(memory.size()) / c.s.batch;
    auto const* const first = memory.data() + b * share;
    return std::all_of(first, first + share,
                       [&](auto x) { return static_cast<float>(x) == static_cast<float>(value); });
  };
  return all(c.o, 0.0f) && all(c.lse, minus_infinity) && all(c.entropy, 0.0f) && all(c.count, 0) &&
         all(c.positions, -1) && all(c.scores, minus_infinity);
}

template <class Form>
void bad_length(std::int32_t bad, std::int32_t splits) {
  guarded_call<tka::exact_radix, tka::fp32, Form> c(small, numbers, {.kv = {200, 90, 133}});
  c.reschedule({.workers = 2, .query_tile = 2, .splits = splits});
  c.clear(0x5a);
  REQUIRE(c.run() == status::ok);
  REQUIRE(c.error[0] == 0);
  auto const first = rows_of(c, 0);
  auto const last = rows_of(c, 2);
  c.kv_lengths[1] = bad;
  c.clear(0x5a);
  CHECK(c.run() == status::ok);
  CHECK(c.error[0] == bit(tka::data_error::length_out_of_bounds));
  CHECK(empty_rows(c, 1));
  CHECK(rows_of(c, 0) == first);
  CHECK(rows_of(c, 2) == last);
  CHECK(c.intact());
}

TEST_CASE("[tka.data_error] [tka.lengths] a length outside its bound makes its rows empty") {
  for (std::int32_t const bad : {-1, 201, huge, lowest}) {
    for (std::int32_t const splits : {1, 3}) {
      bad_length<tka::form<>>(bad, splits);
      using paged = tka::form<tka::kv::paged>;
      bad_length<on_backend<paged, pages_all_visible>>(bad, splits);
    }
  }
}

TEST_CASE("[tka.data_error] borders of ragged keys that fall or span too much") {
  using form = tka::form<tka::kv::ragged>;
  guarded_call<tka::exact_radix, tka::bf16, form> c(small, numbers, {.kv = {100, 90, 133}});
  c.clear(0x5a);
  REQUIRE(c.run() == status::ok);
  auto const last = rows_of(c, 2);
  // Sequence 0 would hold 400 keys, sequence 1 a negative number of them.
  c.kv_lengths[1] = 400;
  c.clear(0x5a);
  CHECK(c.run() == status::ok);
  CHECK(c.error[0] == bit(tka::data_error::length_out_of_bounds));
  CHECK(empty_rows(c, 0));
  CHECK(empty_rows(c, 1));
  CHECK(rows_of(c, 2) == last);
  // A negative border, and a difference that overflows 32 bits.
  c.kv_lengths[0] = -5;
  c.kv_lengths[1] = huge;
  c.clear(0x5a);
  CHECK(c.run() == status::ok);
  CHECK(c.error[0] == bit(tka::data_error::length_out_of_bounds));
  CHECK(empty_rows(c, 0));
  CHECK(empty_rows(c, 1));
  CHECK(c.intact());
}

TEST_CASE("[tka.data_error] borders of ragged queries: the sequence is skipped, nothing written") {
  using form = tka::form<tka::query::ragged>;
  guarded_call<tka::exact_radix, tka::fp32, form> c(small, numbers,
                                                    {.kv = {200, 90, 133}, .q = {2, 2, 1}});
  c.clear(0x5a);
  REQUIRE(c.run() == status::ok);
  std::vector<unsigned char> const good = c.output_bytes();
  for (auto const& [index, value] : {std::pair{2, 1}, std::pair{2, huge}, std::pair{1, -7}}) {
    std::int32_t const old = c.q_borders[static_cast<std::size_t>(index)];
    c.q_borders[static_cast<std::size_t>(index)] = value;
    c.clear(0x5a);
    CHECK(c.run() == status::ok);
    CHECK(c.error[0] == bit(tka::data_error::query_range_invalid));
    CHECK(c.intact());
    c.q_borders[static_cast<std::size_t>(index)] = old;
  }
  // Sequence 1 of 2 tokens said to have 3: rows 0, 1 and 4 stand, 2 and 3 keep their bytes.
  c.q_borders[2] = 5;
  c.q_borders[3] = 5;
  c.clear(0x5a);
  CHECK(c.run() == status::ok);
  std::size_t const row = static_cast<std::size_t>(small.q_heads * small.v_dim);
  auto const untouched = [&](std::size_t token) {
    auto const* const p = reinterpret_cast<unsigned char const*>(c.o.data() + token * row);
    return std::all_of(p, p + row * sizeof(float), [](unsigned char x) { return x == 0x5a; });
  };
  CHECK_FALSE(untouched(0));
  CHECK_FALSE(untouched(1));
  CHECK(untouched(2));
  CHECK(untouched(3));
  c.q_borders[2] = 4;
  c.clear(0x5a);
  CHECK(c.run() == status::ok);
  CHECK(c.error[0] == 0);
  CHECK(c.output_bytes() == good);
}

TEST_CASE("[tka.data_error] a page outside the cache: its tokens are invisible, also when forced") {
  using form = pages_all_visible;
  // 54 pages exist: 0..53.
  for (std::int32_t const bad : {-1, 54, lowest, huge, 1000}) {
    tka::options o = numbers;
    o.budget = tka::top_k(200);
    guarded_call<tka::exact_radix, tka::fp32, form> c(small, o, {.kv = {200, 90, 133}});
    REQUIRE(c.pages == 54);
    c.clear(0x5a);
    REQUIRE(c.run() == status::ok);
    auto const first = rows_of(c, 0);
    auto const last = rows_of(c, 2);
    // The first page of sequence 1 holds its sink, the last one its recent keys.
    auto const row = static_cast<std::size_t>(c.table_stride);
    for (std::size_t const page : {std::size_t{0}, std::size_t{4}, std::size_t{11}}) {
      c.table[row + page] = bad;
    }
    c.clear(0x5a);
    CHECK(c.run() == status::ok);
    CHECK(c.error[0] == bit(tka::data_error::page_out_of_range));
    CHECK(rows_of(c, 0) == first);
    CHECK(rows_of(c, 2) == last);
    std::vector<std::int32_t> expected;
    for (std::int32_t i = 0; i < 88; ++i) {
      if (i / 8 != 0 && i / 8 != 4) expected.push_back(i);
    }
    std::size_t const lists = static_cast<std::size_t>(small.q_heads * small.q_len);
    bool same = true;
    for (std::size_t list = lists; list < 2 * lists; ++list) {
      same = same && c.count[list] == static_cast<std::int32_t>(expected.size());
      same = same && std::equal(expected.begin(), expected.end(), c.positions.data() + list * 200);
      same = same && std::isfinite(c.lse[list]);
    }
    CHECK(same);
    for (std::size_t i = 0; i < c.o.size(); ++i) CHECK_MESSAGE(std::isfinite(c.o[i]), i);
    CHECK(c.intact());
  }
}

TEST_CASE("[tka.data_error] [tka.budget] budgets in memory are clamped to 0 and the capacity") {
  for (std::int32_t const bad : {-1, lowest, 21, huge}) {
    guarded_call<tka::exact_radix, tka::fp32> c(small, numbers, {.kv = {200, 90, 133}});
    support::guarded<std::int32_t> k(3);
    for (std::int32_t& x : k) x = 20;
    auto t = c.arguments();
    t.k_per_sequence = k.data();
    c.clear(0x5a);
    REQUIRE(c.run_with(t) == status::ok);
    REQUIRE(c.error[0] == 0);
    auto const first = rows_of(c, 0);
    auto const full = rows_of(c, 1);
    k[1] = bad;
    c.clear(0x5a);
    CHECK(c.run_with(t) == status::ok);
    CHECK(c.error[0] == bit(tka::data_error::budget_out_of_range));
    CHECK(rows_of(c, 0) == first);
    if (bad < 0) {
      CHECK(empty_rows(c, 1));
    } else {
      CHECK(rows_of(c, 1) == full);
    }
    CHECK(c.intact());
  }
}

TEST_CASE("[tka.data_error] query positions from memory: any number is safe") {
  tka::shape s = small;
  s.q_len = 6;
  guarded_call<tka::exact_radix, tka::fp32> c(s, numbers, {.kv = {200, 90, 133}});
  support::guarded<std::int32_t> positions(18);
  std::int32_t const odd[6] = {lowest, -1, 0, 50, 5000, huge};
  for (std::size_t i = 0; i < 18; ++i) positions[i] = odd[i % 6];
  auto t = c.arguments();
  t.query = {.positions = positions.data(), .positions_stride = 6};
  c.clear(0x5a);
  CHECK(c.run_with(t) == status::ok);
  CHECK(c.intact());
  std::int32_t const lengths[3] = {200, 90, 133};
  bool right = true;
  for (std::int32_t b = 0; b < 3; ++b) {
    for (std::int32_t i = 0; i < 6; ++i) {
      for (std::int32_t h = 0; h < 4; ++h) {
        std::int64_t const visible =
            std::clamp<std::int64_t>(std::int64_t{odd[i]} + 1, 0, lengths[b]);
        auto const expected = static_cast<std::int32_t>(std::min<std::int64_t>(visible, 20));
        right = right && c.count[static_cast<std::size_t>((b * 6 + i) * 4 + h)] == expected;
      }
    }
  }
  CHECK(right);
}

TEST_CASE("[tka.data_error] without an error word the same happens in silence") {
  guarded_call<tka::exact_radix, tka::fp32> c(small, numbers, {.kv = {200, 90, 133}});
  c.kv_lengths[1] = -3;
  auto t = c.arguments();
  t.error = nullptr;
  c.clear(0x5a);
  CHECK(c.run_with(t) == status::ok);
  CHECK(empty_rows(c, 1));
  CHECK(c.error[0] == 0);
}

TEST_CASE("[tka.data_error] bits are or-ed in: what stood in the word stays") {
  guarded_call<tka::exact_radix, tka::fp32> c(small, numbers, {.kv = {200, 90, 133}});
  c.kv_lengths[2] = 5000;
  c.error[0] = 0x80000000u;
  CHECK(c.run() == status::ok);
  CHECK(c.error[0] == (0x80000000u | bit(tka::data_error::length_out_of_bounds)));
}

}  // namespace
