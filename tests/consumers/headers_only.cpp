// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

#include <tka/version.hpp>

int main() { return TKA_VERSION == 0; }
