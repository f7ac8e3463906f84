// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::sparse_attention: Selection must be a selection policy; use exact_radix,
// expect: bucketed, lightning_indexer<...> or stored_scores<...>
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

struct not_a_selection {};

#ifdef TKA_EXPECT_FAIL
constexpr auto attend = tka::sparse_attention<not_a_selection, tka::fp32, tka::cpu>;
#else
constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;
#endif

int main() { return attend.supported({}, {}, {}) == tka::status::ok ? 1 : 0; }
