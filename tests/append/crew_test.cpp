// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows of `append` and `merge` that many threads share, as a block of a GPU does: the bytes are
/// those of one thread.

#include <tka/append.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/merge.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

namespace {

constexpr std::int32_t threads = 5;

struct shared_by_crew {
  std::barrier<> all_here{threads};
  float brought[threads] = {};
};

/// See tka::detail::one_thread.
struct many_threads {
  static constexpr std::int32_t size = threads;
  std::int32_t number;
  shared_by_crew* shared;

  [[nodiscard]] std::int32_t rank() const noexcept { return number; }
  void sync() const noexcept { shared->all_here.arrive_and_wait(); }
  [[nodiscard]] float largest(float x) const noexcept {
    shared->brought[number] = x;
    sync();
    float const most = *std::max_element(shared->brought, shared->brought + threads);
    sync();
    return most;
  }
  void report(std::uint32_t* word, tka::data_error bit) const noexcept {
    if (word != nullptr && number == 0) *word |= static_cast<std::uint32_t>(bit);
  }
};

/// A backend whose rows are each done by all threads.
struct crowd {
  using is_tka_backend = void;
  struct device {};

  template <class Work>
  [[nodiscard]] static tka::status run_rows(Work const& work) noexcept {
    shared_by_crew shared;
    std::vector<float> buffer(Work::buffered);
    std::vector<std::thread> crew;
    for (std::int32_t number = 0; number < threads; ++number) {
      crew.emplace_back([&, number] {
        for (std::int32_t b = 0; b < work.sequences(); ++b) {
          for (std::int64_t row = 0; row < work.rows(b); ++row) {
            work.row(b, row, many_threads{number, &shared}, buffer.data());
          }
        }
      });
    }
    for (std::thread& thread : crew) thread.join();
    return tka::status::ok;
  }
};

template <class T>
std::vector<T> random_rows(std::size_t count, support::random_source& random) {
  std::vector<T> all(count);
  for (T& x : all) x = static_cast<T>(static_cast<float>(random.normal()));
  return all;
}

template <class T>
bool same_bytes(std::vector<T> const& a, std::vector<T> const& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](T const& x, T const& y) { return std::memcmp(&x, &y, sizeof(T)) == 0; });
}

/// What one call wrote.
template <class Key>
struct cache {
  std::vector<Key> k;
  std::vector<Key> v;
  std::vector<float> scales;
  std::uint32_t error = 0;

  bool operator==(cache const& other) const {
    return same_bytes(k, other.k) && same_bytes(v, other.v) && same_bytes(scales, other.scales) &&
           error == other.error;
  }
};

constexpr std::int32_t tokens = 6;

template <class Backend, class Precision, class Layout>
cache<typename Precision::key_type> appended(
    std::vector<typename Precision::query_type> const& rows, std::int32_t qk_dim,
    std::int32_t v_dim, bool by_block) {
  using key = typename Precision::key_type;
  constexpr std::int64_t most = 700;
  cache<key> c{std::vector<key>(8 * 2 * most, key{}), std::vector<key>(8 * 2 * most, key{}),
               std::vector<float>(8 * 2 * 8 * 2, 0.5f)};
  std::int32_t const start = 3;  // the last token has no place
  std::int32_t const heads = qk_dim == 576 ? 1 : 2;
  tka::append_tensors<Precision, tka::form<Layout>> t{};
  t.new_k = tka::nhd(rows.data(), heads, tokens, qk_dim);
  t.new_v = tka::nhd(rows.data(), heads, tokens, v_dim);
  t.k = tka::nhd(c.k.data(), heads, 8, most);
  t.v = tka::nhd(c.v.data(), heads, 8, most);
  t.k_scales = {c.scales.data(), 0, 8, 16, by_block ? 1 : 0};
  t.v_scales = {c.scales.data() + 128, 0, 8, 16, by_block ? 1 : 0};
  t.starts = &start;
  t.error = &c.error;
  tka::shape const s{
      .kv_heads = heads, .q_len = tokens, .kv_len = 8, .qk_dim = qk_dim, .v_dim = v_dim};
  CHECK(tka::append<Precision, Backend, tka::form<Layout>>(s, {}, t) == tka::status::ok);
  return c;
}

