// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The names of the backends, so that a forgotten header is told in a sentence.

#pragma once

#include <tka/config.hpp>

namespace tka::inline TKA_ABI::inline TKA_BUILD {

struct cpu;   // in tka/backend/cpu.hpp
struct cuda;  // in tka/backend/cuda.cuh

}  // namespace tka::inline TKA_ABI::inline TKA_BUILD
