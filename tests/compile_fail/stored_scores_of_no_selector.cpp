// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::stored_scores: its argument must select; use exact_radix or bucketed
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#ifdef TKA_EXPECT_FAIL
using stored = tka::stored_scores<int>;
#else
using stored = tka::stored_scores<tka::bucketed>;
#endif
constexpr bool exact = stored::is_exact;

int main() { return exact ? 1 : 0; }
