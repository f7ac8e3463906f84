// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::sparse_attention: layout::mla_656 stores e4m3; use the precision fp8
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#ifdef TKA_EXPECT_FAIL
constexpr auto attend =
    tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu, tka::form<tka::layout::mla_656>>;
#else
constexpr auto attend =
    tka::sparse_attention<tka::exact_radix, tka::fp8, tka::cpu, tka::form<tka::layout::mla_656>>;
#endif

int main() { return attend.supported({}, {}, {}) == tka::status::ok ? 1 : 0; }
