// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Built twice as a shared object, against two versions of the library.

#include <tka/version.hpp>

#include <cuda/linking/one_call.cuh>

extern "C" int shared_object_version() { return TKA_VERSION; }

/// Writes three positions; false where a call failed.
extern "C" bool shared_object_select(int n, int* out) {
  auto const kept = last_three(n);
  for (int i = 0; i < 3 && kept.size() == 3; ++i) out[i] = kept[static_cast<unsigned>(i)];
  return kept.size() == 3;
}
