// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Appending keys and values to caches of every layout and source: what is written is what reading
/// gives back, at the right place, and nothing else is touched.

#include <tka/append.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp32.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>
#include <memory/guarded.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <set>
#include <vector>

namespace {

using support::guarded;

constexpr std::int32_t heads = 2;
constexpr std::int32_t qk_dim = 144;  // one block of 128 and a rest
constexpr std::int32_t v_dim = 32;

/// New rows for two sequences: 3 and 5 tokens, behind 4 and 6 that are there.
struct new_rows {
  std::vector<std::int32_t> starts{4, 6};
  std::vector<std::int32_t> borders{0, 3, 8};
  std::vector<float> k;
  std::vector<float> v;

  explicit new_rows(support::random_source& random) : k(8 * heads * qk_dim), v(8 * heads * v_dim) {
    for (float& x : k) x = static_cast<float>(random.normal());
    for (float& x : v) x = static_cast<float>(random.normal());
  }
};

/// One token of the batch, and where it must stand.
struct token {
  std::int32_t b;
  std::int32_t row;  ///< of the new rows
  std::int32_t position;
};
std::vector<token> tokens() {
  std::vector<token> all;
  for (std::int32_t i = 0; i < 3; ++i) all.push_back({0, i, 4 + i});
  for (std::int32_t i = 0; i < 5; ++i) all.push_back({1, 3 + i, 6 + i});
  return all;
}

constexpr tka::shape s{.batch = 2,
                       .q_heads = heads,
                       .kv_heads = heads,
                       .q_len = 5,
                       .kv_len = 16,
                       .qk_dim = qk_dim,
                       .v_dim = v_dim,
                       .page_size = 3};
constexpr std::int32_t page_slots = 3;
/// Pages of both sequences, dealt out backwards.
std::vector<std::int32_t> page_table() { return {11, 9, 7, 5, 3, 1, 10, 8, 6, 4, 2, 0}; }

/// The slot, counted over all of the cache, of a position.
template <class Source>
std::size_t slot_of(std::int32_t b, std::int32_t position) {
  if constexpr (Source::has_pages) {
    auto const table = page_table();
    std::int32_t const page = table[static_cast<std::size_t>(b * 6 + position / page_slots)];
    return static_cast<std::size_t>(page * page_slots + position % page_slots);
  } else if constexpr (std::is_same_v<Source, tka::kv::ragged>) {
    return static_cast<std::size_t>(b == 0 ? position : 10 + position);  // borders 0, 10, 26
  } else {
    return static_cast<std::size_t>(b * 16 + position);
  }
}

template <class Precision, class Source, class Layout>
struct cache {
  using key = typename Precision::key_type;
  using value = typename Precision::value_type;
  using form = tka::form<tka::query::ragged, Source, Layout>;
  static constexpr std::size_t slots = Source::has_pages ? 36 : 40;
  static constexpr std::int64_t outer = Source::has_pages ? page_slots : 16;

  guarded<key> k{slots * heads * qk_dim, support::guard::behind, 16, 0xee};
  guarded<value> v{slots * heads * v_dim, support::guard::behind, 16, 0xee};
  std::vector<std::int32_t> table = page_table();
  std::vector<std::int32_t> borders{0, 10, 26};
  std::uint32_t error = 0;