template <class Precision, class Layout>
void crowd_appends_alike(std::int32_t qk_dim, std::int32_t v_dim, bool by_block,
                         support::random_source& random) {
  auto const rows = random_rows<typename Precision::query_type>(
      static_cast<std::size_t>(tokens * 2 * std::max(qk_dim, v_dim)), random);
  CHECK((appended<crowd, Precision, Layout>(rows, qk_dim, v_dim, by_block) ==
         appended<tka::cpu, Precision, Layout>(rows, qk_dim, v_dim, by_block)));
}

TEST_CASE("[tka.append] rows that threads share are those of one thread") {
  support::random_source random("crowd");
  INFO(random);
  for (bool const by_block : {false, true}) {
    crowd_appends_alike<tka::fp8, tka::layout::scaled>(145, 33, by_block, random);
    crowd_appends_alike<tka::bf16, tka::layout::scaled>(145, 2, by_block, random);
  }
  crowd_appends_alike<tka::fp8, tka::layout::plain>(16, 640, false, random);
  crowd_appends_alike<tka::fp8, tka::layout::mla_656>(576, 512, false, random);
}

template <class Backend, class Precision>
cache<typename Precision::key_type> appended_keys(std::vector<float> const& rows, std::int32_t dim,
                                                  tka::append_options const& options) {
  using key = typename Precision::key_type;
  cache<key> c{std::vector<key>(8 * 128), {}, std::vector<float>(8)};
  std::int32_t const start = 1;
  tka::append_index_tensors<Precision, tka::form<>> t{};
  t.new_k = {rows.data(), 0, 0, dim};
  t.k = {c.k.data(), 0, 0, dim};
  t.k_scales = {c.scales.data(), 0, 0, 1};
  t.starts = &start;
  tka::shape const s{.q_len = tokens, .kv_len = 8, .index_dim = dim};
  CHECK(tka::append_index_keys<Precision, Backend>(s, options, t) == tka::status::ok);
  return c;
}

TEST_CASE("[tka.append] rotated index keys that threads share are those of one thread") {
  support::random_source random("rotated crowd");
  INFO(random);
  tka::append_options rotated{};
  rotated.rotate = tka::rotation::hadamard;
  for (std::int32_t const dim : {1, 2, 8, 128}) {
    auto rows = random_rows<float>(static_cast<std::size_t>(tokens * dim), random);
    rows[0] = std::numeric_limits<float>::quiet_NaN();
    CHECK((appended_keys<crowd, tka::index_fp8>(rows, dim, rotated) ==
           appended_keys<tka::cpu, tka::index_fp8>(rows, dim, rotated)));
    CHECK((appended_keys<crowd, tka::bf16>(rows, dim, rotated) ==
           appended_keys<tka::cpu, tka::bf16>(rows, dim, rotated)));
  }
}

TEST_CASE("[tka.merge] rows that threads share are those of one thread, lse in place") {
  support::random_source random("merging crowd");
  INFO(random);
  constexpr std::int32_t dim = 24;
  constexpr std::int32_t parts = 3;
  auto const part_o = random_rows<float>(parts * tokens * dim, random);
  auto const lse = random_rows<float>(parts * tokens, random);
  auto const merged = [&]<class Backend>(Backend) {
    std::vector<float> out(tokens * dim);
    std::vector<float> in_place = lse;
    tka::merge_tensors<tka::fp32> t{};
    t.parts = parts;
    t.part_o = tka::nhd(part_o.data(), 1, tokens, dim);
    t.part_o_stride = tokens * dim;
    t.part_lse = tka::nhd(static_cast<float const*>(in_place.data()), 1, tokens, 1);
    t.part_lse_stride = tokens;
    t.o = tka::nhd(out.data(), 1, tokens, dim);
    t.lse = tka::nhd(in_place.data(), 1, tokens, 1);
    CHECK(tka::merge<tka::fp32, Backend>({.q_heads = 1, .q_len = tokens, .v_dim = dim}, t) ==
          tka::status::ok);
    out.insert(out.end(), in_place.begin(), in_place.end());
    return out;
  };
  CHECK(same_bytes(merged(crowd{}), merged(tka::cpu{})));
}

}  // namespace
