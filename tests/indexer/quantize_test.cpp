// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows into e4m3: scales, powers of two, the rotation, and what it leaves of q.k.

#include <tka/append.hpp>
#include <tka/quantize.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>
#include <indexer/index_oracle.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

namespace {

using e4m3 = tka::float8_e4m3_t;

std::vector<float> normal_row(std::int32_t dim, support::random_source& random, double width) {
  std::vector<float> row(static_cast<std::size_t>(dim));
  for (float& x : row) x = static_cast<float>(width * random.normal());
  return row;
}

float amax_of(std::vector<float> const& row) {
  float amax = 0.0f;
  for (float const x : row) amax = std::max(amax, std::fabs(x));
  return amax;
}

bool is_power_of_two(float x) {
  int exponent = 0;
  return x > 0.0f && std::frexp(x, &exponent) == 0.5f;
}

TEST_CASE("[tka.storage] quantize_row: amax / 448, everything within half a step") {
  support::random_source random("rows");
  INFO(random);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> const row = normal_row(128, random, std::pow(10.0, round % 9 - 4));
    std::vector<float> work = row;
    std::vector<e4m3> out(128);
    float const scale = tka::quantize_row(work.data(), 128, out.data());
    float const amax = std::max(amax_of(row), 1e-4f);
    CHECK(scale == amax / 448.0f);
    bool near = true;
    for (std::size_t d = 0; d < 128; ++d) {
      float const back = static_cast<float>(out[d]) * scale;
      // Three bits of mantissa: a sixteenth of the number; below 2^-6 steps of 2^-9.
      float const step = std::max(std::fabs(row[d]) / 16.0f, scale * 0x1p-10f);
      near = near && std::fabs(back - row[d]) <= step * 1.001f;
    }
    CHECK(near);
    if (amax_of(row) > 1e-4f) {
      CHECK(std::any_of(out.begin(), out.end(), [](e4m3 x) { return (x.bits & 0x7f) == 0x7e; }));
    }
  }
}

TEST_CASE("[tka.storage] power-of-two scales are at least amax / 448 and less than twice it") {
  support::random_source random("ue8m0");
  INFO(random);
  bool powers = true;
  bool large_enough = true;
  bool small_enough = true;
  for (int round = 0; round < 2000; ++round) {
    std::vector<float> row = normal_row(16, random, std::pow(2.0, round % 60 - 10));
    float const amax = amax_of(row);
    std::vector<e4m3> out(16);
    float const scale =
        tka::quantize_row(row.data(), 16, out.data(), tka::scale_rounding::power_of_two);
    powers = powers && is_power_of_two(scale);
    large_enough = large_enough && scale * 448.0f >= amax;
    small_enough = small_enough && scale < 2.0f * std::max(amax, 1e-4f) / 448.0f;
  }
  CHECK(powers);
  CHECK(large_enough);
  CHECK(small_enough);
  // Exactly a power of two already: it stays.
  std::vector<float> exact(16, 448.0f * 0.25f);
  std::vector<e4m3> out(16);
  CHECK(tka::quantize_row(exact.data(), 16, out.data(), tka::scale_rounding::power_of_two) ==
        0.25f);
  CHECK(out[3].bits == 0x7e);
}

TEST_CASE("[tka.storage] a row of zeros has a positive scale and gives zeros") {
  std::vector<float> row(32, 0.0f);
  std::vector<e4m3> out(32, e4m3{1.0f});
  for (auto const rounding : {tka::scale_rounding::nearest, tka::scale_rounding::power_of_two}) {
    float const scale = tka::quantize_row(row.data(), 32, out.data(), rounding);
    CHECK(scale > 0.0f);
    CHECK(scale >= 1e-4f / 448.0f);
    CHECK(std::all_of(out.begin(), out.end(), [](e4m3 x) { return x.bits == 0; }));
  }
}

