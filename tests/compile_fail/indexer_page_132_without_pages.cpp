// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::lightning_indexer: index_layout::page_132 holds e4m3 in pages; use index_fp8
// expect: and form<kv::paged>
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

using indexer =
    tka::lightning_indexer<tka::exact_radix, tka::index_fp8, tka::index_layout::page_132>;

#ifdef TKA_EXPECT_FAIL
constexpr auto attend = tka::sparse_attention<indexer, tka::bf16, tka::cpu>;
#else
constexpr auto attend =
    tka::sparse_attention<indexer, tka::bf16, tka::cpu, tka::form<tka::kv::paged>>;
#endif

int main() { return attend.supported({}, {}, {}) == tka::status::ok ? 1 : 0; }
