// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The calls that training adds have no kernels yet: planning one says so.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/dispatch/engine.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/device.hpp>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <cuda_runtime_api.h>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class Problem>
  requires(Problem::what == task::backward || Problem::what == task::indexer_loss)
class engine<Problem> {
 public:
  [[nodiscard]] static plan make_plan(shape const& s, options const& o, cuda_device const&,
                                      typename Problem::selection const&) noexcept {
    plan p{};
    p.shape = s;
    p.options = o;
    p.status = status::unsupported_call;
    return p;
  }
  [[nodiscard]] static plan reschedule(plan const& p, schedule const&) noexcept { return p; }
  [[nodiscard]] static status check_call(plan const&, arguments<Problem> const&,
                                         workspace const&) noexcept {
    return status::plan_mismatch;
  }
  [[nodiscard]] static status launch(plan const&, arguments<Problem> const&, workspace const&,
                                     cudaStream_t) noexcept {
    return status::plan_mismatch;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
