// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// [tka.compile_time] A wrong use beside its twin that is right.

// expect: tka::form: every argument must be a form part; use types of tka::scope, query, kv,
// expect: visibility, layout or unit
#include <tka/form.hpp>

#ifdef TKA_EXPECT_FAIL
using form = tka::form<tka::kv::paged, int>;
#else
using form = tka::form<tka::kv::paged>;
#endif

int main() { return form::kv_source::has_pages ? 0 : 1; }
