// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::select_top_k: the third argument is a tka::workspace; where to run comes after it
#include <tka/backend/cpu.hpp>
#include <tka/tka.hpp>

constexpr auto choose = tka::select_top_k<tka::exact_radix, tka::bf16, tka::cpu>;

int main() {
  tka::cpu::serial const executor{};
#ifdef TKA_EXPECT_FAIL
  return choose({}, {}, executor) == tka::status::ok ? 1 : 0;
#else
  return choose({}, {}, {}, executor) == tka::status::ok ? 1 : 0;
#endif
}
