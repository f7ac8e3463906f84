// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What bench_matrix_cuda times: something that runs over several sets of inputs.

#pragma once

#include "point.hpp"

#include <algorithm>
#include <cstdint>

namespace bench::cuda {

class subject {
 public:
  virtual ~subject() = default;
  /// Enqueues one call over the inputs of a set.
  virtual void enqueue(std::int64_t copy) = 0;
  [[nodiscard]] virtual std::int64_t copies() const = 0;
};

/// How many sets of `bytes` leave every cache, of those that there are; one where it may stay.
[[nodiscard]] inline std::int64_t copies_for(point const& p, std::int64_t bytes,
                                             std::int64_t available) {
  constexpr std::int64_t past_cache = std::int64_t{768} << 20;
  constexpr std::int64_t most = 64;
  if (p.warm) return 1;
  return std::min({(past_cache + bytes - 1) / bytes, most, available});
}

}  // namespace bench::cuda
