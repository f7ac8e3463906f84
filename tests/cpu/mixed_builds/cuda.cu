// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The file of the program that nvcc compiles.

#include "cpu/mixed_builds/cuda.hpp"

#include <tka/backend/cuda.cuh>

namespace mixed {

namespace {
constexpr auto exact = tka::sparse_attention<tka::exact_radix, tka::fp16, tka::cuda, exact_form>;
}

tka::plan plan_exact_cuda(tka::shape const& s, tka::options const& o, tka::cuda_device const& d) {
  return exact.plan(s, o, d);
}
tka::status run_exact_cuda(tka::plan const& p, exact_tensors const& t, tka::workspace const& w) {
  return exact(p, t, w, cudaStream_t{nullptr});
}

}  // namespace mixed
