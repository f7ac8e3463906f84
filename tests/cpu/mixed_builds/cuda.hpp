// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the program asks of its CUDA file, on machines without a GPU too.

#pragma once

#include "cpu/mixed_builds/calls.hpp"

namespace mixed {

tka::plan plan_exact_cuda(tka::shape const&, tka::options const&, tka::cuda_device const&);
tka::status run_exact_cuda(tka::plan const&, exact_tensors const&, tka::workspace const&);

/// Plans and statuses pass between the CUDA file and another; neither runs the other's plan.
inline void check_cuda(level const& other) {
  tka::options const o{.budget = tka::top_k(kept), .scale = 0.1f};
  tka::plan const on_cuda = plan_exact_cuda(shape, o,
                                            {.multiprocessors = 132,
                                             .compute_capability = 90,
                                             .shared_bytes_per_block = 232448,
                                             .shared_bytes_per_multiprocessor = 233472,
                                             .l2_bytes = 50 << 20});
  must(on_cuda.status == tka::status::ok, "a plan of the CUDA file");
  must(on_cuda.shape == shape && on_cuda.capacity == kept, "a plan says what it was made for");
  must(other.run_exact(on_cuda, {}, {}) == tka::status::plan_mismatch, "a CUDA plan on the CPU");
  tka::plan const on_cpu = other.plan_exact(shape, o, {.threads = 2});
  must(run_exact_cuda(on_cpu, {}, {}) == tka::status::plan_mismatch, "a CPU plan on CUDA");
}

}  // namespace mixed
