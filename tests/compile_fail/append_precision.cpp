// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::append: the first argument must be a precision policy; use fp32, fp16, bf16 or fp8
#include <tka/append.hpp>
#include <tka/backend/cpu.hpp>

#ifdef TKA_EXPECT_FAIL
constexpr auto append = tka::append<float, tka::cpu>;
#else
constexpr auto append = tka::append<tka::bf16, tka::cpu>;
#endif

int main() { return append({}, {}, {}) == tka::status::ok ? 1 : 0; }
