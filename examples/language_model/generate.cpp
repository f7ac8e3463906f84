// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Sampling.

#include "generate.hpp"

#include "methods.hpp"
#include "sequence.hpp"

#include <algorithm>
#include <cstdio>
#include <random>
#include <stdexcept>

namespace language_model {
namespace {

std::uint8_t next_byte(Eigen::VectorXf const& logits, double temperature, std::mt19937_64& random) {
  Eigen::Index likeliest = 0;
  float const largest = logits.maxCoeff(&likeliest);
  if (temperature <= 0.0) return static_cast<std::uint8_t>(likeliest);
  Eigen::ArrayXd const p = ((logits.array() - largest).cast<double>() / temperature).exp();
  // The uniform distribution of the standard library differs from one library to the next.
  double rest = static_cast<double>(random() >> 11) * 0x1p-53 * p.sum();
  Eigen::Index byte = 0;
  while (byte + 1 < p.size() && (rest -= p[byte]) >= 0.0) ++byte;
  return static_cast<std::uint8_t>(byte);
}

}  // namespace

void generate(model const& m, attention_backend const& backend, std::span<std::uint8_t const> text,
              generation_options const& options) {
  hyperparameters const& h = m.shape();
  if (options.bytes >= h.context) throw std::runtime_error("the model's context is shorter");
  if (text.empty()) throw std::runtime_error("there is no text to continue");
  auto const room = static_cast<std::size_t>(h.context - options.bytes);
  std::span<std::uint8_t const> const prompt = text.last(std::min(text.size(), room));

  std::fprintf(stderr, "reading %zu bytes densely\n", prompt.size());
  sequence s(m, backend);
  columns x = prefill(s, h, backend, prompt);
  auto const sparse = backend.make_call(key_choice::exact_radix, shape_of(h, 1),
                                        {.budget = {.percent = options.percent}});
  std::mt19937_64 random(options.seed);
  for (int i = 0; i < options.bytes; ++i) {
    columns const logits = m.logits(x.rightCols(1));
    std::uint8_t const byte = next_byte(logits.col(0), options.temperature, random);
    std::putchar(byte);
    std::fflush(stdout);
    x = s.read(std::span(&byte, 1), *sparse);
  }
  std::putchar('\n');
}

}  // namespace language_model
