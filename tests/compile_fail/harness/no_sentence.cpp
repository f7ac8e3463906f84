// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

#ifdef TKA_EXPECT_FAIL
static_assert(false, "tka::example: a rule; a fix");
#endif
int main() {}
