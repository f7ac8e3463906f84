// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Kernels of one run behind one another: blocks of the next may be set up while the last blocks of
/// this one work.

#pragma once

#include <tka/config.hpp>

#include <cuda_runtime_api.h>

namespace tka::inline TKA_ABI::detail::cuda {

/// Behind it all that earlier kernels wrote may be read, and what they read may be written. All
/// threads of every kernel of a run. Each kernel lets the next begin when it has come here itself,
/// so before it all kernels but the last are done: what those left may be read (`look_ahead`
/// first), and what the last one does not touch may be written.
__device__ inline void follow_earlier_kernels() noexcept {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// Before what may be read earlier: no line of a run before is met in the first-level cache.
__device__ inline void look_ahead() noexcept { __threadfence(); }

/// Kernels compiled for at least this may be launched so; others would not wait.
inline constexpr int ordered_launch_version = 90;

}  // namespace tka::inline TKA_ABI::detail::cuda
