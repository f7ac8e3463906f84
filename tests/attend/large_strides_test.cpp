// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Strides whose products pass 2^31 and 2^32 elements, in address space that is reserved and
/// mostly never touched.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using namespace support;

/// `count` elements of address space; only pages that are written take memory.
template <class T>
class reserved {
 public:
  explicit reserved(std::size_t count) : bytes_(count * sizeof(T)) {
    void* const p = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    data_ = p == MAP_FAILED ? nullptr : static_cast<T*>(p);
  }
  reserved(reserved const&) = delete;
  reserved& operator=(reserved const&) = delete;
  ~reserved() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }
  T* data() const { return data_; }

 private:
  std::size_t bytes_;
  T* data_;
};

constexpr int dim = 16;

oracle::rules rules() {
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  r.qk_dim = dim;
  r.v_dim = dim;
  r.k = 5;
  r.scale = 0.5;
  return r;
}

void put(std::vector<float> const& from, int heads, int len, std::int64_t batch,
         tka::tensor_view<tka::bfloat16_t> to) {
  for (int h = 0; h < heads; ++h) {
    for (int i = 0; i < len; ++i) {
      for (int d = 0; d < dim; ++d) {
        to.at(batch, h, i)[d] =
            tka::bfloat16_t{from[static_cast<std::size_t>((h * len + i) * dim + d)]};
      }
    }
  }
}

/// The call over far strides against the same call over near ones, bit for bit.
void check_far(std::int64_t batch_stride, std::int64_t head_stride, std::int64_t token_stride) {
  random_source random("far");
  INFO(random);
  CAPTURE(batch_stride);
  CAPTURE(head_stride);
  CAPTURE(token_stride);
  int const q_len = 3;
  int const kv_len = 12;
  auto p = make_problem(rules(), {{q_len, kv_len}, {q_len, kv_len}}, contents::normal, random);
  round_to<tka::bf16>(p);
  arranged<tka::bf16, tka::form<>> const near(p, {});
  auto const expected = attend<tka::exact_radix>(near, options_of(p.rules));
  REQUIRE(fault(expected) == "");

  auto const extent =
      static_cast<std::size_t>(batch_stride + 3 * head_stride + (kv_len - 1) * token_stride + dim);
  reserved<tka::bfloat16_t> const k(extent), v(extent), q(extent), o(extent);
  if (k.data() == nullptr || v.data() == nullptr || q.data() == nullptr || o.data() == nullptr) {
    MESSAGE("this machine does not lend so much address space");
    CHECK(true);
    return;
  }
  auto const view = [&](reserved<tka::bfloat16_t> const& of) {
    return tka::tensor_view<tka::bfloat16_t>{of.data(), batch_stride, head_stride, token_stride};
  };
  for (int b = 0; b < 2; ++b) {
    auto const& s = p.sequences[static_cast<std::size_t>(b)];
    put(s.q, 4, q_len, b, view(q));
    put(s.k, 2, kv_len, b, view(k));
    put(s.v, 2, kv_len, b, view(v));
  }
  constexpr auto call = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu>;
  auto const plan = call.plan(near.shape(), options_of(p.rules), {1});
  buffer<unsigned char> scratch(plan.scratch_bytes, nan_poison);
  REQUIRE(call(plan, {.q = view(q), .k = view(k), .v = view(v), .o = view(o)},
               {.scratch = scratch.data(), .scratch_bytes = plan.scratch_bytes}) ==
          tka::status::ok);
  for (int b = 0; b < 2; ++b) {
    std::vector<float> got;
    for (int h = 0; h < 4; ++h) {
      for (int i = 0; i < q_len; ++i) {
        for (int d = 0; d < dim; ++d) got.push_back(static_cast<float>(view(o).at(b, h, i)[d]));
      }
    }
    CHECK(bit_difference("o", expected.sequences[static_cast<std::size_t>(b)].o, got) == "");
  }
}

constexpr std::int64_t past_int = (std::int64_t{1} << 31) + 64;
constexpr std::int64_t past_unsigned = (std::int64_t{1} << 32) + 64;

TEST_CASE("[tka.strides] a batch stride past 2^31 and 2^32 elements") {
  check_far(past_int, 4096, dim);
  check_far(past_unsigned, 4096, dim);
}
TEST_CASE("[tka.strides] a head stride past 2^31 elements") { check_far(4096, past_int, dim); }
TEST_CASE("[tka.strides] token strides whose products pass 2^31 elements") {
  check_far(4096, dim, (std::int64_t{1} << 31) / 10 / 16 * 16);
  check_far(64, dim, past_int);
}

/// A paged cache whose page numbers times the page's size pass 2^32 elements.
TEST_CASE("[tka.strides] pages far apart") {
  random_source random("far pages");
  INFO(random);
  int const page_size = 4;
  int const kv_len = 22;
  auto p = make_problem(rules(), {{2, kv_len}}, contents::normal, random);
  round_to<tka::bf16>(p);
  using form = tka::form<tka::kv::paged>;
  arranged<tka::bf16, form> const near(p, {.page_size = page_size});
  auto const expected = attend<tka::exact_radix>(near, options_of(p.rules));
  REQUIRE(fault(expected) == "");

  // Page numbers up to 9,000,000 of 512 elements each.
  std::vector<std::int32_t> const table = {9'000'000, 3, 8'388'608, 4'194'304, 8'999'999, 7};
  std::int64_t const page_stride = 512;
  std::size_t const pages = 9'000'001;
  reserved<tka::bfloat16_t> const k(pages * 512), v(pages * 512);
  if (k.data() == nullptr || v.data() == nullptr) {
    MESSAGE("this machine does not lend so much address space");
    CHECK(true);
    return;
  }
  auto const& s = p.sequences[0];
  tka::tensor_view<tka::bfloat16_t> const keys{k.data(), page_stride, page_size * dim, dim};
  tka::tensor_view<tka::bfloat16_t> const values{v.data(), page_stride, page_size * dim, dim};
  for (int h = 0; h < 2; ++h) {
    for (int j = 0; j < kv_len; ++j) {
      auto const page = table[static_cast<std::size_t>(j / page_size)];
      for (int d = 0; d < dim; ++d) {
        auto const from = static_cast<std::size_t>((h * kv_len + j) * dim + d);
        keys.at(page, h, j % page_size)[d] = tka::bfloat16_t{s.k[from]};
        values.at(page, h, j % page_size)[d] = tka::bfloat16_t{s.v[from]};
      }
    }
  }
  constexpr auto call = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu, form>;
  auto const plan = call.plan(near.shape(), options_of(p.rules), {1});
  buffer<unsigned char> scratch(plan.scratch_bytes, nan_poison);
  outputs<tka::bf16> out(near.q_places(), plan, order::hnd);
  std::int32_t const length = kv_len;
  decltype(call)::tensors t{};
  near.fill_common(t);
  t.k = keys;
  t.v = values;
  t.kv = {.lengths = &length,
          .block_table = table.data(),
          .table_stride = 6,
          .table_begin = nullptr,
          .pages = 9'000'001};
  t.o = out.o.view();
  REQUIRE(call(plan, t, {.scratch = scratch.data(), .scratch_bytes = plan.scratch_bytes}) ==
          tka::status::ok);
  std::vector<tka::bfloat16_t> rows;
  take_all(out.o, near.q_places(), 4, 0, rows);
  std::vector<float> got;
  for (auto const x : rows) got.push_back(static_cast<float>(x));
  CHECK(bit_difference("o", expected.sequences[0].o, got) == "");
}

}  // namespace
