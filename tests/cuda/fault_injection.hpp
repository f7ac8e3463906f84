// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Calls of the CUDA runtime, counted and made to fail. The program is linked with --wrap for each
/// of them (see CMakeLists.txt), so that the library's own calls arrive here.

#pragma once

#include <cstddef>

namespace fault_injection {

struct calls {
  int allocating = 0;     ///< cudaMalloc and its kin, cudaFree and its kin
  int synchronising = 0;  ///< waits, and copies that wait
  int launching = 0;      ///< launches
  int all = 0;            ///< of all that can be made to fail
};

/// What was called since the last reset.
calls counted();
void reset();

/// Makes the n-th of all calls from now on fail (0: the next one); negative: none.
void fail_call(int n);

}  // namespace fault_injection
