// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::tensor_view: this tensor is written; give a pointer to elements that are not const
#include <tka/backend/cpu.hpp>
#include <tka/tka.hpp>

constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu>;

#ifdef TKA_EXPECT_FAIL
using element = tka::bfloat16_t const;
#else
using element = tka::bfloat16_t;
#endif

int main() {
  element* const data = nullptr;
  return attend({}, {.o = {data, 0, 0, 0}}, {}) == tka::status::ok ? 1 : 0;
}
