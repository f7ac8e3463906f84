// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CUDA backend: a fixed sequence of kernels on the caller's stream.

#pragma once

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "tka::cuda needs compute capability 8.0 or newer: compile with -arch=sm_80 or above"
#endif

#include <tka/config.hpp>
#include <tka/detail/cuda/dispatch/engine.cuh>
#include <tka/detail/cuda/dispatch/run_rows.cuh>
#include <tka/detail/cuda/dispatch/training.cuh>
#include <tka/device.hpp>

#include <cuda_runtime_api.h>

namespace tka::inline TKA_ABI::inline TKA_BUILD {

/// Runs on the current device, on the stream that the call is given. All pointers are device
/// memory. A call is enqueued as a fixed sequence of kernels: no allocation, no synchronisation, no
/// host read of device data; it can be captured into a graph with short sequences and replayed with
/// long ones. The last kernel lets a programmatic dependent of the caller's begin early: that one
/// waits (griddepcontrol.wait) before it reads what the call writes, and before it writes what the
/// call reads or has as scratch. Where q and k have 16 or 8 bits, they are multiplied on tensor
/// cores (8-bit ones widened), fp32 ones in chains of fused multiply-adds; sums are fp32. Compute
/// capability 8.0 and up, CUDA 12.8 and up. Head sizes: multiples of 16 from 16 to 576 (qk_dim,
/// index_dim) and to 512 (v_dim). Pages of index_layout::page_132 begin at multiples of 4 bytes,
/// else status::misaligned.
struct cuda {
  using is_tka_backend = void;

  using device = cuda_device;

  /// The current device; all zero where there is none (planning then says unsupported_device).
  [[nodiscard]] static device query() noexcept {
    int id = 0;
    device d{};
    if (cudaGetDevice(&id) != cudaSuccess) return d;
    auto const read = [id](cudaDeviceAttr what) {
      int value = 0;
      return cudaDeviceGetAttribute(&value, what, id) == cudaSuccess ? value : 0;
    };
    d.multiprocessors = read(cudaDevAttrMultiProcessorCount);
    d.compute_capability =
        10 * read(cudaDevAttrComputeCapabilityMajor) + read(cudaDevAttrComputeCapabilityMinor);
    d.shared_bytes_per_block = read(cudaDevAttrMaxSharedMemoryPerBlockOptin);
    d.shared_bytes_per_multiprocessor = read(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
    d.l2_bytes = read(cudaDevAttrL2CacheSize);
    return d;
  }

  template <class Problem>
  using engine = detail::cuda::engine<Problem>;

  /// Enqueues the call; the caller has checked it.
  template <class Problem>
  [[nodiscard]] static status run(plan const& p, detail::arguments<Problem> const& a,
                                  workspace const& w, cudaStream_t stream) noexcept {
    return engine<Problem>::launch(p, a, w, stream);
  }

  /// Enqueues `append` and `merge`, an ordinary kernel each.
  template <class Work>
  [[nodiscard]] static status run_rows(Work const& work, cudaStream_t stream) noexcept {
    return detail::cuda::run_rows(work, stream);
  }
};

}  // namespace tka::inline TKA_ABI::inline TKA_BUILD
