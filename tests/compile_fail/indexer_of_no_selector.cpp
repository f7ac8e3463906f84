// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::lightning_indexer: its first argument must select; use exact_radix or bucketed
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#ifdef TKA_EXPECT_FAIL
using indexer = tka::lightning_indexer<tka::lightning_indexer<tka::exact_radix>>;
#else
using indexer = tka::lightning_indexer<tka::exact_radix>;
#endif
constexpr auto attend = tka::sparse_attention<indexer, tka::fp32, tka::cpu>;

int main() { return attend.supported({}, {}, {}) == tka::status::ok ? 1 : 0; }
