// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Appending on the device writes the bytes that the CPU writes, everywhere and nothing beside.

#include <tka/append.hpp>
#include <tka/backend/cuda.cuh>

#include <support/captured.cuh>
#include <support/device_memory.cuh>
#include <support/seed.hpp>

#include <cuda/twin.cuh>
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

using cuda_test::place;
using cuda_test::reference;
using cuda_test::twin;
using tka::status;

/// Who has which scales in layout::scaled.
enum class scales { none, of_tensor, of_head, of_token, of_block, of_heads_of_token };

struct setting {
  std::int32_t heads = 3;
  std::int32_t qk_dim = 145;  ///< one block of 128 and a rest
  std::int32_t v_dim = 33;
  std::int32_t kv_len = 24;
  std::int32_t q_len = 6;  ///< a bound where queries are ragged
  std::int32_t page_size = 3;
  scales k_scales = scales::none;
  scales v_scales = scales::none;
  tka::append_options options{};
  std::vector<std::int32_t> borders{0, 4, 4, 9};
  std::vector<std::int32_t> starts{4, 0, 18};
};

template <class Form>
inline constexpr bool mla = std::is_same_v<typename Form::cache_layout, tka::layout::mla_656>;

template <class Form>
std::int32_t tokens_of(setting const& s) {
  if (std::is_same_v<typename Form::query_source, tka::query::ragged>) {
    std::int32_t most = 1;
    for (std::int32_t const border : s.borders) most = border > most ? border : most;
    return most;
  }
  return static_cast<std::int32_t>(s.starts.size()) * s.q_len;
}

/// All memory of one call.
template <class Precision, class Form>
class call_memory {
 public:
  using source = typename Precision::query_type;
  using key = typename Precision::key_type;
  using value = typename Precision::value_type;
  using tensors = tka::append_tensors<Precision, Form>;

  call_memory(setting const& s, support::random_source& random)
      : s_(s),
        batch_(static_cast<std::int32_t>(s.starts.size())),
        row_(mla<Form> ? 656 : s.qk_dim),
        pages_of_one_((s.kv_len + s.page_size - 1) / s.page_size),
        slots_(static_cast<std::size_t>(batch_ * pages_of_one_ * s.page_size)),
        new_k_(count(tokens_of<Form>(s), s.qk_dim)),
        new_v_(count(tokens_of<Form>(s), s.v_dim)),
        k_(slots_ * static_cast<std::size_t>(s.heads * row_)),
        v_(slots_ * static_cast<std::size_t>(s.heads * s.v_dim)),
        k_scales_(slots_ * static_cast<std::size_t>(s.heads * 9)),
        v_scales_(slots_ * static_cast<std::size_t>(s.heads * 9)),
        starts_(s.starts),
        borders_(s.borders),
        cache_borders_(static_cast<std::size_t>(batch_ + 1)),
        table_(static_cast<std::size_t>(batch_ * pages_of_one_)),
        error_(1, 0) {
    cuda_test::fill_rows(new_k_, random);
    cuda_test::fill_rows(new_v_, random);
    for (std::size_t i = 0; i < k_scales_.size(); ++i) {
      k_scales_[i] = static_cast<float>(0.001 + random.uniform());
      v_scales_[i] = static_cast<float>(0.001 + random.uniform());
    }
    for (std::int32_t b = 0; b <= batch_; ++b) {
      cache_borders_[static_cast<std::size_t>(b)] = b * s.kv_len;
    }
    auto const pages = static_cast<std::int32_t>(table_.size());
    for (std::int32_t i = 0; i < pages; ++i) table_[static_cast<std::size_t>(i)] = pages - 1 - i;
  }

