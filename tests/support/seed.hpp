// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Random inputs that can be had again: one seed for a run, printed with every failure.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <numbers>
#include <ostream>
#include <random>
#include <string_view>

namespace support {

/// The seed of this run: TKA_TEST_SEED where that is a number, a fresh one where it is `random`,
/// else always the same.
inline std::uint64_t seed() {
  static std::uint64_t const value = [] {
    char const* const text = std::getenv("TKA_TEST_SEED");
    if (text == nullptr) return std::uint64_t{20260101};
    if (std::string_view(text) == "random") return std::uint64_t{std::random_device{}()};
    return std::uint64_t{std::strtoull(text, nullptr, 0)};
  }();
  return value;
}

/// True where the sizes of a test should be small: under sanitizers, or asked for by TKA_TEST_FAST.
inline bool fast() {
  char const* const text = std::getenv("TKA_TEST_FAST");
  return text != nullptr && *text != '\0' && std::string_view(text) != "0";
}

/// A std::mt19937_64 that counts what was drawn. Its stream depends on the run's seed and on
/// `name`, not on which cases ran before. `INFO(random)` says how to get there again.
class random_source {
 public:
  using result_type = std::uint64_t;

  explicit random_source(std::string_view name = "") : name_(name), engine_(mix(name)) {}

  static constexpr result_type min() { return std::mt19937_64::min(); }
  static constexpr result_type max() { return std::mt19937_64::max(); }

  result_type operator()() {
    ++draws_;
    return engine_();
  }

  /// An integer of [0, n), n > 0; the bias of n / 2^64 does not matter here.
  std::uint64_t below(std::uint64_t n) { return (*this)() % n; }

  /// An integer of [first, last].
  std::int64_t between(std::int64_t first, std::int64_t last) {
    auto const width = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) + 1;
    auto const offset = width == 0 ? (*this)() : below(width);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(first) + offset);
  }

  /// A real of [0, 1).
  double uniform() { return static_cast<double>((*this)() >> 11) * 0x1p-53; }

  /// A standard normal, by Box and Muller: the same on every standard library.
  double normal() {
    double const radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

  [[nodiscard]] std::uint64_t draws() const { return draws_; }

  friend std::ostream& operator<<(std::ostream& out, random_source const& source) {
    return out << "TKA_TEST_SEED=" << seed() << ", stream '" << source.name_ << "' after "
               << source.draws_ << " draws";
  }

 private:
  static std::uint64_t mix(std::string_view name) {
    std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
    for (char const c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return hash ^ (seed() * 0x9e3779b97f4a7c15u);
  }

  std::string_view name_;
  std::mt19937_64 engine_;
  std::uint64_t draws_ = 0;
};

}  // namespace support
