// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Launching: what a kernel of a route asks of the device, and the one place that asks the runtime.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/dispatch/launch_order.cuh>
#include <tka/detail/cuda/tuning/select_rows.cuh>

#include <cuda_runtime_api.h>

#include <cstddef>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// One kernel of a call, as its plan alone decides it.
struct kernel_launch {
  char const* name = nullptr;
  void const* function = nullptr;
  int blocks = 1;
  int threads = 1;
  int bytes = 0;             ///< of dynamic shared memory
  int cluster = 1;           ///< blocks of a cluster
  bool cooperative = false;  ///< its blocks wait for one another
};

/// Enqueues the kernels of one call, one after the other.
class launcher {
 public:
  explicit launcher(cudaStream_t stream) noexcept : stream_(stream) {}

  /// `arguments`: the one parameter of the kernel. Once a launch has failed nothing more is
  /// enqueued.
  template <class Arguments>
  void operator()(kernel_launch const& k, Arguments& arguments) noexcept {
    if (ok_) ok_ = enqueue(k, &arguments);
  }
  [[nodiscard]] bool ok() const noexcept { return ok_; }

 private:
  [[nodiscard]] bool enqueue(kernel_launch const& k, void* arguments) noexcept {
    cudaFuncAttributes now{};
    if (cudaFuncGetAttributes(&now, k.function) != cudaSuccess) return false;
    if (!allow_shared(k.function, now, k.bytes)) return false;
    if (k.cluster > portable_cluster && !allow_large_clusters(k.function)) return false;
    cudaLaunchAttribute attributes[3] = {};
    unsigned count = 0;
    if (k.cooperative) {
      attributes[count].id = cudaLaunchAttributeCooperative;
      attributes[count++].val.cooperative = 1;
    }
    if (follows_ && now.ptxVersion >= ordered_launch_version) {
      attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
      attributes[count++].val.programmaticStreamSerializationAllowed = 1;
    }
    if (k.cluster > 1) {
      attributes[count].id = cudaLaunchAttributeClusterDimension;
      attributes[count].val.clusterDim.x = static_cast<unsigned>(k.cluster);
      attributes[count].val.clusterDim.y = 1;
      attributes[count++].val.clusterDim.z = 1;
    }
    follows_ = true;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(k.blocks));
    config.blockDim = dim3(static_cast<unsigned>(k.threads));
    config.dynamicSmemBytes = static_cast<std::size_t>(k.bytes);
    config.stream = stream_;
    config.attrs = attributes;
    config.numAttrs = count;
    void* parameters[] = {arguments};
    return cudaLaunchKernelExC(&config, k.function, parameters) == cudaSuccess;
  }

  /// More than 48 KB must be asked for, once a kernel and device. Asked is for all that a block can
  /// have, whatever this plan needs: a thread that runs another plan sets the same value, and can't
  /// lower what this launch relies on.
  [[nodiscard]] static bool allow_shared(void const* function, cudaFuncAttributes const& now,
                                         int bytes) noexcept {
    constexpr int without_asking = 48 * 1024;
    if (bytes <= without_asking || now.maxDynamicSharedSizeBytes >= bytes) return true;
    int device = 0;
    int most = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) ==
               cudaSuccess &&
           set_max_shared(function, most - static_cast<int>(now.sharedSizeBytes), device);
  }
  /// Clusters of more than eight blocks must be allowed too.
  [[nodiscard]] static bool allow_large_clusters(void const* function) noexcept {
    int device = 0;
    cudaKernel_t kernel{};
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaGetKernel(&kernel, function) == cudaSuccess &&
           cudaKernelSetAttributeForDevice(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed,
                                           1, device) == cudaSuccess;
  }
  /// What cudaFuncSetAttribute does; of all calls of the runtime here only that one clears an error
  /// that the host has pending.
  [[nodiscard]] static bool set_max_shared(void const* function, int bytes, int device) noexcept {
    cudaKernel_t kernel{};
    return cudaGetKernel(&kernel, function) == cudaSuccess &&
           cudaKernelSetAttributeForDevice(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                           bytes, device) == cudaSuccess;
  }

  cudaStream_t stream_;
  bool follows_ = false;  ///< a kernel of this call
  bool ok_ = true;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
