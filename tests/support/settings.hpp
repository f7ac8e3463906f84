// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How a call is run; none of it may change a bit of the results.

#pragma once

#include <tka/options.hpp>
#include <tka/plan.hpp>

#include <support/buffers.hpp>

#include <cstdint>
#include <optional>

namespace support {

struct settings {
  int threads = 1;  ///< told to a plan of the CPU
  std::optional<tka::schedule> schedule{};
  unsigned char scratch = nan_poison;  ///< what scratch holds before the call
  tka::metrics metrics = tka::metrics::selected;
  std::int64_t scratch_limit = 0;  ///< told to a plan of CUDA; 0: the default
  bool small_blocks = false;  ///< a plan of CUDA is for a device whose blocks have 99 KB at most
  bool lists = true;          ///< positions, scores, thresholds are asked for
};

}  // namespace support
