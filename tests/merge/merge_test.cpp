// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Joining partial attentions: against one softmax over everything, with empty parts.

#include <tka/attend_selected.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/merge.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp32.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>
#include <memory/guarded.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace {

using support::guarded;
using tka::status;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr std::int32_t dim = 16;

/// Parts of one row of dim values.
struct one_row {
  std::int32_t parts;
  guarded<float> part_o;
  guarded<float> part_lse;
  guarded<float> o{dim, support::guard::behind, 16};
  guarded<float> lse{1};

  explicit one_row(std::vector<float> const& lses)
      : parts(static_cast<std::int32_t>(lses.size())),
        part_o(lses.size() * dim, support::guard::behind, 16),
        part_lse(lses.size()) {
    std::copy(lses.begin(), lses.end(), part_lse.begin());
    for (std::size_t i = 0; i < part_o.size(); ++i) part_o[i] = static_cast<float>(i / dim + 1);
  }
  void run() {
    CHECK(tka::merge<tka::fp32, tka::cpu>({.q_heads = 1, .q_len = 1, .v_dim = dim},
                                          {.parts = parts,
                                           .part_o = {part_o.data(), 0, 0, 0},
                                           .part_o_stride = dim,
                                           .part_lse = {part_lse.data(), 0, 0, 0},
                                           .part_lse_stride = 1,
                                           .o = {o.data(), 0, 0, 0},
                                           .lse = {lse.data(), 0, 0, 0}}) == status::ok);
    for (std::size_t d = 1; d < dim; ++d) {
      CHECK((o[d] == o[0] || (std::isnan(o[d]) && std::isnan(o[0]))));
    }
  }
};

TEST_CASE("[tka.merge] equal parts: the mean, and lse + ln(parts)") {
  one_row r({2.0f, 2.0f, 2.0f});
  r.run();
  CHECK(r.o[0] == doctest::Approx(2.0f).epsilon(1e-6));
  CHECK(r.lse[0] == doctest::Approx(2.0 + std::log(3.0)).epsilon(1e-6));
  one_row unequal({std::log(3.0f), 0.0f});
  unequal.run();
  CHECK(unequal.o[0] == doctest::Approx(0.75 * 1 + 0.25 * 2).epsilon(1e-6));
  CHECK(unequal.lse[0] == doctest::Approx(std::log(4.0)).epsilon(1e-6));
}

TEST_CASE("[tka.merge] empty parts do not count, whatever stands in their o") {
  one_row r({-infinity, 1.5f, -infinity});
  for (std::size_t d = 0; d < dim; ++d) {
    r.part_o[d] = nan;
    r.part_o[2 * dim + d] = infinity;
  }
  r.run();
  CHECK(r.o[0] == 2.0f);
  CHECK(r.lse[0] == 1.5f);
}

TEST_CASE("[tka.merge] [tka.empty] all parts empty, or none: o = 0, lse = -inf") {
  one_row r({-infinity, -infinity});
  for (float& x : r.part_o) x = nan;
  r.run();
  CHECK(r.o[0] == 0.0f);
  CHECK(r.lse[0] == -infinity);
  one_row none({});
  none.run();
  CHECK(none.o[0] == 0.0f);
  CHECK(none.lse[0] == -infinity);
}

TEST_CASE("[tka.merge] one part comes through as it is") {
  one_row r({-3.25f});
  r.part_o[0] = 1.0f;
  r.run();
  CHECK(r.o[0] == 1.0f);
  CHECK(r.lse[0] == -3.25f);
}

TEST_CASE("[tka.merge] far apart and very large lse: no overflow, the smaller part vanishes") {
  one_row r({-1e30f, 3e4f, 2.0f});
  r.run();
  CHECK(r.o[0] == 2.0f);
  CHECK(r.lse[0] == 3e4f);
  one_row low({-1e5f, -1e5f});
  low.run();
  CHECK(low.o[0] == doctest::Approx(1.5).epsilon(1e-6));
  CHECK(low.lse[0] == doctest::Approx(-1e5 + std::log(2.0)).epsilon(1e-6));
}

