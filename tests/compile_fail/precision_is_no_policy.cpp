// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::sparse_attention: Precision must be a precision policy; use fp32, fp16,
// expect: bf16, fp8 or fp8_with<...>
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#ifdef TKA_EXPECT_FAIL
constexpr auto attend = tka::sparse_attention<tka::exact_radix, float, tka::cpu>;
#else
constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;
#endif

int main() { return attend.supported({}, {}, {}) == tka::status::ok ? 1 : 0; }