  typename decltype(tka::append<Precision, tka::cpu, form>)::tensors arguments(new_rows const& n) {
    typename decltype(tka::append<Precision, tka::cpu, form>)::tensors t{};
    t.new_k = tka::nhd(n.k.data(), heads, 8, qk_dim);
    t.new_v = tka::nhd(n.v.data(), heads, 8, v_dim);
    t.k = {k.data(), outer * heads * qk_dim, qk_dim, heads * qk_dim};
    t.v = {v.data(), outer * heads * v_dim, v_dim, heads * v_dim};
    t.query.cumulative = n.borders.data();
    t.starts = n.starts.data();
    t.error = &error;
    if constexpr (Source::has_pages) {
      t.kv = {
          .lengths = borders.data(), .block_table = table.data(), .table_stride = 6, .pages = 12};
    } else if constexpr (std::is_same_v<Source, tka::kv::ragged>) {
      t.kv = {.cumulative = borders.data()};
    }
    return t;
  }
};

template <class T>
bool same_bits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

/// The slots of the new tokens hold `stored(value, row, d)`, all others their old bytes.
template <class T>
bool holds(guarded<T> const& memory, std::vector<float> const& rows, std::int32_t dim,
           std::vector<std::size_t> const& slots,
           std::function<T(std::size_t slot, std::int32_t head, std::int32_t d, float value)> const&
               stored) {
  guarded<T> expected(memory.size(), support::guard::behind, 16, 0xee);
  auto const all = tokens();
  auto const width = static_cast<std::size_t>(heads * dim);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (slots[i] == static_cast<std::size_t>(-1)) continue;
    for (std::int32_t h = 0; h < heads; ++h) {
      for (std::int32_t d = 0; d < dim; ++d) {
        auto const at = static_cast<std::size_t>(h * dim + d);
        expected[slots[i] * width + at] =
            stored(slots[i], h, d, rows[static_cast<std::size_t>(all[i].row) * width + at]);
      }
    }
  }
  return std::memcmp(static_cast<void const*>(expected.data()),
                     static_cast<void const*>(memory.data()), memory.size() * sizeof(T)) == 0;
}

template <class Source>
std::vector<std::size_t> all_slots() {
  std::vector<std::size_t> slots;
  for (token const& t : tokens()) slots.push_back(slot_of<Source>(t.b, t.position));
  return slots;
}

template <class Wide, class Stored>
struct stores {
  using query_type = Wide;
  using key_type = Stored;
  using value_type = Stored;
  using output_type = Wide;
};

template <class Stored, class Source>
void plain_rows() {
  support::random_source random("plain");
  INFO(random);
  new_rows const n(random);
  using precision = stores<float, Stored>;
  cache<precision, Source, tka::layout::plain> c;
  using form = typename decltype(c)::form;
  CHECK(tka::append<precision, tka::cpu, form>(s, {}, c.arguments(n)) == tka::status::ok);
  CHECK(c.error == 0);
  auto const convert = [](std::size_t, std::int32_t, std::int32_t, float x) { return Stored(x); };
  CHECK(holds<Stored>(c.k, n.k, qk_dim, all_slots<Source>(), convert));
  CHECK(holds<Stored>(c.v, n.v, v_dim, all_slots<Source>(), convert));
  CHECK(c.k.intact());
  CHECK(c.v.intact());
}

TEST_CASE("[tka.append] plain rows in fp32, fp16, bf16 and e4m3: contiguous, paged, ragged") {
  plain_rows<float, tka::kv::contiguous>();
  plain_rows<float, tka::kv::paged>();
  plain_rows<tka::float16_t, tka::kv::ragged>();
  plain_rows<tka::float16_t, tka::kv::paged>();
  plain_rows<tka::bfloat16_t, tka::kv::contiguous>();
  plain_rows<tka::float8_e4m3_t, tka::kv::contiguous>();
  plain_rows<tka::float8_e4m3_t, tka::kv::paged>();
}

