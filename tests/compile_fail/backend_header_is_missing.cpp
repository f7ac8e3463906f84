// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::sparse_attention: Backend must be a backend; use cpu (include
// expect: tka/backend/cpu.hpp)
#ifndef TKA_EXPECT_FAIL
#include <tka/backend/cpu.hpp>
#endif
#include <tka/sparse_attention.hpp>

constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;

int main() { return attend.supported({}, {}, {}) == tka::status::ok ? 1 : 0; }
