// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The numbers that cases of synthetic_fidelity run with.

#pragma once

#include <tka/select/fidelity.hpp>

#include <oracle/oracle.hpp>
#include <support/cases.hpp>

namespace select_tests {

/// The policy of the case that runs.
inline tka::synthetic_fidelity tested{};

}  // namespace select_tests

namespace support {

template <>
inline tka::synthetic_fidelity selection_of<tka::synthetic_fidelity>(oracle::rules const&) {
  return select_tests::tested;
}

}  // namespace support