/// Scales are chosen for `blocks` of each row (1: the whole row).
template <class Source>
void own_scales(tka::scale_rounding rounding, bool by_block) {
  support::random_source random("own scales");
  INFO(random);
  new_rows const n(random);
  using e4m3 = tka::float8_e4m3_t;
  using precision = tka::fp8_with<tka::fp32>;
  cache<precision, Source, tka::layout::scaled> c;
  using form = typename decltype(c)::form;
  std::int64_t const k_blocks = by_block ? 2 : 1;
  guarded<float> k_scales(c.slots * heads * static_cast<std::size_t>(k_blocks));
  guarded<float> v_scales(c.slots * heads);
  auto t = c.arguments(n);
  t.k_scales = {k_scales.data(), c.outer * heads * k_blocks, k_blocks, heads * k_blocks,
                by_block ? 1 : 0};
  t.v_scales = {v_scales.data(), c.outer * heads, 1, heads, 0};
  CHECK(tka::append<precision, tka::cpu, form>(s, {.rounding = rounding}, t) == tka::status::ok);
  CHECK(k_scales.intact());
  CHECK(v_scales.intact());

  auto const slots = all_slots<Source>();
  auto const all = tokens();
  bool scales_right = true;
  std::set<std::size_t> written;
  auto const scale_of = [&](std::vector<float> const& rows, std::size_t i, std::int32_t h,
                            std::int32_t dim, std::int32_t from, std::int32_t to) {
    float amax = 1e-4f;
    for (std::int32_t d = from; d < to; ++d) {
      auto const at = static_cast<std::size_t>((all[i].row * heads + h) * dim + d);
      amax = std::max(amax, std::fabs(rows[at]));
    }
    float scale = amax / 448.0f;
    if (rounding == tka::scale_rounding::power_of_two) {
      scale = std::exp2(std::ceil(std::log2(scale)));
    }
    return scale;
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::int32_t h = 0; h < heads; ++h) {
      auto const row = slots[i] * heads + static_cast<std::size_t>(h);
      written.insert(row);
      auto const k_row = row * static_cast<std::size_t>(k_blocks);
      scales_right = scales_right && v_scales[row] == scale_of(n.v, i, h, v_dim, 0, v_dim);
      if (by_block) {
        scales_right = scales_right && k_scales[k_row] == scale_of(n.k, i, h, qk_dim, 0, 128) &&
                       k_scales[k_row + 1] == scale_of(n.k, i, h, qk_dim, 128, qk_dim);
      } else {
        scales_right = scales_right && k_scales[k_row] == scale_of(n.k, i, h, qk_dim, 0, qk_dim);
      }
    }
  }
  CHECK(scales_right);
  // Scales of slots that were not written are untouched.
  bool others_untouched = true;
  for (std::size_t row = 0; row < v_scales.size(); ++row) {
    if (!written.contains(row)) others_untouched = others_untouched && std::isnan(v_scales[row]);
  }
  CHECK(others_untouched);
  CHECK(holds<e4m3>(c.k, n.k, qk_dim, slots,
                    [&](std::size_t slot, std::int32_t h, std::int32_t d, float x) {
                      std::size_t const row = slot * heads + static_cast<std::size_t>(h);
                      std::size_t const block = by_block ? static_cast<std::size_t>(d / 128) : 0;
                      return e4m3{x / k_scales[row * static_cast<std::size_t>(k_blocks) + block]};
                    }));
  CHECK(holds<e4m3>(c.v, n.v, v_dim, slots,
                    [&](std::size_t slot, std::int32_t h, std::int32_t, float x) {
                      return e4m3{x / v_scales[slot * heads + static_cast<std::size_t>(h)]};
                    }));
}

TEST_CASE("[tka.append] e4m3 with scales of its own for each token, or each 128 values of it") {
  for (bool const by_block : {false, true}) {
    own_scales<tka::kv::contiguous>(tka::scale_rounding::nearest, by_block);
    own_scales<tka::kv::paged>(tka::scale_rounding::power_of_two, by_block);
    own_scales<tka::kv::ragged>(tka::scale_rounding::nearest, by_block);
  }
}

