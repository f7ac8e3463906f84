// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::append_index_keys: index_layout::page_132 lies in pages; use form<kv::paged>
#include <tka/append.hpp>
#include <tka/backend/cpu.hpp>

#ifdef TKA_EXPECT_FAIL
using form = tka::form<>;
#else
using form = tka::form<tka::kv::paged>;
#endif
constexpr auto append =
    tka::append_index_keys<tka::index_fp8, tka::cpu, form, tka::index_layout::page_132>;

int main() { return append({}, {}, {}) == tka::status::ok ? 1 : 0; }
