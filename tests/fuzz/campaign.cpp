// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The loop over scenarios, and the way down from one that fails.

#include <support/seed.hpp>

#include <fuzz/campaign.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace fuzz {

namespace {

char const* variable(char const* name) {
  char const* const text = std::getenv(name);
  return text != nullptr && *text != '\0' && std::string_view(text) != "0" ? text : nullptr;
}

std::string described(instance const& of, scenario const& s, std::string const& fault) {
  return of.traits.name + "\n  scenario" + text_of(s) + "\n  " + fault;
}

}  // namespace

effort effort_of(std::size_t cases) {
  effort out{.cases = cases};
  if (support::fast()) out = {.cases = cases / 10 + 1, .max_work = 1e6};
  if (variable("TKA_TEST_SLOW") != nullptr) out = {.cases = cases * 20, .max_work = 24e6};
  if (char const* const n = variable("TKA_TEST_CASES")) {
    out.cases = static_cast<std::size_t>(std::strtoull(n, nullptr, 0));
  }
  return out;
}

std::string simplified(instance const& of, scenario failing, double max_work) {
  std::string fault = of.run(failing);
  int runs_left = 500;
  bool simpler = true;
  auto const try_value = [&](field const& f, std::int64_t value) {
    if (failing.*f.value == value || runs_left == 0) return false;
    scenario next = failing;
    next.*f.value = value;
    next = made_valid(next, of.traits, max_work);
    if (next == failing || next.*f.value != value) return false;
    --runs_left;
    std::string found = of.run(next);
    if (found.empty()) return false;
    failing = next;
    fault = std::move(found);
    return true;
  };
  while (simpler && runs_left > 0) {
    simpler = false;
    for (field const& f : fields()) {
      int const now = level_of(f, failing.*f.value);
      bool lower = false;
      for (int n = 0; n < now && !lower; ++n) {
        lower = try_value(f, f.levels[static_cast<std::size_t>(n)].low);
      }
      // Inside its level a number comes down by halves.
      std::int64_t const low = f.levels[static_cast<std::size_t>(now < 0 ? 0 : now)].low;
      while (!lower && failing.*f.value > low && try_value(f, low + (failing.*f.value - low) / 2)) {
        simpler = true;
      }
      simpler = simpler || lower;
    }
  }
  return described(of, failing, fault);
}

outcome run_campaign(std::string_view name, std::vector<instance> const& instances, effort how) {
  bool const first_only = variable("TKA_TEST_FIRST") != nullptr;
  std::size_t const max_faults = first_only ? 1 : 6;
  bool const trace = variable("TKA_TEST_TRACE") != nullptr;
  std::vector<instance_traits> traits;
  for (instance const& one : instances) traits.push_back(one.traits);
  support::random_source random(name);
  outcome out;
  out.of = cover(traits, how.cases, how.max_work, random);
  out.passed.assign(instances.size(), 0);
  std::vector<char> failed(instances.size(), 0);
  for (covering_row const& row : out.of.rows) {
    instance const& one = instances[row.instance];
    if (failed[row.instance] != 0) continue;  // one fault an instance is enough
    if (trace) {
      std::printf("%s\n  scenario%s\n", one.traits.name.c_str(), text_of(row.scenario).c_str());
      std::fflush(stdout);
    }
    std::string const fault = one.run(row.scenario);
    if (fault.empty()) {
      out.passed[row.instance] = 1;
      continue;
    }
    failed[row.instance] = 1;
    out.faults.push_back(first_only ? described(one, row.scenario, fault)
                                    : simplified(one, row.scenario, how.max_work));
    if (out.faults.size() == max_faults) break;
  }
  for (std::size_t n = 0; n < failed.size(); ++n) {
    if (failed[n] != 0) out.passed[n] = 0;
  }
  return out;
}

}  // namespace fuzz
