// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The wrappers themselves. A call that is made to fail leaves cudaErrorUnknown to its caller and
/// does nothing.

#include <cuda/fault_injection.hpp>
#include <cuda_runtime_api.h>

namespace fault_injection {

namespace {
calls so_far;
int calls_before_failure = -1;

/// Counts a call; true where it must fail.
bool next_fails() {
  ++so_far.all;
  return calls_before_failure >= 0 && calls_before_failure-- == 0;
}
}  // namespace

calls counted() { return so_far; }
void reset() { so_far = {}; }
void fail_call(int n) { calls_before_failure = n; }

}  // namespace fault_injection

using fault_injection::next_fails;
using fault_injection::so_far;

// clang-format off
#define WRAP(kind, name, parameters, arguments)                 \
  extern "C" cudaError_t __real_##name parameters;              \
  extern "C" cudaError_t __wrap_##name parameters {             \
    ++so_far.kind;                                              \
    return next_fails() ? cudaErrorUnknown : __real_##name arguments; \
  }
// clang-format on

WRAP(allocating, cudaMalloc, (void** p, size_t n), (p, n))
WRAP(allocating, cudaFree, (void* p), (p))
WRAP(allocating, cudaMallocAsync, (void** p, size_t n, cudaStream_t s), (p, n, s))
WRAP(allocating, cudaFreeAsync, (void* p, cudaStream_t s), (p, s))
WRAP(allocating, cudaMallocHost, (void** p, size_t n), (p, n))
WRAP(allocating, cudaMallocManaged, (void** p, size_t n, unsigned f), (p, n, f))
WRAP(synchronising, cudaDeviceSynchronize, (), ())
WRAP(synchronising, cudaStreamSynchronize, (cudaStream_t s), (s))
WRAP(synchronising, cudaEventSynchronize, (cudaEvent_t e), (e))
WRAP(synchronising, cudaMemcpy, (void* to, void const* from, size_t n, cudaMemcpyKind k),
     (to, from, n, k))
WRAP(synchronising, cudaMemset, (void* p, int value, size_t n), (p, value, n))
WRAP(launching, cudaLaunchKernel,
     (void const* f, dim3 grid, dim3 block, void** args, size_t shared, cudaStream_t s),
     (f, grid, block, args, shared, s))
WRAP(launching, cudaLaunchKernelExC, (cudaLaunchConfig_t const* c, void const* f, void** args),
     (c, f, args))
WRAP(launching, cudaLaunchCooperativeKernel,
     (void const* f, dim3 grid, dim3 block, void** args, size_t shared, cudaStream_t s),
     (f, grid, block, args, shared, s))
WRAP(launching, cudaFuncSetAttribute, (void const* f, cudaFuncAttribute a, int value),
     (f, a, value))
WRAP(launching, cudaGetKernel, (cudaKernel_t * kernel, void const* f), (kernel, f))
WRAP(launching, cudaKernelSetAttributeForDevice,
     (cudaKernel_t kernel, cudaFuncAttribute a, int value, int device), (kernel, a, value, device))
WRAP(launching, cudaFuncGetAttributes, (cudaFuncAttributes * a, void const* f), (a, f))
WRAP(launching, cudaOccupancyMaxActiveBlocksPerMultiprocessor,
     (int* blocks, void const* f, int size, size_t shared), (blocks, f, size, shared))
WRAP(launching, cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags,
     (int* blocks, void const* f, int size, size_t shared, unsigned flags),
     (blocks, f, size, shared, flags))
WRAP(launching, cudaGetDevice, (int* id), (id))
WRAP(launching, cudaDeviceGetAttribute, (int* value, cudaDeviceAttr what, int id),
     (value, what, id))
WRAP(launching, cudaMemsetAsync, (void* p, int value, size_t n, cudaStream_t s), (p, value, n, s))
WRAP(launching, cudaMemcpyAsync,
     (void* to, void const* from, size_t n, cudaMemcpyKind k, cudaStream_t s), (to, from, n, k, s))
