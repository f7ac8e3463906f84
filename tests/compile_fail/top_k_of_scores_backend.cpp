// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::top_k_of_scores: the second argument must be a backend; use cpu (include
// expect: tka/backend/cpu.hpp)
#ifndef TKA_EXPECT_FAIL
#include <tka/backend/cpu.hpp>
#endif
#include <tka/top_k_of_scores.hpp>

constexpr auto top_k = tka::top_k_of_scores<tka::exact_radix, tka::cpu>;

int main() { return top_k.plan({}, {}, {}).status == tka::status::ok ? 1 : 0; }
