// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::attend_selected: Precision must be a precision policy; use fp32, fp16,
// expect: bf16, fp8 or fp8_with<...>
#include <tka/attend_selected.hpp>
#include <tka/backend/cpu.hpp>

#ifdef TKA_EXPECT_FAIL
constexpr auto attend = tka::attend_selected<double, tka::cpu>;
#else
constexpr auto attend = tka::attend_selected<tka::bf16, tka::cpu>;
#endif

int main() { return attend.supported({}, {}, {}) == tka::status::ok ? 1 : 0; }
