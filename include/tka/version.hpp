// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The version of the library, the one place that states it; CMake reads it from here.

#pragma once

#define TKA_VERSION_MAJOR 0
#define TKA_VERSION_MINOR 1
#define TKA_VERSION_PATCH 0

/// Major * 10000 + minor * 100 + patch.
#define TKA_VERSION (TKA_VERSION_MAJOR * 10000 + TKA_VERSION_MINOR * 100 + TKA_VERSION_PATCH)
