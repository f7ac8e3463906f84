// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::sparse_attention: a workspace is missing; give {.scratch, .scratch_bytes} of
#include <tka/backend/cpu.hpp>
#include <tka/tka.hpp>

constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu>;

int main() {
  tka::plan const plan{};
  void* const memory = nullptr;
#ifdef TKA_EXPECT_FAIL
  return attend(plan, {}) == tka::status::ok && memory != nullptr ? 1 : 0;
#else
  return attend(plan, {}, {.scratch = memory}) == tka::status::ok ? 1 : 0;
#endif
}
