// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Views of Eigen's objects: element types, strides, and that each element stands where Eigen says.

#include <tka/interop/eigen.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/tensor_view.hpp>

#include <Eigen/Core>
#include <doctest/doctest.h>
#include <unsupported/Eigen/CXX11/Tensor>

#include <cstdint>
#include <type_traits>
#include <vector>

namespace {

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
std::vector<std::int64_t> strides(tka::tensor_view<T> const& v) {
  return {v.batch, v.head, v.token};
}

TEST_CASE("one head: a token is a row of a row-major matrix and a column of a column-major one") {
  row_major rows(5, 16);
  auto const by_rows = tka::view_of(rows);
  CHECK(by_rows.at(0, 0, 3) == &rows(3, 0));
  Eigen::MatrixXf columns(16, 5);
  auto const by_columns = tka::view_of(columns);
  CHECK(by_columns.at(0, 0, 3) == &columns(0, 3));
  CHECK(strides(by_columns) == std::vector<std::int64_t>{80, 80, 16});
  Eigen::VectorXf one(16);
  CHECK(tka::view_of(one).data == one.data());
  CHECK(strides(tka::view_of(one)) == std::vector<std::int64_t>{16, 16, 16});
}

TEST_CASE("heads and sequences stacked in a matrix, and heads beside each other") {
  row_major m(2 * 3 * 5, 16);  // batch, heads, len
  auto const h = tka::hnd(m, 3, 2);
  CHECK(h.at(1, 2, 4) == &m(1 * 15 + 2 * 5 + 4, 0));
  row_major n(2 * 5, 3 * 16);
  auto const t = tka::nhd(n, 3, 2);
  CHECK(t.at(1, 2, 4) == &n(1 * 5 + 4, 2 * 16));
}

TEST_CASE("a block of a wider matrix, and a map with an outer stride") {
  row_major wide(6, 48);
  auto block = wide.block(2, 16, 4, 16);
  auto const b = tka::view_of(block);
  CHECK(b.at(0, 0, 3) == &wide(5, 16));
  CHECK(b.token == 48);
  std::vector<float> memory(200);
  Eigen::Map<row_major, 0, Eigen::OuterStride<>> map(memory.data(), 6, 16,
                                                     Eigen::OuterStride<>(32));
  auto const v = tka::hnd(map, 2);
  CHECK(v.at(0, 1, 2) == memory.data() + (3 + 2) * 32);
}

TEST_CASE("element types: Eigen's 16-bit numbers are the library's, constant stays constant") {
  Eigen::Matrix<Eigen::half, Eigen::Dynamic, Eigen::Dynamic> halves(16, 2);
  auto const h = tka::view_of(halves);
  static_assert(std::is_same_v<decltype(h), tka::tensor_view<tka::float16_t> const>);
  halves(3, 1) = Eigen::half(1.5f);
  CHECK(static_cast<float>(h.at(0, 0, 1)[3]) == 1.5f);
  Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, Eigen::Dynamic> const brain =
      Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, Eigen::Dynamic>::Constant(
          16, 2, Eigen::bfloat16(-2.0f));
  auto const b = tka::view_of(brain);
  static_assert(std::is_same_v<decltype(b), tka::tensor_view<tka::bfloat16_t const> const>);
  CHECK(static_cast<float>(b.at(0, 0, 1)[15]) == -2.0f);
  std::vector<float> const memory(32);
  Eigen::Map<row_major const> const map(memory.data(), 2, 16);
  static_assert(std::is_same_v<decltype(tka::view_of(map)), tka::tensor_view<float const>>);
  CHECK(tka::view_of(map).at(0, 0, 1) == memory.data() + 16);
}

TEST_CASE("a row-major tensor and a map of one") {
  Eigen::Tensor<float, 4, Eigen::RowMajor> t(2, 3, 5, 16);
  CHECK(tka::view_of(t).at(1, 2, 4) == &t(1, 2, 4, 0));
  Eigen::TensorMap<Eigen::Tensor<float const, 4, Eigen::RowMajor>> const map(t.data(), 2, 3, 5, 16);
  auto const v = tka::view_of(map);
  static_assert(std::is_same_v<decltype(v), tka::tensor_view<float const> const>);
  CHECK(v.at(1, 2, 4) == &t(1, 2, 4, 0));
}

template <class Object>
concept has_a_view = requires(Object& o) { tka::view_of(o); };

TEST_CASE("what has no contiguous vectors, or another order, has no view") {
  CHECK(has_a_view<row_major>);
  CHECK_FALSE(has_a_view<Eigen::Map<row_major, 0, Eigen::InnerStride<2>>>);
  CHECK_FALSE(has_a_view<Eigen::Tensor<float, 4, Eigen::ColMajor>>);
  CHECK_FALSE(has_a_view<Eigen::Tensor<float, 3, Eigen::RowMajor>>);
}

}  // namespace
