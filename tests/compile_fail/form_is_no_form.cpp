// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::sparse_attention: Form must be a form; use form<...> with parts of
// expect: tka::scope, query, kv, visibility, layout or unit
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#ifdef TKA_EXPECT_FAIL
constexpr auto attend =
    tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu, tka::kv::paged>;
#else
constexpr auto attend =
    tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu, tka::form<tka::kv::paged>>;
#endif

int main() { return attend.supported({}, {}, {}) == tka::status::ok ? 1 : 0; }