  [[nodiscard]] tka::shape shape() const {
    return {.batch = batch_,
            .q_heads = s_.heads,
            .kv_heads = s_.heads,
            .q_len = s_.q_len,
            .kv_len = s_.kv_len,
            .qk_dim = s_.qk_dim,
            .v_dim = s_.v_dim,
            .page_size = s_.page_size};
  }
  [[nodiscard]] tensors at(place where) {
    bool const ragged = std::is_same_v<typename Form::query_source, tka::query::ragged>;
    std::int32_t const q_len = ragged ? 0 : s_.q_len;
    std::int64_t const outer = Form::kv_source::has_pages ? s_.page_size : s_.kv_len;
    tensors t{};
    t.new_k = tka::nhd<source const>(new_k_.at(where), s_.heads, q_len, s_.qk_dim);
    t.new_v = tka::nhd<source const>(new_v_.at(where), s_.heads, q_len, s_.v_dim);
    t.k = tka::nhd(k_.at(where), s_.heads, outer, row_);
    t.v = tka::nhd(v_.at(where), s_.heads, outer, s_.v_dim);
    t.k_scales = scales_of(k_scales_.at(where), s_.k_scales, outer);
    t.v_scales = scales_of(v_scales_.at(where), s_.v_scales, outer);
    t.starts = starts_.at(where);
    t.error = error_.at(where);
    if constexpr (std::is_same_v<typename Form::query_source, tka::query::ragged>) {
      t.query.cumulative = borders_.at(where);
    }
    if constexpr (Form::kv_source::has_pages) {
      t.kv.lengths = starts_.at(where);  // required, not read
      t.kv.block_table = table_.at(where);
      t.kv.table_stride = pages_of_one_;
      t.kv.pages = static_cast<std::int32_t>(table_.size());
    } else if constexpr (std::is_same_v<typename Form::kv_source, tka::kv::ragged>) {
      t.kv.cumulative = cache_borders_.at(where);
    }
    return t;
  }
  [[nodiscard]] bool same() const {
    return k_.same() && v_.same() && k_scales_.same() && v_scales_.same() && new_k_.same() &&
           new_v_.same() && starts_.same() && borders_.same() && table_.same() && error_.same();
  }
  [[nodiscard]] std::uint32_t error() { return error_[0]; }
  [[nodiscard]] twin<std::int32_t>& table() { return table_; }
  [[nodiscard]] twin<std::int32_t>& borders() { return borders_; }
  [[nodiscard]] twin<std::int32_t>& cache_borders() { return cache_borders_; }
  [[nodiscard]] bool changed() const { return k_.changed(); }

 private:
  [[nodiscard]] std::size_t count(std::int32_t tokens, std::int32_t dim) const {
    return static_cast<std::size_t>(tokens) * static_cast<std::size_t>(s_.heads * dim);
  }
  [[nodiscard]] tka::mutable_scale_view scales_of(float* data, scales who,
                                                  std::int64_t outer) const {
    constexpr std::int64_t blocks = 9;
    std::int64_t const heads = s_.heads;
    switch (who) {
      case scales::none: return {};
      case scales::of_tensor: return {data, 0, 0, 0, 0};
      case scales::of_head: return {data, 0, 1, 0, 0};
      case scales::of_token: return {data, outer * heads, 1, heads, 0};
      case scales::of_heads_of_token: return {data, outer, 0, 1, 0};
      case scales::of_block: break;
    }
    return {data, outer * heads * blocks, blocks, heads * blocks, 1};
  }
  setting s_;
  std::int32_t batch_;
  std::int32_t row_;
  std::int32_t pages_of_one_;
  std::size_t slots_;
  twin<source> new_k_;
  twin<source> new_v_;
  twin<key> k_;
  twin<value> v_;
  twin<float> k_scales_;
  twin<float> v_scales_;
  twin<std::int32_t> starts_;
  twin<std::int32_t> borders_;
  twin<std::int32_t> cache_borders_;
  twin<std::int32_t> table_;
  twin<std::uint32_t> error_;
};

/// Appends on both, from the same memory, and compares every byte.
template <class Precision, class Form>
void same_bytes(setting const& s, support::random_source& random, std::uint32_t error = 0) {
  call_memory<Precision, Form> memory(s, random);
  auto const there = memory.at(place::device);
  auto const here = memory.at(place::host);
  CHECK(tka::append<Precision, reference, Form>(memory.shape(), s.options, here) == status::ok);
  CHECK(memory.changed());
  CHECK(memory.error() == error);
  CHECK(tka::append<Precision, tka::cuda, Form>(memory.shape(), s.options, there,
                                                support::test_stream()) == status::ok);
  CHECK(memory.same());
}

