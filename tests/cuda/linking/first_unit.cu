// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One of two translation units with the same instance.

#include <cuda/linking/one_call.cuh>

std::vector<int> of_first_unit(int n) { return last_three(n); }
