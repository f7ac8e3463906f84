// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// SHA-256 (FIPS 180-4), so that results name the text they were made from.

#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace language_model {

[[nodiscard]] inline std::string sha256(std::span<std::uint8_t const> bytes) {
  std::array<std::uint32_t, 64> round;   // fractions of the cube roots of the first 64 primes
  std::array<std::uint32_t, 8> state{};  // and of the square roots of the first 8
  auto const fraction = [](long double root) {
    return static_cast<std::uint32_t>((root - std::floor(root)) * 0x1p32L);
  };
  std::size_t primes = 0;
  for (int n = 2; primes < round.size(); ++n) {
    bool prime = true;
    for (int d = 2; d * d <= n; ++d) prime = prime && n % d != 0;
    if (!prime) continue;
    if (primes < state.size()) state[primes] = fraction(std::sqrt(static_cast<long double>(n)));
    round[primes++] = fraction(std::cbrt(static_cast<long double>(n)));
  }

  std::vector<std::uint8_t> padded(bytes.begin(), bytes.end());
  padded.push_back(0x80);
  while (padded.size() % 64 != 56) padded.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8) {
    padded.push_back(static_cast<std::uint8_t>((std::uint64_t{bytes.size()} * 8) >> shift));
  }

  for (std::size_t at = 0; at < padded.size(); at += 64) {
    std::array<std::uint32_t, 64> w;
    for (std::size_t i = 0; i < 16; ++i) {
      std::uint8_t const* const p = padded.data() + at + 4 * i;
      w[i] =
          std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
    }
    for (std::size_t i = 16; i < 64; ++i) {
      std::uint32_t const a = w[i - 15];
      std::uint32_t const b = w[i - 2];
      w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ (a >> 3)) + w[i - 7] +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ (b >> 10));
    }
    auto s = state;
    for (std::size_t i = 0; i < 64; ++i) {
      std::uint32_t const t1 = s[7] +
                               (std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25)) +
                               ((s[4] & s[5]) ^ (~s[4] & s[6])) + round[i] + w[i];
      std::uint32_t const t2 = (std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22)) +
                               ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      s = {t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]};
    }
    for (std::size_t i = 0; i < 8; ++i) state[i] += s[i];
  }
  std::string text;
  for (std::uint32_t const word : state) {
    char hex[9];
    std::snprintf(hex, sizeof(hex), "%08x", word);
    text += hex;
  }
  return text;
}

}  // namespace language_model