template <class Wide, class Stored>
struct stores {
  using query_type = Wide;
  using key_type = Stored;
  using value_type = Stored;
  using output_type = Wide;
};

template <class Precision, class Layout = tka::layout::plain>
void same_bytes_of_unpacked_sources(setting const& s, support::random_source& random) {
  using tka::query::ragged;
  using tka::query::uniform;
  same_bytes<Precision, tka::form<uniform, tka::kv::contiguous, Layout>>(s, random);
  same_bytes<Precision, tka::form<uniform, tka::kv::paged, Layout>>(s, random);
  same_bytes<Precision, tka::form<ragged, tka::kv::contiguous, Layout>>(s, random);
  same_bytes<Precision, tka::form<ragged, tka::kv::paged, Layout>>(s, random);
}
/// And packed sequences, which have no shards.
template <class Precision, class Layout = tka::layout::plain>
void same_bytes_of_all_sources(setting const& s, support::random_source& random) {
  same_bytes_of_unpacked_sources<Precision, Layout>(s, random);
  same_bytes<Precision, tka::form<tka::query::ragged, tka::kv::ragged, Layout>>(s, random);
}

TEST_CASE("[tka.append] cuda: plain rows of every storage") {
  support::random_source random("plain");
  INFO(random);
  same_bytes_of_all_sources<tka::fp32>({}, random);
  same_bytes_of_all_sources<tka::fp16>({}, random);
  same_bytes_of_all_sources<tka::bf16>({}, random);
  same_bytes_of_all_sources<tka::fp8>({}, random);
  same_bytes_of_all_sources<stores<float, tka::float8_e4m3_t>>({}, random);
  same_bytes_of_all_sources<stores<float, tka::float16_t>>({}, random);
}

TEST_CASE("[tka.append] cuda: scales that are chosen, and scales that are read") {
  support::random_source random("scales");
  INFO(random);
  constexpr scales all[] = {scales::none,     scales::of_tensor, scales::of_head,
                            scales::of_token, scales::of_block,  scales::of_heads_of_token};
  for (scales const k : all) {
    for (auto const rounding : {tka::scale_rounding::nearest, tka::scale_rounding::power_of_two}) {
      setting s{};
      s.k_scales = k;
      s.v_scales = all[random.below(std::size(all))];
      s.options.rounding = rounding;
      same_bytes_of_all_sources<tka::fp8, tka::layout::scaled>(s, random);
      same_bytes_of_all_sources<tka::fp8_with<tka::fp32>, tka::layout::scaled>(s, random);
      same_bytes_of_all_sources<tka::bf16, tka::layout::scaled>(s, random);
    }
  }
  setting widest{};
  widest.heads = 1;
  widest.qk_dim = 1024;
  widest.v_dim = 1;
  widest.k_scales = scales::of_block;
  widest.v_scales = scales::of_token;
  same_bytes_of_all_sources<tka::fp8_with<tka::fp16>, tka::layout::scaled>(widest, random);
}

TEST_CASE("[tka.append] cuda: rows of 656 bytes") {
  support::random_source random("656");
  INFO(random);
  setting s{};
  s.heads = 1;
  s.qk_dim = 576;
  s.v_dim = 512;
  for (auto const rounding : {tka::scale_rounding::nearest, tka::scale_rounding::power_of_two}) {
    s.options.rounding = rounding;
    same_bytes_of_all_sources<tka::fp8, tka::layout::mla_656>(s, random);
    same_bytes_of_all_sources<tka::fp8_with<tka::fp32>, tka::layout::mla_656>(s, random);
  }
}

