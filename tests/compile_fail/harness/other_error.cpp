// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

// expect: tka::example: a rule; a fix
#ifdef TKA_EXPECT_FAIL
int main() { return undeclared; }
static_assert(false, "tka::example: a rule; a fix");
#else
int main() {}
#endif
