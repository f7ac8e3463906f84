// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Views from DLPack tensors, mdspans, bytes and packed caches: pointers, strides and extents.

#include <tka/cache_views.hpp>
#include <tka/interop/dlpack.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/tensor_view.hpp>

#include <support/mdspan_if_there.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

using tka::status;

// The structs of DLPack's C ABI.
struct dl_device {
  std::int32_t device_type = 1;
  std::int32_t device_id = 0;
};
struct dl_type {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct dl_tensor {
  void* data;
  dl_device device;
  std::int32_t ndim;
  dl_type dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};

constexpr dl_type f32{2, 32, 1}, f16{2, 16, 1}, bf16{4, 16, 1}, u8{1, 8, 1}, i32{0, 32, 1},
    i64{0, 64, 1}, e4m3{10, 8, 1}, f64{2, 64, 1};

struct four {
  std::vector<float> memory = std::vector<float>(1000);
  std::array<std::int64_t, 4> shape{2, 3, 4, 5};
  std::array<std::int64_t, 4> strides{100, 30, 7, 1};

  dl_tensor tensor(dl_type type, bool strided = true) {
    return {memory.data(), {}, 4, type, shape.data(), strided ? strides.data() : nullptr, 8};
  }
};

TEST_CASE("[tka.extents] DLPack: strides, extents and offset of a tensor in any order of axes") {
  four f;
  dl_tensor const t = f.tensor(f32);
  tka::tensor_view<float const> v{};
  REQUIRE(tka::view_of_dlpack(t, tka::hnd_axes, v).status == status::ok);
  CHECK(v.data == f.memory.data() + 2);
  CHECK(v.extents == tka::tensor_extents{2, 3, 4, 5});
  CHECK(v.batch == 100);
  CHECK(v.head == 30);
  CHECK(v.token == 7);
  CHECK(v.last == 1);
  REQUIRE(tka::view_of_dlpack(t, tka::nhd_axes, v).status == status::ok);
  CHECK(v.extents == tka::tensor_extents{2, 4, 3, 5});
  CHECK(v.head == 7);
  CHECK(v.token == 30);
}

TEST_CASE("[tka.extents] DLPack: packed tensors have no strides; fewer dimensions") {
  four f;
  tka::tensor_view<float> v{};
  REQUIRE(tka::view_of_dlpack(f.tensor(f32, false), tka::nhd_axes, v).status == status::ok);
  CHECK(v.batch == 60);
  CHECK(v.token == 20);
  CHECK(v.head == 5);
  dl_tensor packed = f.tensor(f32, false);
  packed.ndim = 3;  // [2, 3, 4]: tokens, heads, dim
  REQUIRE(tka::view_of_dlpack(packed, tka::packed_axes, v).status == status::ok);
  CHECK(v.extents == tka::tensor_extents{1, 3, 2, 4});
  CHECK(v.token == 12);
  CHECK(v.head == 4);
  tka::fault const wrong = tka::view_of_dlpack(packed, tka::hnd_axes, v, tka::tensor_name::q);
  CHECK(wrong.status == status::wrong_extent);
  CHECK(wrong.tensor == tka::tensor_name::q);
  CHECK(tka::view_of_dlpack(f.tensor(f32), tka::packed_axes, v).status == status::wrong_extent);
}

TEST_CASE("[tka.foreign] DLPack: elements of another type are refused by name") {
  four f;
  auto const read = [&]<class T>(T, dl_type type) {
    tka::tensor_view<T> v{};
    auto const s = tka::view_of_dlpack(f.tensor(type), tka::hnd_axes, v, tka::tensor_name::k);
    CHECK((s.status == status::ok || s.tensor == tka::tensor_name::k));
    CHECK(static_cast<bool>(v) == (s.status == status::ok));
    return s.status;
  };
  auto const wrong = status::wrong_element_type;
  CHECK(read(float{}, f32) == status::ok);
  CHECK(read(float{}, f64) == wrong);
  CHECK(read(float{}, i32) == wrong);
  CHECK(read(tka::float16_t{}, f16) == status::ok);
  CHECK(read(tka::float16_t{}, bf16) == wrong);
  CHECK(read(tka::bfloat16_t{}, bf16) == status::ok);
  CHECK(read(tka::bfloat16_t{}, f16) == wrong);
  CHECK(read(tka::float8_e4m3_t{}, e4m3) == status::ok);
  CHECK(read(tka::float8_e4m3_t{}, u8) == status::ok);
  CHECK(read(std::int32_t{}, i32) == status::ok);
  CHECK(read(std::int32_t{}, i64) == wrong);
  CHECK(read(float{}, dl_type{2, 32, 4}) == wrong);
}

TEST_CASE("[tka.strides] DLPack: the last stride of an extent of 1 does not matter") {
  four f;
  f.shape[3] = 1;
  f.strides[3] = 77;
  tka::tensor_view<float> v{};
  REQUIRE(tka::view_of_dlpack(f.tensor(f32), tka::hnd_axes, v).status == status::ok);
  CHECK(v.last == 1);
  f.shape[3] = 2;
  REQUIRE(tka::view_of_dlpack(f.tensor(f32), tka::hnd_axes, v).status == status::ok);
  CHECK(v.last == 77);
}

/// The members of std::mdspan that are asked for.
template <class T, std::size_t Rank>
struct span_like {
  T* data;
  std::array<std::int64_t, Rank> extents;
  std::array<std::int64_t, Rank> strides;
  static constexpr std::size_t rank() { return Rank; }
  T* data_handle() const { return data; }
  std::int64_t extent(std::size_t i) const { return extents[i]; }
  std::int64_t stride(std::size_t i) const { return strides[i]; }
};

TEST_CASE("[tka.extents] mdspans of rank 4 and 3") {
  std::vector<float> memory(1000);
  tka::tensor_view<float const> const v =
      span_like<float, 4>{memory.data(), {2, 3, 4, 5}, {100, 30, 7, 1}};
  CHECK(v.data == memory.data());
  CHECK(v.extents == tka::tensor_extents{2, 3, 4, 5});
  CHECK(v.batch == 100);
  CHECK(v.head == 30);
  CHECK(v.token == 7);
  tka::tensor_view<float> const lse = span_like<float, 3>{memory.data(), {2, 3, 4}, {12, 4, 1}};
  CHECK(lse.extents == tka::tensor_extents{2, 3, 4, 1});
  CHECK(lse.token == 1);
  CHECK(lse.last == 1);
  tka::tensor_view<float> const strided =
      span_like<float, 4>{memory.data(), {2, 3, 4, 5}, {1, 2, 6, 24}};
  CHECK(strided.last == 24);
#if defined(__cpp_lib_mdspan)
  std::mdspan const real(memory.data(), 2, 3, 4, 5);
  tka::tensor_view<float> const from(real);
  CHECK(from.extents == tka::tensor_extents{2, 3, 4, 5});
  CHECK(from.batch == 60);
#endif
}

TEST_CASE("[tka.extents] bytes, packed tensors, and DeepSeek's caches") {
  std::vector<std::byte> memory(4096);
  auto const v = tka::view_as<tka::bfloat16_t const>(memory.data(), {1, 2, 3, 4}, {24, 12, 4});
  CHECK(static_cast<void const*>(v.data) == memory.data());
  CHECK(v.head == 12);
  std::vector<float> floats(200);
  auto const n = tka::nhd(floats.data(), 2, 3, 4);
  CHECK(n.extents == tka::tensor_extents{tka::unknown_extent, 2, 3, 4});
  CHECK(n.token == 8);
  auto const h = tka::hnd(floats.data(), 2, 3, 4);
  CHECK(h.extents == n.extents);
  CHECK(h.head == 12);

  auto const rows = tka::mla_656_rows(memory.data(), 3, 2);
  static_assert(std::is_same_v<decltype(rows.data), tka::float8_e4m3_t*>);
  CHECK(rows.extents == tka::tensor_extents{3, 1, 2, 656});
  CHECK(rows.batch == 1312);
  CHECK(rows.token == 656);
  std::byte const* const read = memory.data();
  auto const pages = tka::index_pages_132(read, 3, 8);
  static_assert(std::is_same_v<decltype(pages.data), tka::float8_e4m3_t const*>);
  CHECK(pages.extents == tka::tensor_extents{3, 1, 8, 128});
  CHECK(pages.batch == 8 * 132);
  CHECK(pages.token == 128);
}

}  // namespace
