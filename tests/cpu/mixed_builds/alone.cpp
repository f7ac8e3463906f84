// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A program with one file alone: prints what it gives. Skipped (77) where the processor cannot.

#include "cpu/mixed_builds/calls.hpp"

#include <cinttypes>

namespace mixed {
level const& MIXED_LEVEL();
}

int main() {
  mixed::level const& own = mixed::MIXED_LEVEL();
  if (!own.processor_has()) return 77;
  std::printf("%016" PRIx64 "\n", hash_of(run_all(own, own)));
}
