// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::sparse_attention: the last argument says where to run; give one executor
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;

int main() {
  tka::cpu::serial const executor{};
#ifdef TKA_EXPECT_FAIL
  return attend({}, {}, {}, executor, executor) == tka::status::ok ? 1 : 0;
#else
  return attend({}, {}, {}, executor) == tka::status::ok ? 1 : 0;
#endif
}
