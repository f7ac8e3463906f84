// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::append: the third argument must be a form; use form<...>
#include <tka/append.hpp>
#include <tka/backend/cpu.hpp>

#ifdef TKA_EXPECT_FAIL
constexpr auto append = tka::append<tka::bf16, tka::cpu, tka::kv::paged>;
#else
constexpr auto append = tka::append<tka::bf16, tka::cpu, tka::form<tka::kv::paged>>;
#endif

int main() { return append({}, {}, {}) == tka::status::ok ? 1 : 0; }
