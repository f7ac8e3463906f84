// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The same call on both backends in one file, compiled only. Eigen is told to leave CUDA alone
/// (EIGEN_NO_CUDA).

#include <tka/backend/cpu.hpp>
#include <tka/backend/cuda.cuh>
#include <tka/select_top_k.hpp>

template <class Backend>
using call = std::remove_const_t<decltype(tka::select_top_k<tka::exact_radix, tka::fp32, Backend>)>;

tka::status on_the_host(tka::plan const& plan, call<tka::cpu>::tensors const& tensors,
                        tka::workspace const& workspace);
tka::status on_the_device(tka::plan const& plan, call<tka::cuda>::tensors const& tensors,
                          tka::workspace const& workspace, cudaStream_t stream);

tka::status on_the_host(tka::plan const& plan, call<tka::cpu>::tensors const& tensors,
                        tka::workspace const& workspace) {
  return call<tka::cpu>{}(plan, tensors, workspace);
}
tka::status on_the_device(tka::plan const& plan, call<tka::cuda>::tensors const& tensors,
                          tka::workspace const& workspace, cudaStream_t stream) {
  return call<tka::cuda>{}(plan, tensors, workspace, stream);
}
