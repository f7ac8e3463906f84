// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a run wrote, held against the oracle.

#pragma once

#include <tka/plan.hpp>
#include <tka/status.hpp>

#include <fuzz/prepared.hpp>

#include <cstdint>
#include <string>

namespace fuzz {

/// How a run ended.
struct ending {
  tka::plan plan{};
  tka::status status = tka::status::ok;
  bool stray = false;  ///< bytes of or beside the workspace, or on the device, were hurt
  bool inputs_changed = false;
};

/// "" where every output that was asked for is right and nothing else was written, else the first
/// difference. Sets and scores are compared bit for bit where the scenario's scores are exact, else
/// near ties may differ; sums are held against the error of a plain implementation.
std::string judge(prepared& p, ending const& e);

}  // namespace fuzz
