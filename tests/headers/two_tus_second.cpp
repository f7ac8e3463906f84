// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

#include "all_headers.hpp"

int version_of_second();

int version_of_second() { return TKA_VERSION; }