TEST_CASE("[tka.append] e4m3 with a scale that is shared: it is read and left as it is") {
  support::random_source random("shared");
  INFO(random);
  new_rows const n(random);
  using precision = tka::fp8_with<tka::fp32>;
  cache<precision, tka::kv::contiguous, tka::layout::scaled> c;
  float k_scale[2] = {0.01f, 0.03f};  // one a head
  float v_scale = 0.5f;
  auto t = c.arguments(n);
  t.k_scales = {k_scale, 0, 1, 0, 0};
  t.v_scales = {&v_scale, 0, 0, 0, 0};
  CHECK(tka::append<precision, tka::cpu, decltype(c)::form>(s, {}, t) == tka::status::ok);
  CHECK(k_scale[0] == 0.01f);
  CHECK(k_scale[1] == 0.03f);
  CHECK(v_scale == 0.5f);
  auto const slots = all_slots<tka::kv::contiguous>();
  CHECK(holds<tka::float8_e4m3_t>(c.k, n.k, qk_dim, slots,
                                  [&](std::size_t, std::int32_t h, std::int32_t, float x) {
                                    return tka::float8_e4m3_t{x / k_scale[h]};
                                  }));
  CHECK(holds<tka::float8_e4m3_t>(c.v, n.v, v_dim, slots,
                                  [&](std::size_t, std::int32_t, std::int32_t, float x) {
                                    return tka::float8_e4m3_t{x / v_scale};
                                  }));
}

/// A scale for each token and 128 values, which the heads share.
template <class Source>
void scales_of_all_heads(bool by_block) {
  support::random_source random("scales of all heads");
  INFO(random);
  new_rows const n(random);
  using precision = tka::fp8_with<tka::fp32>;
  cache<precision, Source, tka::layout::scaled> c;
  std::int64_t const k_blocks = by_block ? 2 : 1;
  guarded<float> k_scales(c.slots * static_cast<std::size_t>(k_blocks));
  guarded<float> v_scales(c.slots);
  auto t = c.arguments(n);
  t.k_scales = {k_scales.data(), c.outer * k_blocks, 0, k_blocks, by_block ? 1 : 0};
  t.v_scales = {v_scales.data(), c.outer, 0, 1, 0};
  CHECK(tka::append<precision, tka::cpu, typename decltype(c)::form>(s, {}, t) == tka::status::ok);
  CHECK(k_scales.intact());
  CHECK(v_scales.intact());

  auto const slots = all_slots<Source>();
  auto const all = tokens();
  /// Of values [from, to) of every head of a token.
  auto const scale_of = [&](std::vector<float> const& rows, std::int32_t row, std::int32_t dim,
                            std::int32_t from, std::int32_t to) {
    float amax = 1e-4f;
    for (std::int32_t h = 0; h < heads; ++h) {
      for (std::int32_t d = from; d < to; ++d) {
        auto const at = static_cast<std::size_t>((row * heads + h) * dim + d);
        amax = std::max(amax, std::fabs(rows[at]));
      }
    }
    return amax / 448.0f;
  };
  bool scales_right = true;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::size_t const k_at = slots[i] * static_cast<std::size_t>(k_blocks);
    std::int32_t const border = by_block ? 128 : qk_dim;
    scales_right = scales_right &&
                   v_scales[slots[i]] == scale_of(n.v, all[i].row, v_dim, 0, v_dim) &&
                   k_scales[k_at] == scale_of(n.k, all[i].row, qk_dim, 0, border);
    if (by_block) {
      scales_right =
          scales_right && k_scales[k_at + 1] == scale_of(n.k, all[i].row, qk_dim, border, qk_dim);
    }
  }
  CHECK(scales_right);
  using e4m3 = tka::float8_e4m3_t;
  CHECK(holds<e4m3>(c.k, n.k, qk_dim, slots,
                    [&](std::size_t slot, std::int32_t, std::int32_t d, float x) {
                      std::size_t const block = by_block ? static_cast<std::size_t>(d / 128) : 0;
                      return e4m3{x / k_scales[slot * static_cast<std::size_t>(k_blocks) + block]};
                    }));
  CHECK(holds<e4m3>(c.v, n.v, v_dim, slots,
                    [&](std::size_t slot, std::int32_t, std::int32_t, float x) {
                      return e4m3{x / v_scales[slot]};
                    }));
}

