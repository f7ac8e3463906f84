// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a fault says in words, cut to any buffer; and faults of append and merge.

#include <tka/append.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/fault.hpp>
#include <tka/merge.hpp>

#include <support/buffers.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>

namespace {

using tka::fault;
using tka::status;
using tka::tensor_name;

std::string words(fault const& f) {
  char buffer[400];
  return tka::to_string(f, buffer, sizeof(buffer));
}

TEST_CASE("[tka.status] a fault names its tensor, stride or extent") {
  CHECK(words({}) == "ok");
  CHECK(words({status::null_pointer, tensor_name::block_table})
            .starts_with("null_pointer: kv.block_table: tensors: a required"));
  CHECK(words({status::misaligned, tensor_name::k, 2}).starts_with("misaligned: k, stride 2: "));
  CHECK(words({status::wrong_extent, tensor_name::o, 3, 64, 128})
            .starts_with("wrong_extent: o, extent 3 is 64 where the plan has 128: "));
  CHECK(words({status::wrong_extent, tensor_name::o, 0, -12, 0})
            .starts_with("wrong_extent: o, extent 0 is -12 where the plan has 0: "));
  CHECK(words({status::plan_mismatch}).starts_with("plan_mismatch: plan: made by"));
}

TEST_CASE("[tka.status] words of a fault are cut to the buffer, and end in zero") {
  fault const f{status::wrong_extent, tensor_name::given_threshold_position, 2, 1234567, -89};
  std::string const whole = words(f);
  for (std::size_t size = 1; size <= whole.size() + 2; ++size) {
    support::buffer<char> memory(size);
    CHECK(std::string(tka::to_string(f, memory.data(), size)) == whole.substr(0, size - 1));
  }
  char untouched = 'x';
  tka::to_string(f, &untouched, 0);
  CHECK(untouched == 'x');
}

TEST_CASE("[tka.status] every tensor has a name of its own, and the longest words fit") {
  std::set<std::string> names;
  for (std::int32_t i = 0; i <= static_cast<std::int32_t>(tensor_name::state); ++i) {
    CHECK(names.insert(tka::to_string(static_cast<tensor_name>(i))).second);
    for (std::int32_t s = 0; s <= static_cast<std::int32_t>(status::data_error); ++s) {
      CHECK(words({static_cast<status>(s), static_cast<tensor_name>(i), 3, INT64_MIN, INT64_MIN})
                .size() < 399);
    }
  }
  CHECK_FALSE(names.contains("unknown tensor"));
}

constexpr std::int32_t dim = 16;

struct merging {
  support::buffer<float> part_o = support::buffer<float>(2 * 2 * 3 * 4 * dim);
  support::buffer<float> part_lse = support::buffer<float>(2 * 2 * 3 * 4);
  support::buffer<float> o = support::buffer<float>(2 * 3 * 4 * dim);
  tka::shape shape{.batch = 2, .q_heads = 3, .q_len = 4, .v_dim = dim};

  merging() {
    std::fill_n(part_o.data(), part_o.bytes() / 4, 1.0f);
    std::fill_n(part_lse.data(), part_lse.bytes() / 4, 0.0f);
  }
  template <class Change>
  fault after(Change const& change) {
    tka::merge_tensors<tka::fp32> t{.parts = 2,
                                    .part_o = tka::hnd<float const>(part_o.data(), 3, 4, dim),
                                    .part_o_stride = 2 * 3 * 4 * dim,
                                    .part_lse = tka::hnd<float const>(part_lse.data(), 3, 4, 1),
                                    .part_lse_stride = 2 * 3 * 4,
                                    .o = tka::hnd(o.data(), 3, 4, dim)};
    change(t);
    constexpr auto merge = tka::merge<tka::fp32, tka::cpu>;
    fault const f = merge.diagnose(shape, t);
    status const done = merge(shape, t);
    CHECK(done == f.status);
    CHECK(o.all_poison() == (done != status::ok));
    return f;
  }
};

TEST_CASE("[tka.merge] [tka.status] merge: strides that were never set, tensors that are missing") {
  merging m;
  auto const expect = [](fault const& f, status s, tensor_name t, std::int32_t dimension = -1) {
    CHECK(std::string(tka::name_of(f.status)) == std::string(tka::name_of(s)));
    CHECK(std::string(tka::to_string(f.tensor)) == std::string(tka::to_string(t)));
    CHECK(f.dimension == dimension);
  };
  auto const stride = status::invalid_stride;
  expect(m.after([](auto& t) { t.part_o_stride = tka::unset_stride; }), stride,
         tensor_name::part_o_stride);
  expect(m.after([](auto& t) { t.part_o_stride = 0; }), stride, tensor_name::part_o_stride);
  expect(m.after([](auto& t) { t.part_lse_stride = tka::unset_stride; }), stride,
         tensor_name::part_lse_stride);
  expect(m.after([](auto& t) { t.part_lse_stride = 0; }), stride, tensor_name::part_lse_stride);
  expect(m.after([](auto& t) { t.o.head = 0; }), stride, tensor_name::o, 1);
  expect(m.after([](auto& t) { t.part_lse.token = tka::unset_stride; }), stride,
         tensor_name::part_lse, 2);
  expect(m.after([](auto& t) { t.part_o.extents.head = 4; }), status::wrong_extent,
         tensor_name::part_o, 1);
  expect(m.after([](auto& t) { t.part_lse = {}; }), status::null_pointer, tensor_name::part_lse);
  expect(m.after([](auto& t) { t.o = {}; }), status::null_pointer, tensor_name::o);
  expect(m.after([](auto& t) {
    t.parts = 1;
    t.part_o_stride = t.part_lse_stride = tka::unset_stride;
  }),
         status::ok, tensor_name::none);
}

struct appending {
  support::buffer<float> rows = support::buffer<float>(2 * 2 * 3 * dim);
  support::buffer<float> k = support::buffer<float>(4 * 2 * 8 * dim);
  support::buffer<float> v = support::buffer<float>(4 * 2 * 8 * dim);
  std::int32_t table[4] = {0, 1, 2, 3};
  std::int32_t starts[2] = {1, 9};
  tka::shape shape{.batch = 2,
                   .kv_heads = 2,
                   .q_len = 3,
                   .kv_len = 16,
                   .qk_dim = dim,
                   .v_dim = dim,
                   .page_size = 8};
  using form = tka::form<tka::kv::paged>;

