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
  int buffers = 0;            ///< of a plan of CUDA, slices of keys on their way; 0: as it says
  bool small_blocks = false;  ///< a plan of CUDA is for a device whose blocks have 99 KB at most
  int row_tuning = 0;         ///< of a plan of CUDA, one of `row_tunings`; 0: as it says
  bool lists = true;          ///< positions, scores, counts, thresholds are asked for
  bool positions = true;      ///< of these also positions and scores
  bool counts = true;         ///< of given lists; else -1 fills what is left of them
};

}  // namespace support
