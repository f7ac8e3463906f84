// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::merge: the first argument must be a precision policy; use fp32, fp16 or bf16
#include <tka/backend/cpu.hpp>
#include <tka/merge.hpp>
#include <tka/precision/fp32.hpp>

#ifdef TKA_EXPECT_FAIL
constexpr auto merge = tka::merge<int, tka::cpu>;
#else
constexpr auto merge = tka::merge<tka::fp32, tka::cpu>;
#endif

int main() { return merge({}, {}) == tka::status::ok ? 1 : 0; }