TEST_CASE("[tka.append] [tka.shard] cuda: tokens of other shards are passed over") {
  support::random_source random("shards");
  INFO(random);
  for (std::int32_t index = 0; index < 3; ++index) {
    setting s{};
    s.options.shard = {.block = 2, .index = index, .count = 3};
    same_bytes_of_unpacked_sources<tka::bf16>(s, random);
  }
}

/// More rows than blocks, more sequences than lanes, most of them empty, under a wide bound.
TEST_CASE("[tka.append] [tka.invariant] cuda: hundreds of sequences of all lengths") {
  support::random_source random("many");
  INFO(random);
  setting s{};
  s.heads = 2;
  s.qk_dim = 16;
  s.v_dim = 16;
  s.q_len = 8192;
  s.kv_len = 64;
  s.borders = {0};
  s.starts = {};
  for (int b = 0; b < 301; ++b) {
    std::int64_t const length = random.below(3) == 0 ? random.between(0, 60) : 0;
    s.borders.push_back(s.borders.back() + static_cast<std::int32_t>(length));
    s.starts.push_back(static_cast<std::int32_t>(random.between(0, 64 - length)));
  }
  same_bytes<tka::bf16, tka::form<tka::query::ragged>>(s, random);
  same_bytes<tka::fp8, tka::form<tka::query::ragged, tka::kv::paged>>(s, random);
  s.q_len = 40;
  for (std::int32_t& start : s.starts) start = 20;
  same_bytes<tka::bf16, tka::form<>>(s, random);
}

TEST_CASE("[tka.data_error] cuda: what has no place is passed over and reported") {
  support::random_source random("places");
  INFO(random);
  auto const bit = [](tka::data_error e) { return static_cast<std::uint32_t>(e); };
  std::uint32_t const outside = bit(tka::data_error::position_out_of_range);
  setting behind{};
  behind.starts = {20, -2, std::numeric_limits<std::int32_t>::max() - 1};
  same_bytes<tka::bf16, tka::form<>>(behind, random, outside);
  same_bytes<tka::fp8, tka::form<tka::query::ragged, tka::kv::paged>>(behind, random, outside);

  using packed = tka::form<tka::query::ragged, tka::kv::ragged>;
  call_memory<tka::bf16, packed> ends(setting{}, random);
  // The first sequence has no room for its last token, the third lies further apart than the bound.
  ends.cache_borders()[1] = 7;
  ends.cache_borders()[2] = 20;
  auto const ends_there = ends.at(place::device);
  CHECK(tka::append<tka::bf16, reference, packed>(ends.shape(), {}, ends.at(place::host)) ==
        status::ok);
  CHECK(ends.error() == (outside | bit(tka::data_error::length_out_of_bounds)));
  CHECK(tka::append<tka::bf16, tka::cuda, packed>(ends.shape(), {}, ends_there,
                                                  support::test_stream()) == status::ok);
  CHECK(ends.same());

  setting borders{};
  borders.borders = {3, 5, 1, 9};  // the second falls, the third is more than q_len
  std::uint32_t const ranges = bit(tka::data_error::query_range_invalid);
  same_bytes<tka::bf16, tka::form<tka::query::ragged>>(borders, random, ranges);

  using paged = tka::form<tka::query::ragged, tka::kv::paged>;
  call_memory<tka::bf16, paged> memory(setting{}, random);
  memory.table()[1] = -1;
  memory.table()[2] = static_cast<std::int32_t>(memory.table().size());
  memory.table()[22] = std::numeric_limits<std::int32_t>::max();
  auto const there = memory.at(place::device);
  CHECK(tka::append<tka::bf16, reference, paged>(memory.shape(), {}, memory.at(place::host)) ==
        status::ok);
  CHECK(memory.error() == bit(tka::data_error::page_out_of_range));
  CHECK(tka::append<tka::bf16, tka::cuda, paged>(memory.shape(), {}, there,
                                                 support::test_stream()) == status::ok);
  CHECK(memory.same());
  auto no_word = there;
  no_word.error = nullptr;
  CHECK(tka::append<tka::bf16, tka::cuda, paged>(memory.shape(), {}, no_word,
                                                 support::test_stream()) == status::ok);
  CHECK(memory.same());
}