TEST_CASE("[tka.merge] [tka.nan] a part that is NaN makes the row NaN, also beside empty ones") {
  for (int where = 0; where < 3; ++where) {
    std::vector<float> lses{-infinity, 1.0f, -infinity};
    lses[static_cast<std::size_t>(where)] = nan;
    one_row r(lses);
    r.run();
    CHECK(std::isnan(r.o[0]));
    CHECK(std::isnan(r.lse[0]));
  }
  one_row alone({nan, -infinity});
  alone.run();
  CHECK(std::isnan(alone.o[0]));
  CHECK(std::isnan(alone.lse[0]));
}

/// attend_selected over three disjoint sets of keys, merged, against the union of them.
template <class Precision>
void joins_disjoint_sets(double tolerance) {
  using storage = typename Precision::output_type;
  support::random_source random("disjoint");
  INFO(random);
  constexpr std::int32_t batch = 2;
  constexpr std::int32_t heads = 4;
  constexpr std::int32_t tokens = 3;
  constexpr std::int32_t keys = 90;
  constexpr std::int32_t rows = batch * heads * tokens;
  auto const filled = [&](std::int32_t n) {
    guarded<storage> m(static_cast<std::size_t>(n), support::guard::behind, 16);
    for (storage& x : m) x = static_cast<storage>(static_cast<float>(random.normal()));
    return m;
  };
  guarded<storage> const q = filled(rows * dim);
  guarded<storage> const k = filled(batch * keys * dim);
  guarded<storage> const v = filled(batch * keys * dim);
  // Part 3 is empty everywhere; key j belongs to part j mod 3 of its row, shifted.
  constexpr std::int32_t parts = 4;
  guarded<storage> part_o(parts * rows * dim, support::guard::behind, 16);
  guarded<float> part_lse(parts * rows);
  std::vector<std::int32_t> positions(static_cast<std::size_t>(rows * keys), -1);
  std::vector<std::int32_t> count(rows);
  constexpr auto attend = tka::attend_selected<Precision, tka::cpu>;
  tka::shape const s{.batch = batch,
                     .q_heads = heads,
                     .kv_heads = 1,
                     .q_len = tokens,
                     .kv_len = keys,
                     .qk_dim = dim,
                     .v_dim = dim};
  tka::plan const p = attend.plan(s, {.budget = tka::top_k(keys), .scale = 0.7f}, {});
  REQUIRE(p.status == status::ok);
  guarded<std::byte> scratch(p.scratch_bytes, support::guard::behind, 64);
  auto const run = [&](storage* o, float* lse) {
    return attend(
        p,
        {.q = tka::nhd(q.data(), heads, tokens, dim),
         .k = tka::nhd(k.data(), 1, keys, dim),
         .v = tka::nhd(v.data(), 1, keys, dim),
         .o = tka::nhd(o, heads, tokens, dim),
         .positions =
             tka::nhd(static_cast<std::int32_t const*>(positions.data()), heads, tokens, keys),
         .count = tka::nhd(static_cast<std::int32_t const*>(count.data()), heads, tokens, 1),
         .lse = tka::nhd(lse, heads, tokens, 1)},
        {.scratch = scratch.data(), .scratch_bytes = p.scratch_bytes});
  };
  auto const list = [&](auto&& belongs) {
    for (std::int32_t row = 0; row < rows; ++row) {
      std::int32_t n = 0;
      for (std::int32_t j = 0; j < keys; ++j) {
        if (belongs(row, j)) positions[static_cast<std::size_t>(row * keys + n++)] = j;
      }
      count[static_cast<std::size_t>(row)] = n;
    }
  };
  for (std::int32_t part = 0; part < parts; ++part) {
    list([&](std::int32_t row, std::int32_t j) { return part < 3 && (j + row) % 3 == part; });
    REQUIRE(run(part_o.data() + part * rows * dim, part_lse.data() + part * rows) == status::ok);
  }
  guarded<storage> whole(rows * dim, support::guard::behind, 16);
  guarded<float> whole_lse(rows);
  list([](std::int32_t, std::int32_t) { return true; });
  REQUIRE(run(whole.data(), whole_lse.data()) == status::ok);

  guarded<storage> joined(rows * dim, support::guard::behind, 16);
  guarded<float> joined_lse(rows);
  tka::merge_tensors<Precision> t{};
  t.parts = parts;
  t.part_o = tka::nhd(static_cast<storage const*>(part_o.data()), heads, tokens, dim);
  t.part_o_stride = rows * dim;
  t.part_lse = tka::nhd(static_cast<float const*>(part_lse.data()), heads, tokens, 1);
  t.part_lse_stride = rows;
  t.o = tka::nhd(joined.data(), heads, tokens, dim);
  t.lse = tka::nhd(joined_lse.data(), heads, tokens, 1);
  REQUIRE(tka::merge<Precision, tka::cpu>(s, t) == status::ok);
  CHECK(joined.intact());
  CHECK(joined_lse.intact());
  double worst = 0.0;
  double worst_lse = 0.0;
  for (std::size_t i = 0; i < joined.size(); ++i) {
    double const difference = static_cast<double>(static_cast<float>(joined[i])) -
                              static_cast<double>(static_cast<float>(whole[i]));
    worst = std::max(worst, std::fabs(difference));
  }
  for (std::size_t i = 0; i < rows; ++i) {
    worst_lse = std::max(worst_lse, std::fabs(static_cast<double>(joined_lse[i]) -
                                              static_cast<double>(whole_lse[i])));
  }
  CHECK(worst <= tolerance);
  CHECK(worst_lse <= 2e-6);

  // Twice the same: the same bits.
  guarded<storage> again(rows * dim, support::guard::behind, 16);
  t.o = tka::nhd(again.data(), heads, tokens, dim);
  t.lse = {};
  REQUIRE(tka::merge<Precision, tka::cpu>(s, t) == status::ok);
  CHECK(std::memcmp(static_cast<void const*>(again.data()), static_cast<void const*>(joined.data()),
                    joined.size() * sizeof(storage)) == 0);
}

