// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::tensor_view: void* does not say what it holds; use tka::view_as<T>
#include <tka/backend/cpu.hpp>
#include <tka/tka.hpp>

constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu>;

#ifdef TKA_EXPECT_FAIL
using element = void;
#else
using element = std::uint16_t;
#endif

int main() {
  element* const data = nullptr;
  return attend({}, {.q = {data, 0, 0, 0}}, {}) == tka::status::ok ? 1 : 0;
}