TEST_CASE("[tka.append] e4m3 with scales for each token that its heads share") {
  for (bool const by_block : {false, true}) {
    scales_of_all_heads<tka::kv::contiguous>(by_block);
    scales_of_all_heads<tka::kv::paged>(by_block);
  }
}

TEST_CASE("[tka.append] scales beside a cache whose layout has none are not used") {
  support::random_source random("no scales");
  INFO(random);
  new_rows const n(random);
  using precision = stores<float, tka::bfloat16_t>;
  cache<precision, tka::kv::contiguous, tka::layout::plain> c;
  float scale = 0.25f;
  auto t = c.arguments(n);
  t.k_scales = {&scale, 0, 0, 0, 0};
  t.v_scales = {&scale, 0, 0, 0, 0};
  CHECK(tka::append<precision, tka::cpu, decltype(c)::form>(s, {}, t) == tka::status::ok);
  CHECK(holds<tka::bfloat16_t>(
      c.k, n.k, qk_dim, all_slots<tka::kv::contiguous>(),
      [](std::size_t, std::int32_t, std::int32_t, float x) { return tka::bfloat16_t{x}; }));
}

/// layout::scaled multiplies what is stored, whatever the storage type: reading must give back.
TEST_CASE("[tka.append] 16-bit rows under layout::scaled are divided by their shared scale") {
  support::random_source random("scaled 16-bit");
  INFO(random);
  new_rows const n(random);
  using precision = stores<float, tka::bfloat16_t>;
  cache<precision, tka::kv::contiguous, tka::layout::scaled> c;
  float scale = 0.25f;
  auto t = c.arguments(n);
  t.k_scales = {&scale, 0, 0, 0, 0};
  t.v_scales = {&scale, 0, 0, 0, 0};
  CHECK(tka::append<precision, tka::cpu, decltype(c)::form>(s, {}, t) == tka::status::ok);
  CHECK(holds<tka::bfloat16_t>(c.k, n.k, qk_dim, all_slots<tka::kv::contiguous>(),
                               [&](std::size_t, std::int32_t, std::int32_t, float x) {
                                 return tka::bfloat16_t{x / scale};
                               }));
}

TEST_CASE("[tka.append] uniform queries: q_len tokens of each sequence") {
  support::random_source random("uniform");
  INFO(random);
  std::vector<float> k(2 * 2 * 16);
  for (float& x : k) x = static_cast<float>(random.normal());
  std::vector<float> cache_k(2 * 8 * 16, -1.0f);
  std::vector<float> cache_v(2 * 8 * 16, -1.0f);
  std::int32_t const starts[2] = {0, 6};
  tka::shape const small{
      .batch = 2, .kv_heads = 1, .q_len = 2, .kv_len = 8, .qk_dim = 16, .v_dim = 16};
  CHECK(tka::append<tka::fp32, tka::cpu>(
            small, {},
            {.new_k = tka::nhd(static_cast<float const*>(k.data()), 1, 2, 16),
             .new_v = tka::nhd(static_cast<float const*>(k.data()), 1, 2, 16),
             .k = tka::nhd(cache_k.data(), 1, 8, 16),
             .v = tka::nhd(cache_v.data(), 1, 8, 16),
             .starts = starts}) == tka::status::ok);
  std::vector<float> expected(2 * 8 * 16, -1.0f);
  for (std::size_t d = 0; d < 32; ++d) {
    expected[d] = k[d];                      // sequence 0, positions 0 and 1
    expected[(8 + 6) * 16 + d] = k[32 + d];  // sequence 1, positions 6 and 7
  }
  CHECK(cache_k == expected);
  CHECK(cache_v == expected);
}

}  // namespace
