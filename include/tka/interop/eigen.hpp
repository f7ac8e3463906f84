// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Views of Eigen's matrices, maps and tensors. Nothing is copied; the caller keeps the memory.

#pragma once

#include <tka/config.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/tensor_view.hpp>

#include <Eigen/Core>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace tka::inline TKA_ABI {

/// What the library calls the elements of Eigen: `Eigen::half` is `float16_t`, `Eigen::bfloat16`
/// is `bfloat16_t`, every other type is itself.
template <class Scalar>
struct element_of_eigen {
  using type = Scalar;
};
template <>
struct element_of_eigen<Eigen::half> {
  using type = float16_t;
};
template <>
struct element_of_eigen<Eigen::bfloat16> {
  using type = bfloat16_t;
};

/// A matrix, map, reference or block whose rows (row-major) or columns (column-major) are
/// contiguous. Those rows or columns are its *vectors* below.
template <class Matrix>
concept eigen_vectors = requires(Matrix& m) {
  m.outerStride();
  m.outerSize();
  m.data();
} && Matrix::InnerStrideAtCompileTime == 1;

/// A row-major tensor, or map of one, of unsupported/Eigen/CXX11/Tensor with four dimensions.
template <class Tensor>
concept eigen_tensor = requires(Tensor& t) {
  t.dimension(0);
  t.data();
} && Tensor::NumDimensions == 4 && Tensor::Layout == Eigen::RowMajor;

/// The element of the view of an Eigen object; constant where its data() is.
template <class Object>
using eigen_element = std::conditional_t<
    std::is_const_v<std::remove_pointer_t<decltype(std::declval<Object&>().data())>>,
    typename element_of_eigen<typename std::remove_const_t<Object>::Scalar>::type const,
    typename element_of_eigen<typename std::remove_const_t<Object>::Scalar>::type>;

/// The view of vectors [batch * heads * len] of dim numbers each (HND): `len` is what `heads` and
/// `batch` leave, and must be a whole number. The matrix may be a block of a wider one.
template <class Matrix>
  requires eigen_vectors<std::remove_const_t<std::remove_reference_t<Matrix>>>
[[nodiscard, gnu::always_inline]] inline auto hnd(Matrix&& m, std::int64_t heads,
                                                  std::int64_t batch = 1) noexcept {
  std::int64_t const token = m.outerStride();
  std::int64_t const len = m.outerSize() / (heads * batch);
  using element = eigen_element<std::remove_reference_t<Matrix>>;
  return tensor_view<element>{m.data(), heads * len * token, len * token, token};
}

/// The view of vectors [batch * len] of heads * dim numbers each (NHD): `heads` must divide their
/// size and `batch` their number.
template <class Matrix>
  requires eigen_vectors<std::remove_const_t<std::remove_reference_t<Matrix>>>
[[nodiscard, gnu::always_inline]] inline auto nhd(Matrix&& m, std::int64_t heads,
                                                  std::int64_t batch = 1) noexcept {
  std::int64_t const token = m.outerStride();
  std::int64_t const len = m.outerSize() / batch;
  using element = eigen_element<std::remove_reference_t<Matrix>>;
  return tensor_view<element>{m.data(), len * token, m.innerSize() / heads, token};
}

/// The view of one head: vectors [len] of dim numbers each. An Eigen vector is one token.
template <class Matrix>
  requires eigen_vectors<std::remove_const_t<std::remove_reference_t<Matrix>>>
[[nodiscard, gnu::always_inline]] inline auto view_of(Matrix&& m) noexcept {
  return hnd(m, 1);
}

/// The view of a tensor [batch, heads, len, dim].
template <class Tensor>
  requires eigen_tensor<std::remove_const_t<std::remove_reference_t<Tensor>>>
[[nodiscard, gnu::always_inline]] inline auto view_of(Tensor&& t) noexcept {
  std::int64_t const dim = t.dimension(3);
  std::int64_t const len = t.dimension(2);
  using element = eigen_element<std::remove_reference_t<Tensor>>;
  return tensor_view<element>{t.data(), t.dimension(1) * len * dim, len * dim, dim};
}

}  // namespace tka::inline TKA_ABI
