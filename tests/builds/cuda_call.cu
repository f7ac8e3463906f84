// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One call of the CUDA backend, compiled only.

#include <tka/backend/cuda.cuh>
#include <tka/sparse_attention.hpp>

using call =
    std::remove_const_t<decltype(tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>)>;

tka::status attend(tka::plan const& plan, call::tensors const& tensors,
                   tka::workspace const& workspace, cudaStream_t stream);

tka::status attend(tka::plan const& plan, call::tensors const& tensors,
                   tka::workspace const& workspace, cudaStream_t stream) {
  return call{}(plan, tensors, workspace, stream);
}
