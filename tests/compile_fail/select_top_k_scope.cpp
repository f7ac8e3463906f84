// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::select_top_k: this scope does not exist for this selection; q.k selects by
// expect: scope::query_head or scope::kv_group, an indexer by scope::all_heads
#include <tka/backend/cpu.hpp>
#include <tka/select_top_k.hpp>

#ifdef TKA_EXPECT_FAIL
constexpr auto attend =
    tka::select_top_k<tka::bucketed, tka::fp32, tka::cpu, tka::form<tka::scope::all_heads>>;
#else
constexpr auto attend = tka::select_top_k<tka::stored_scores<tka::bucketed>, tka::fp32, tka::cpu,
                                          tka::form<tka::scope::all_heads>>;
#endif

int main() { return attend.supported({}, {}, {}) == tka::status::ok ? 1 : 0; }
