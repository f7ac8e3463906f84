// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Lists of positions that break the rules, given to attend_selected beside pages that fault.

#include <tka/attend_selected.hpp>

#include <support/backend.hpp>
#include <support/seed.hpp>

#include <doctest/doctest.h>
#include <memory/guarded.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace {

using support::guard;
using support::guarded;
using tka::status;

constexpr std::int32_t huge = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t lowest = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t length = 75;
constexpr std::int32_t capacity = 12;
constexpr std::int32_t dim = 16;
constexpr std::int32_t page_size = 8;
constexpr std::int32_t pages = 10;

/// One sequence of 75 keys, in 10 pages or contiguous, two query heads on one key head.
template <class Source>
struct given_call {
  static constexpr bool paged = Source::has_pages;
  static constexpr auto call = tka::attend_selected<tka::fp32, support::backend, tka::form<Source>>;
  guarded<float> q{2 * dim, guard::behind, 16};
  guarded<float> k{paged ? std::size_t{pages * page_size * dim} : std::size_t{length * dim},
                   guard::behind, 16};
  guarded<float> v{k.size(), guard::before, 16};
  guarded<float> o{2 * dim, guard::behind, 16};
  guarded<float> lse{2};
  guarded<std::int32_t> positions{2 * capacity};
  guarded<std::int32_t> count{2};
  guarded<std::int32_t> table{pages};
  guarded<std::int32_t> lengths{1};
  guarded<std::uint32_t> error{1};

  given_call() {
    support::random_source random("given");
    for (auto* const memory : {&q, &k, &v}) {
      for (float& x : *memory) x = static_cast<float>(random.normal());
    }
    if (paged) {
      // Slots 75..79 lie behind the last key.
      for (std::size_t i = std::size_t{length} * dim; i < k.size(); ++i) k[i] = v[i] = NAN;
    }
    for (std::int32_t i = 0; i < pages; ++i) table[static_cast<std::size_t>(i)] = i;
    lengths[0] = length;
    error[0] = 0;
  }
  /// Attends with both heads over `list`; `n` is the count given.
  std::vector<float> over(std::vector<std::int32_t> const& list, std::int32_t n) {
    for (std::size_t h = 0; h < 2; ++h) {
      for (std::size_t i = 0; i < capacity; ++i) {
        positions[h * capacity + i] = i < list.size() ? list[i] : -1;
      }
      count[h] = n;
    }
    error[0] = 0;
    o.fill_bytes(0xff);
    tka::plan const p =
        call.plan({.q_heads = 2,
                   .kv_heads = 1,
                   .kv_len = 80,
                   .qk_dim = dim,
                   .v_dim = dim,
                   .page_size = page_size},
                  {.budget = tka::top_k(capacity), .scale = 0.5f}, support::device_of());
    REQUIRE(p.status == status::ok);
    typename std::remove_const_t<decltype(call)>::tensors t{};
    t.q = {q.data(), 0, dim, 2 * dim};
    t.k = {k.data(), paged ? page_size * dim : 0, dim, dim};
    t.v = {v.data(), paged ? page_size * dim : 0, dim, dim};
    t.o = {o.data(), 0, dim, 2 * dim};
    t.lse = {lse.data(), 0, 1, 2};
    t.positions = {positions.data(), 0, capacity, 2 * capacity};
    t.count = {count.data(), 0, 1, 2};
    t.kv.lengths = lengths.data();
    if constexpr (paged) {
      t.kv.block_table = table.data();
      t.kv.table_stride = pages;
      t.kv.pages = pages;
    }
    t.error = error.data();
    CHECK(support::run(call, p, t) == status::ok);
    CHECK(o.intact());
    std::vector<float> out(o.begin(), o.end());
    out.insert(out.end(), lse.begin(), lse.end());
    return out;
  }
};

bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::uint32_t bit(tka::data_error e) { return static_cast<std::uint32_t>(e); }

template <class Source>
void positions_out_of_range() {
  given_call<Source> c;
  auto const good = c.over({3, 9, 74}, 3);
  CHECK(c.error[0] == 0);
  CHECK(std::isfinite(good[0]));
  // -1 is how a list says nothing.
  CHECK(same_bits(c.over({3, -1, 9, -1, 74, -1}, 6), good));
  CHECK(c.error[0] == 0);
  // 75 is no key, though a page has room for it.
  CHECK(same_bits(c.over({3, 75, huge, 9, lowest, -2, 74, 1000000}, 8), good));
  CHECK(c.error[0] == bit(tka::data_error::position_out_of_range));
  auto const nothing = c.over({75, huge, -1}, 3);
  for (std::size_t i = 0; i < 2 * dim; ++i) CHECK(nothing[i] == 0.0f);
  CHECK(nothing[2 * dim] == -std::numeric_limits<float>::infinity());
}

TEST_CASE("[tka.attend_selected] [tka.data_error] positions outside are skipped") {
  positions_out_of_range<tka::kv::contiguous>();
  positions_out_of_range<tka::kv::paged>();
}

TEST_CASE("[tka.data_error] counts outside 0..capacity are clamped and reported") {
  given_call<tka::kv::contiguous> c;
  auto const full = c.over({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, capacity);
  CHECK(c.error[0] == 0);
  CHECK(same_bits(c.over({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, huge), full));
  CHECK(c.error[0] == bit(tka::data_error::budget_out_of_range));
  auto const none = c.over({0, 1, 2}, lowest);
  CHECK(c.error[0] == bit(tka::data_error::budget_out_of_range));
  for (std::size_t i = 0; i < 2 * dim; ++i) CHECK(none[i] == 0.0f);
}

TEST_CASE("[tka.data_error] given positions in a page that does not exist are skipped") {
  given_call<tka::kv::paged> c;
  auto const good = c.over({3, 74}, 2);
  c.table[2] = 77;
  CHECK(same_bits(c.over({3, 17, 74}, 3), good));
  CHECK(c.error[0] == bit(tka::data_error::page_out_of_range));
}

TEST_CASE("[tka.data_error] a length out of bounds: no given position is a key") {
  given_call<tka::kv::contiguous> c;
  for (std::int32_t const bad : {-1, 81, huge}) {
    c.lengths[0] = bad;
    auto const none = c.over({0, 1, 2}, 3);
    CHECK((c.error[0] & bit(tka::data_error::length_out_of_bounds)) != 0);
    for (std::size_t i = 0; i < 2 * dim; ++i) CHECK(none[i] == 0.0f);
  }
}

}  // namespace
