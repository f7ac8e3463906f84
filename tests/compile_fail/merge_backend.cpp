// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::merge: the second argument must be a backend; use cpu (include
// expect: tka/backend/cpu.hpp) or cuda (include tka/backend/cuda.cuh)
#include <tka/backend/cpu.hpp>
#include <tka/merge.hpp>
#include <tka/precision/fp32.hpp>

struct gpu {};

#ifdef TKA_EXPECT_FAIL
constexpr auto merge = tka::merge<tka::fp32, gpu>;
#else
constexpr auto merge = tka::merge<tka::fp32, tka::cpu>;
#endif

int main() { return merge({}, {}) == tka::status::ok ? 1 : 0; }
