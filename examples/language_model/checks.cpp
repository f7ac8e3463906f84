// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The checks.

#include "checks.hpp"

#include <algorithm>
#include <stdexcept>

namespace language_model {

result const& find(evaluation const& e, std::string const& method, int percent) {
  auto const found = std::ranges::find_if(
      e.results, [&](result const& r) { return r.method == method && r.percent == percent; });
  if (found == e.results.end()) throw std::logic_error("no row is called " + method);
  return *found;
}

std::vector<check> checks(evaluation const& e, double logits_error) {
  auto const bits = [&](char const* method, int percent = 0) {
    return find(e, method, percent).bits_per_byte;
  };
  double const full = bits(names::dense);
  return {
      {"logits differ from PyTorch's by", logits_error, 2e-3},
      {"dense at 8K beats dense at 512 by", bits(names::dense_512) - full, 0.1, true},
      {"exact_radix at 10 % loses to dense", bits(names::exact, 10) - full, 0.02},
      {"exact_radix at 25 % loses to dense", bits(names::exact, 25) - full, 0.01},
      {"exact_radix at 2 % beats recent k by", bits(names::recent, 2) - bits(names::exact, 2), 0.15,
       true},
  };
}

}  // namespace language_model
