// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a user would write without this library: attention over all keys with Eigen.

#pragma once

#include "cpu/inputs.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace bench {

/// o = softmax(scale * q k^T) v with matrix products in fp32, a key head at a time. Keys and
/// values are widened a thousand rows at a time, so that they stay in the cache.
template <class T>
void dense_eigen(T const* q, T const* k, T const* v, float* o, std::int64_t batch,
                 std::int64_t kv_len, float scale) {
  using scalar = std::conditional_t<std::is_same_v<T, float>, float, Eigen::bfloat16>;
  using rows = Eigen::Matrix<scalar, Eigen::Dynamic, head_dim, Eigen::RowMajor>;
  using heads = Eigen::Matrix<float, group, head_dim, Eigen::RowMajor>;
  using view = Eigen::Map<rows const>;
  constexpr std::int64_t step = 1024;
  auto const at = [](T const* p) { return reinterpret_cast<scalar const*>(p); };
  team()(threads, [&](int worker) {
    Eigen::Matrix<float, Eigen::Dynamic, group> p(kv_len, group);
    for (std::int64_t unit = worker; unit < batch * kv_heads; unit += threads) {
      view const keys(at(k + unit * kv_len * head_dim), kv_len, head_dim);
      view const values(at(v + unit * kv_len * head_dim), kv_len, head_dim);
      heads const query =
          view(at(q + unit * group * head_dim), group, head_dim).template cast<float>() * scale;
      for (std::int64_t i = 0; i < kv_len; i += step) {
        std::int64_t const n = std::min(step, kv_len - i);
        p.middleRows(i, n).noalias() =
            keys.middleRows(i, n).template cast<float>() * query.transpose();
      }
      Eigen::Array<float, 1, group> const largest = p.colwise().maxCoeff();
      p.array() = (p.array().rowwise() - largest).exp();
      heads sum = heads::Zero();
      for (std::int64_t i = 0; i < kv_len; i += step) {
        std::int64_t const n = std::min(step, kv_len - i);
        sum.noalias() +=
            p.middleRows(i, n).transpose() * values.middleRows(i, n).template cast<float>();
      }
      Eigen::Map<heads>(o + unit * group * head_dim) =
          sum.array().colwise() / p.colwise().sum().transpose().array();
    }
  });
}

}  // namespace bench