TEST_CASE("[tka.merge] parts over disjoint keys give the attention over their union") {
  joins_disjoint_sets<tka::fp32>(2e-6);
  joins_disjoint_sets<tka::fp16>(2e-3);  // parts were rounded to 11 bits before
  joins_disjoint_sets<tka::bf16>(2e-2);
}

TEST_CASE("[tka.status] merge refuses what the host can know, and writes nothing") {
  one_row r({1.0f, 2.0f});
  r.o.fill_bytes(0x5a);
  r.lse.fill_bytes(0x5a);
  tka::shape const s{.q_heads = 1, .q_len = 1, .v_dim = dim};
  tka::merge_tensors<tka::fp32> const t{.parts = 2,
                                        .part_o = {r.part_o.data(), 0, 0, 0},
                                        .part_o_stride = dim,
                                        .part_lse = {r.part_lse.data(), 0, 0, 0},
                                        .part_lse_stride = 1,
                                        .o = {r.o.data(), 0, 0, 0},
                                        .lse = {r.lse.data(), 0, 0, 0}};
  auto const with = [&](auto&& change) {
    tka::shape shape = s;
    tka::merge_tensors<tka::fp32> tensors = t;
    change(shape, tensors);
    return tka::merge<tka::fp32, tka::cpu>(shape, tensors);
  };
  CHECK(with([](auto& x, auto&) { x.batch = 0; }) == status::invalid_shape);
  CHECK(with([](auto& x, auto&) { x.q_heads = 0; }) == status::invalid_shape);
  CHECK(with([](auto& x, auto&) { x.q_len = -1; }) == status::invalid_shape);
  CHECK(with([](auto& x, auto&) { x.v_dim = 0; }) == status::invalid_shape);
  CHECK(with([](auto&, auto& x) { x.parts = -1; }) == status::invalid_shape);
  CHECK(with([](auto&, auto& x) { x.o.data = nullptr; }) == status::null_pointer);
  CHECK(with([](auto&, auto& x) { x.part_o.data = nullptr; }) == status::null_pointer);
  CHECK(with([](auto&, auto& x) { x.part_lse.data = nullptr; }) == status::null_pointer);
  CHECK(with([](auto&, auto& x) { x.o.data += 1; }) == status::misaligned);
  CHECK(with([](auto&, auto& x) { x.part_o.data += 2; }) == status::misaligned);
  CHECK(with([](auto&, auto& x) { x.o.token = 5; }) == status::misaligned);
  std::vector<unsigned char> bytes;
  r.o.append_bytes_to(bytes);
  r.lse.append_bytes_to(bytes);
  CHECK(std::all_of(bytes.begin(), bytes.end(), [](unsigned char b) { return b == 0x5a; }));
}

}  // namespace
