// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::attend_selected: the last argument says where to run; give one executor (cpu, or
// none
#include <tka/backend/cpu.hpp>
#include <tka/tka.hpp>

constexpr auto attend = tka::attend_selected<tka::bf16, tka::cpu>;

int main() {
#ifdef TKA_EXPECT_FAIL
  int const threads = 4;
  return attend({}, {}, {}, threads) == tka::status::ok ? 1 : 0;
#else
  tka::thread_team threads(4);
  return attend({}, {}, {}, threads) == tka::status::ok ? 1 : 0;
#endif
}