TEST_CASE("[tka.data_error] cuda: a bound of no tokens") {
  support::random_source random("none");
  INFO(random);
  setting s{};
  call_memory<tka::bf16, tka::form<tka::query::ragged>> memory(s, random);
  auto const there = memory.at(place::device);
  auto const here = memory.at(place::host);
  tka::shape none = memory.shape();
  none.q_len = 0;
  CHECK(tka::append<tka::bf16, reference, tka::form<tka::query::ragged>>(none, {}, here) ==
        status::ok);
  CHECK(tka::append<tka::bf16, tka::cuda, tka::form<tka::query::ragged>>(
            none, {}, there, support::test_stream()) == status::ok);
  CHECK(memory.error() == static_cast<std::uint32_t>(tka::data_error::query_range_invalid));
  CHECK(!memory.changed());
  CHECK(memory.same());

  call_memory<tka::bf16, tka::form<>> uniform(s, random);
  CHECK(tka::append<tka::bf16, tka::cuda>(none, {}, uniform.at(place::device),
                                          support::test_stream()) == status::ok);
  CHECK(uniform.same());
}

/// The keys of an indexer, from `dim` floats a token.
template <class Precision, class Form, class Layout>
void same_index_keys(std::int32_t dim, tka::append_options const& options,
                     support::random_source& random) {
  using key = typename Precision::key_type;
  constexpr bool in_pages = std::is_same_v<Layout, tka::index_layout::page_132>;
  constexpr std::int32_t tokens = 43;
  constexpr std::int32_t page_size = 5;
  constexpr std::int32_t pages = 9;
  std::int32_t const row = dim + (in_pages ? 4 : 0);
  twin<float> rows(static_cast<std::size_t>(tokens * dim));
  cuda_test::fill_rows(rows, random);
  // Pages of 132 bytes a token may stand at any address.
  twin<key> cache(static_cast<std::size_t>(pages * page_size * row), 0x5a, in_pages ? 1 : 0);
  twin<float> key_scales(pages * page_size);
  twin<std::int32_t> table(std::vector<std::int32_t>{8, 7, 6, 5, 4, 3, 2, 1, 0});
  twin<std::int32_t> start(std::vector<std::int32_t>{1});
  twin<std::uint32_t> error(1, 0);
  auto const at = [&](place where) {
    tka::append_index_tensors<Precision, Form> t{};
    t.new_k = {static_cast<float const*>(rows.at(where)), 0, 0, dim};
    t.k = {cache.at(where), Form::kv_source::has_pages ? page_size * row : 0, 0, dim};
    t.k_scales = {key_scales.at(where), Form::kv_source::has_pages ? page_size : 0, 0, 1};
    if constexpr (Form::kv_source::has_pages) {
      t.kv.lengths = start.at(where);
      t.kv.block_table = table.at(where);
      t.kv.pages = pages;
    }
    t.starts = start.at(where);
    t.error = error.at(where);
    return t;
  };
  auto const there = at(place::device);
  tka::shape const s{.q_len = tokens,
                     .kv_len = pages * page_size,
                     .page_size = page_size,
                     .index_heads = 1,
                     .index_dim = dim};
  CHECK(tka::append_index_keys<Precision, reference, Form, Layout>(s, options, at(place::host)) ==
        status::ok);
  CHECK(tka::append_index_keys<Precision, tka::cuda, Form, Layout>(
            s, options, there, support::test_stream()) == status::ok);
  CHECK(cache.changed());
  CHECK(cache.same());
  CHECK(key_scales.same());
  CHECK(rows.same());
  CHECK(error.same());
}

