// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One combination as a user would compile it, for compile_time.py to time.

#include <tka/backend/cuda.cuh>
#include <tka/sparse_attention.hpp>

constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>;
using tensors = std::remove_const_t<decltype(attend)>::tensors;

tka::plan plan(tka::shape const& s, tka::options const& o) {
  return attend.plan(s, o, tka::cuda::query());
}

tka::status run(tka::plan const& p, tensors const& t, tka::workspace const& w, cudaStream_t s) {
  return attend(p, t, w, s);
}
