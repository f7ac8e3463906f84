// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::append: the last argument says where to run; give one stream
// expect: (cuda) or none (cpu: the calling thread)
#include "streams.hpp"

#include <tka/append.hpp>
#include <tka/precision/fp32.hpp>

constexpr auto append = tka::append<tka::fp32, streams>;

int main() {
#ifdef TKA_EXPECT_FAIL
  return append({}, {}, {}) == tka::status::ok ? 1 : 0;
#else
  return append({}, {}, {}, 1L) == tka::status::ok ? 1 : 0;
#endif
}
