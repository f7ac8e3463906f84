// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The table and the JSON.

#include "report.hpp"

#include <tka/version.hpp>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>
#include <stdexcept>

namespace language_model {
namespace {

double mean(double sum, attention_metrics const& m) {
  return m.rows == 0 ? 0.0 : sum / static_cast<double>(m.rows);
}

/// What the compiler made the program for, as far as speed depends on it.
constexpr char const* instruction_set() {
#if defined(__AVX512F__)
  return "AVX-512";
#elif defined(__AVX2__)
  return "AVX2";
#else
  return "baseline";
#endif
}

}  // namespace

void print_table(evaluation const& e) {
  double const full = find(e, names::dense).bits_per_byte;
  std::printf("\n%-15s %5s %13s %9s %8s %14s %8s %10s\n", "method", "keys", "bits per byte",
              "change", "recall", "retained mass", "entropy", "ms/token");
  std::string previous;
  for (result const& r : e.results) {
    if (r.method != previous && r.percent != 0) std::printf("\n");
    previous = r.method;
    std::string const keys = r.percent == 0 ? "" : std::to_string(r.percent) + " %";
    std::printf("%-15s %5s %13.4f %+9.4f %8.4f %14.4f %8.3f %10.2f\n", r.method.c_str(),
                keys.c_str(), r.bits_per_byte, r.bits_per_byte - full,
                mean(r.metrics.recall, r.metrics), mean(r.metrics.retained_mass, r.metrics),
                mean(r.metrics.entropy, r.metrics), r.milliseconds_per_token);
  }
}

bool print_checks(std::vector<check> const& all) {
  bool good = true;
  std::printf("\n");
  for (check const& c : all) {
    std::printf("%-6s %-38s %.5f  (at %s %g)\n", c.holds() ? "ok" : "FAILED", c.rule.c_str(),
                c.measured, c.at_least ? "least" : "most", c.limit);
    good = good && c.holds();
  }
  return good;
}

void write_json(std::filesystem::path const& path, evaluation const& e,
                std::vector<check> const& all, provenance const& from) {
  using json = nlohmann::ordered_json;
  double const full = find(e, names::dense).bits_per_byte;
  json rows = json::array();
  for (result const& r : e.results) {
    rows.push_back({{"method", r.method},
                    {"ratio", r.percent == 0 ? json(nullptr) : json(r.percent / 100.0)},
                    {"bits_per_byte", r.bits_per_byte},
                    {"change", r.bits_per_byte - full},
                    {"recall", mean(r.metrics.recall, r.metrics)},
                    {"retained_mass", mean(r.metrics.retained_mass, r.metrics)},
                    {"entropy_nats", mean(r.metrics.entropy, r.metrics)},
                    {"ms_per_token", r.milliseconds_per_token}});
  }
  json held = json::array();
  for (check const& c : all) {
    held.push_back({{"rule", c.rule},
                    {"measured", c.measured},
                    {c.at_least ? "at_least" : "at_most", c.limit},
                    {"holds", c.holds()}});
  }
  std::string const version = std::to_string(TKA_VERSION_MAJOR) + "." +
                              std::to_string(TKA_VERSION_MINOR) + "." +
                              std::to_string(TKA_VERSION_PATCH);
  json const document{
      {"tka", version},
      {"command", from.command},
      {"backend", from.backend},
      {"text", {{"name", from.text}, {"bytes", from.text_bytes}, {"sha256", from.text_sha256}}},
      {"model", from.model},
      {"machine",
       {{"hardware_threads", from.hardware_threads},
        {"threads_used", from.options.threads},
        {"instruction_set", instruction_set()}}},
      {"window_bytes", e.window_bytes},
      {"windows", e.windows},
      {"scored_bytes", from.options.scored},
      {"every_token_alone", from.options.alone},
      {"measured_every", measured_every},
      {"seconds", e.seconds},
      {"rows", rows},
      {"checks", held}};
  std::ofstream out(path);
  out << document.dump(2) << '\n';
  if (!out.flush()) throw std::runtime_error(path.string() + ": cannot be written");
}

}  // namespace language_model
