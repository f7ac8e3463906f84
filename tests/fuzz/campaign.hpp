// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Runs many scenarios over a list of instances, and makes those that fail simpler.

#pragma once

#include <fuzz/covering.hpp>
#include <fuzz/scenario.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fuzz {

/// A call with its types fixed.
struct instance {
  instance_traits traits;
  std::function<std::string(scenario const&)> run;  ///< "" or what is wrong
};

/// How much of a campaign runs.
struct effort {
  std::size_t cases = 0;
  double max_work = 6e6;  ///< products that the oracle computes for one case, about
};

/// By the environment: TKA_TEST_FAST a tenth of `cases`, TKA_TEST_SLOW twenty times as many of four
/// times the work, TKA_TEST_CASES as many as it says.
effort effort_of(std::size_t cases);

struct outcome {
  std::vector<std::string> faults{};  ///< with the simplest scenario that still fails
  std::vector<char> passed{};         ///< [instance] ran, and never failed
  covering of{};
};

/// A covering array over the instances, each row run and judged. Stops after some faults, with
/// TKA_TEST_FIRST after one, which is then left as it is. TKA_TEST_TRACE prints each row before.
outcome run_campaign(std::string_view name, std::vector<instance> const& instances, effort how);

/// The simplest scenario found on the way down from a failing one, and what it says.
std::string simplified(instance const& of, scenario failing, double max_work);

}  // namespace fuzz