TEST_CASE("[tka.append] cuda: index keys, rotated or not, in every layout") {
  support::random_source random("index");
  INFO(random);
  using plain = tka::index_layout::plain;
  using paged = tka::form<tka::kv::paged>;
  for (auto const rotate : {tka::rotation::none, tka::rotation::hadamard}) {
    for (auto const rounding : {tka::scale_rounding::nearest, tka::scale_rounding::power_of_two}) {
      tka::append_options o{};
      o.rounding = rounding;
      o.rotate = rotate;
      for (std::int32_t const dim : {128, 1, 2, 64, 1024}) {
        same_index_keys<tka::index_fp8, tka::form<>, plain>(dim, o, random);
        same_index_keys<tka::index_fp8, paged, plain>(dim, o, random);
        same_index_keys<tka::index_fp8, paged, tka::index_layout::page_132>(dim, o, random);
        same_index_keys<tka::bf16, tka::form<>, plain>(dim, o, random);
        same_index_keys<tka::fp32, paged, plain>(dim, o, random);
      }
    }
  }
}

TEST_CASE("[tka.status] cuda: refuses what the host can know, and writes nothing") {
  support::random_source random("status");
  INFO(random);
  call_memory<tka::bf16, tka::form<>> memory(setting{}, random);
  auto const there = memory.at(place::device);
  auto const with = [&](auto&& change) {
    tka::shape shape = memory.shape();
    tka::append_options options{};
    auto tensors = there;
    change(shape, options, tensors);
    return tka::append<tka::bf16, tka::cuda>(shape, options, tensors, support::test_stream());
  };
  CHECK(with([](auto& s, auto&, auto&) { s.batch = 0; }) == status::invalid_shape);
  CHECK(with([](auto& s, auto&, auto&) { s.kv_heads = 0; }) == status::invalid_shape);
  CHECK(with([](auto& s, auto&, auto&) { s.qk_dim = 1025; }) == status::unsupported_head_dim);
  CHECK(with([](auto&, auto& o, auto&) { o.shard.count = 0; }) == status::invalid_shard);
  CHECK(with([](auto&, auto&, auto& t) { t.starts = nullptr; }) == status::null_pointer);
  CHECK(with([](auto&, auto&, auto& t) { t.v.data = nullptr; }) == status::null_pointer);
  CHECK(memory.same());
}

/// Captured when the sequences were short, replayed when they are long.
TEST_CASE("[tka.graph] [tka.append] cuda: a captured call follows the lengths on the device") {
  support::random_source random("capture");
  INFO(random);
  using ragged = tka::form<tka::query::ragged, tka::kv::paged>;
  setting s{};
  call_memory<tka::fp8, ragged> memory(s, random);
  for (std::size_t i = 0; i < 4; ++i) memory.borders()[i] = 0;
  auto const there = memory.at(place::device);
  support::graph const captured(support::test_stream(), [&] {
    return tka::append<tka::fp8, tka::cuda, ragged>(memory.shape(), {}, there,
                                                    support::test_stream());
  });
  CHECK(captured.status == status::ok);
  captured.launch(support::test_stream());
  CHECK(memory.same());  // no token, no byte
  for (std::size_t i = 0; i < 4; ++i) memory.borders()[i] = s.borders[i];
  memory.borders().send();
  CHECK(tka::append<tka::fp8, reference, ragged>(memory.shape(), {}, memory.at(place::host)) ==
        status::ok);
  CHECK(memory.changed());
  captured.launch(support::test_stream());
  CHECK(memory.same());
}

TEST_CASE("[tka.stream] [tka.append] cuda: an error that the host has pending stays") {
  support::random_source random("pending");
  INFO(random);
  call_memory<tka::bf16, tka::form<>> memory(setting{}, random);
  auto const there = memory.at(place::device);
  REQUIRE(cudaMemcpy(nullptr, nullptr, 1, static_cast<cudaMemcpyKind>(77)) != cudaSuccess);
  cudaError_t const pending = cudaPeekAtLastError();
  REQUIRE(pending != cudaSuccess);
  CHECK(tka::append<tka::bf16, tka::cuda>(memory.shape(), {}, there, support::test_stream()) ==
        status::ok);
  CHECK(cudaGetLastError() == pending);
  CHECK(tka::append<tka::bf16, reference>(memory.shape(), {}, memory.at(place::host)) ==
        status::ok);
  CHECK(memory.same());
}

}  // namespace