  appending() { std::fill_n(rows.data(), rows.bytes() / 4, 1.0f); }
  template <class Change>
  fault after(Change const& change) {
    tka::append_tensors<tka::fp32, form> t{
        .new_k = tka::nhd<float const>(rows.data(), 2, 3, dim),
        .new_v = tka::nhd<float const>(rows.data(), 2, 3, dim),
        .k = tka::nhd(k.data(), 2, 8, dim),
        .v = tka::nhd(v.data(), 2, 8, dim),
        .kv = {.block_table = table, .table_stride = 2, .pages = 4},
        .starts = starts};
    change(t);
    constexpr auto append = tka::append<tka::fp32, tka::cpu, form>;
    fault const f = append.diagnose(shape, {}, t);
    status const done = append(shape, {}, t);
    CHECK(done == f.status);
    CHECK(k.all_poison() == (done != status::ok));
    return f;
  }
};

TEST_CASE("[tka.append] [tka.status] append: tables, strides, extents") {
  appending a;
  auto const expect = [](fault const& f, status s, tensor_name t, std::int32_t dimension = -1) {
    CHECK(std::string(tka::name_of(f.status)) == std::string(tka::name_of(s)));
    CHECK(std::string(tka::to_string(f.tensor)) == std::string(tka::to_string(t)));
    CHECK(f.dimension == dimension);
  };
  auto const wrong_table = status::invalid_block_table;
  expect(a.after([](auto& t) { t.kv.table_stride = 0; }), wrong_table, tensor_name::table_stride);
  expect(a.after([](auto& t) { t.kv.pages = 0; }), wrong_table, tensor_name::pages);
  expect(a.after([](auto& t) { t.kv.block_table = nullptr; }), status::null_pointer,
         tensor_name::block_table);
  expect(a.after([](auto& t) { t.starts = nullptr; }), status::null_pointer, tensor_name::starts);
  expect(a.after([](auto& t) { t.k.token = 0; }), status::invalid_stride, tensor_name::k, 2);
  expect(a.after([](auto& t) { t.v.batch = tka::unset_stride; }), status::invalid_stride,
         tensor_name::v, 0);
  expect(a.after([](auto& t) { t.k.extents.last = 24; }), status::wrong_extent, tensor_name::k, 3);
  expect(a.after([](auto& t) { t.new_v = {}; }), status::null_pointer, tensor_name::new_v);
  // Lengths are not read, and need not be given.
  expect(a.after([](auto&) {}), status::ok, tensor_name::none);
}

TEST_CASE("[tka.append] [tka.status] a rotation needs a power of two") {
  tka::append_options const rotated{.rotate = tka::rotation::hadamard};
  constexpr auto append = tka::append_index_keys<tka::fp32, tka::cpu>;
  float row[128] = {};
  std::int32_t const start = 0;
  tka::append_index_tensors<tka::fp32, tka::form<>> t{
      .new_k = {row, 0, 0, 0}, .k = {row, 0, 0, 0}, .starts = &start};
  CHECK(append({.kv_len = 1, .index_dim = 96}, rotated, t) == status::invalid_rotation);
  CHECK(append({.kv_len = 1, .index_dim = 128}, rotated, t) == status::ok);
  CHECK(append({.kv_len = 1, .index_dim = 96}, {}, t) == status::ok);
}

}  // namespace
