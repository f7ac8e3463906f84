// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

// [tka.compile_time]
// expect: tka::form: a part is given twice; name each kind of part once
#include <tka/form.hpp>

#ifdef TKA_EXPECT_FAIL
using form = tka::form<tka::kv::paged, tka::kv::ragged>;
#else
using form = tka::form<tka::kv::paged, tka::query::ragged>;
#endif

int main() { return form::kv_source::has_pages ? 0 : 1; }
