// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

// expect: tka::example: a rule; a fix
int main() {}
