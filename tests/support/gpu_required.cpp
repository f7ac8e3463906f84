// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Linked into programs whose cases all need a GPU: tells main.cpp why they cannot run.

#include <cuda_runtime_api.h>

#include <string>

extern "C" char const* tka_test_cannot_run() {
  static std::string reason;
  int count = 0;
  cudaError_t const found = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  if (found == cudaSuccess && count > 0) return nullptr;
  reason = found == cudaSuccess ? "no GPU" : std::string("no GPU: ") + cudaGetErrorString(found);
  return reason.c_str();
}
