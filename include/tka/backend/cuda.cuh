// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CUDA backend: a fixed sequence of kernels on the caller's stream.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/dispatch/engine.cuh>
#include <tka/detail/cuda/dispatch/run_rows.cuh>

#include <cuda_runtime_api.h>

namespace tka::inline TKA_ABI {

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

  /// What planning needs to know of the device.
  struct device {
    int multiprocessors = 0;
    int compute_capability = 0;      ///< 10 * major + minor
    int shared_bytes_per_block = 0;  ///< with opt-in
    int shared_bytes_per_multiprocessor = 0;
  };

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

}  // namespace tka::inline TKA_ABI
