// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The results for people, for programs and as a picture.

#pragma once

#include "checks.hpp"
#include "evaluation.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace language_model {

/// Where the numbers come from.
struct provenance {
  std::string command;
  std::string backend;
  std::string text;
  std::uint64_t text_bytes = 0;
  std::string text_sha256;
  std::map<std::string, std::string> model;  ///< metadata of the weights
  unsigned hardware_threads = 0;
  evaluation_options options;
};

void print_table(evaluation const& e);
/// True if all hold.
bool print_checks(std::vector<check> const& all);
void write_json(std::filesystem::path const& path, evaluation const& e,
                std::vector<check> const& all, provenance const& from);
/// Bits per byte against the ratio of keys, a line a method.
void write_svg(std::filesystem::path const& path, evaluation const& e);

}  // namespace language_model
