// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::form: this kv source has no pages; use form<kv::paged> for a block_table
#include <tka/backend/cpu.hpp>
#include <tka/tka.hpp>

#ifdef TKA_EXPECT_FAIL
using form = tka::form<>;
#else
using form = tka::form<tka::kv::paged>;
#endif
constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu, form>;

int main() {
  int const table[1] = {};
  return attend({}, {.kv = {.lengths = nullptr, .block_table = table}}, {}) == tka::status::ok ? 1
                                                                                               : 0;
}
