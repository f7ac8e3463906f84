// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What planning needs to know of the machine that a call runs on. Made by `query()` of a backend,
/// or written down, to plan for another machine.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// A processor.
struct cpu_device {
  int threads = 1;  ///< workers that may run at once
  friend constexpr bool operator==(cpu_device const&, cpu_device const&) = default;
};

/// A CUDA device; all zero where there is none.
struct cuda_device {
  int multiprocessors = 0;
  int compute_capability = 0;      ///< 10 * major + minor
  int shared_bytes_per_block = 0;  ///< with opt-in
  int shared_bytes_per_multiprocessor = 0;
  int l2_bytes = 0;
  friend constexpr bool operator==(cuda_device const&, cuda_device const&) = default;
};

}  // namespace tka::inline TKA_ABI
