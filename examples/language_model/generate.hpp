// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Continuing a text with sparse decoding.

#pragma once

#include "attention.hpp"
#include "model.hpp"

#include <cstdint>
#include <span>

namespace language_model {

struct generation_options {
  int bytes = 0;             ///< how many to make
  int percent = 10;          ///< of the visible keys that each head reads
  double temperature = 0.0;  ///< 0: always the likeliest byte
  std::uint64_t seed = 1;
};

/// Writes the continuation of `text` to standard output, byte by byte as it is made. The model
/// reads as much of the end of the text as its context leaves room for.
void generate(model const& m, attention_backend const& backend, std::span<std::uint8_t const> text,
              generation_options const& options);

}  // namespace language_model