TEST_CASE("[tka.nan] a NaN in a row stays NaN and leaves the others alone") {
  std::vector<float> row(16, 2.0f);
  row[5] = std::numeric_limits<float>::quiet_NaN();
  std::vector<e4m3> out(16);
  float const scale = tka::quantize_row(row.data(), 16, out.data());
  CHECK(scale == 2.0f / 448.0f);
  CHECK(std::isnan(static_cast<float>(out[5])));
  CHECK(out[4].bits == 0x7e);
}

TEST_CASE("[tka.indexer] the rotation is the Walsh-Hadamard matrix / sqrt(dim)") {
  for (std::int32_t const dim : {1, 2, 16, 64, 128}) {
    for (std::int32_t i = 0; i < dim; ++i) {
      std::vector<float> row(static_cast<std::size_t>(dim), 0.0f);
      row[static_cast<std::size_t>(i)] = 1.0f;
      tka::detail::rotate_hadamard(row.data(), dim);
      bool same = true;
      for (std::int32_t j = 0; j < dim; ++j) {
        bool const negative = std::popcount(static_cast<unsigned>(i & j)) % 2 == 1;
        float const want = (negative ? -1.0f : 1.0f) / std::sqrt(static_cast<float>(dim));
        same = same && std::fabs(row[static_cast<std::size_t>(j)] - want) < 1e-6f;
      }
      CHECK(same);
    }
  }
}

TEST_CASE("[tka.indexer] before rounding the rotation leaves q.k, and it is its own inverse") {
  support::random_source random("rotation");
  INFO(random);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> q = normal_row(128, random, 1.0);
    std::vector<float> k = normal_row(128, random, 1.0);
    auto const dot = [](std::vector<float> const& a, std::vector<float> const& b) {
      double total = 0.0;
      for (std::size_t d = 0; d < a.size(); ++d) {
        total += static_cast<double>(a[d]) * static_cast<double>(b[d]);
      }
      return total;
    };
    double const before = dot(q, k);
    std::vector<float> const old = q;
    tka::detail::rotate_hadamard(q.data(), 128);
    tka::detail::rotate_hadamard(k.data(), 128);
    CHECK(std::fabs(dot(q, k) - before) < 1e-4);
    tka::detail::rotate_hadamard(q.data(), 128);
    float worst = 0.0f;
    for (std::size_t d = 0; d < 128; ++d) worst = std::max(worst, std::fabs(q[d] - old[d]));
    CHECK(worst < 1e-5f);
  }
}

TEST_CASE("[tka.indexer] q.k of quantised rows, rotated or not, is within their rounding") {
  support::random_source random("outlier");
  INFO(random);
  double plain_error = 0.0;
  double rotated_error = 0.0;
  for (int round = 0; round < 100; ++round) {
    std::vector<float> q = normal_row(128, random, 1.0);
    std::vector<float> const k = normal_row(128, random, 0.01);
    double want = 0.0;
    for (std::size_t d = 0; d < 128; ++d) {
      want += static_cast<double>(q[d]) * static_cast<double>(k[d]);
    }
    for (auto const rotate : {tka::rotation::none, tka::rotation::hadamard}) {
      std::vector<float> q_work = q;
      std::vector<float> k_work = k;
      std::vector<e4m3> out(128);
      if (rotate == tka::rotation::hadamard) tka::detail::rotate_hadamard(q_work.data(), 128);
      float const scale = tka::quantize_row(k_work.data(), 128, out.data(),
                                            tka::scale_rounding::power_of_two, rotate);
      double got = 0.0;
      double magnitude = 0.0;
      for (std::size_t d = 0; d < 128; ++d) {
        double const term = static_cast<double>(q_work[d]) * static_cast<double>(scale) *
                            static_cast<double>(static_cast<float>(out[d]));
        got += term;
        magnitude += std::fabs(term);
      }
      double const error = std::fabs(got - want);
      (rotate == tka::rotation::none ? plain_error : rotated_error) += error;
      // Each term is within a sixteenth and half a smallest step.
      CHECK(error <= magnitude / 15.0 + 128 * 4.0 * static_cast<double>(scale) * 0x1p-10);
    }
  }
  CHECK(plain_error > 0.0);
  CHECK(rotated_error > 0.0);
  CHECK(rotated_error != plain_error);
}

}  // namespace
