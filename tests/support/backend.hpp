// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The backend that a test is compiled for: `backend`, `device_of`, `run_on_backend`, and with
/// which rounding it weights values.

#pragma once

#include <tka/plan.hpp>
#include <tka/status.hpp>

#include <stdexcept>
#include <type_traits>

#if defined(__CUDACC__)
#include <support/backend_cuda.cuh>
#else
#include <support/backend_cpu.hpp>
#endif

namespace support {

/// A type for the CPU, and another for CUDA, where an instance is dear and others share it.
template <class OnCpu, class OnCuda>
using on_backend = std::conditional_t<on_cuda, OnCuda, OnCpu>;

/// Runs a call of a test that owns its tensors, as `plan` says; scratch begins as NaN.
template <class Call>
tka::status run(Call const& call, tka::plan const& p, typename Call::tensors const& t) {
  bool stray = false;
  tka::status const s = run_on_backend(call, p, t, nan_poison, stray);
  if (stray) throw std::logic_error("bytes beside the tensors were written");
  return s;
}

}  // namespace support
