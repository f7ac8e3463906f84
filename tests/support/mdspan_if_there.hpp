// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// std::mdspan, where the standard library has it.

#pragma once

#if __has_include(<mdspan>)
#include <mdspan>
#endif
