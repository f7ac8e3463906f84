// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Two translation units include everything; a function that is not inline would be there twice.

#include "all_headers.hpp"

int version_of_second();

int main() { return version_of_second() == TKA_VERSION ? 0 : 1; }
