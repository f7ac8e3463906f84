// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The storage types, every code of them: decoding against arithmetic of its own, encoding against
/// the neighbours, Eigen's types as a second opinion.

#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp8.hpp>

#include <support/seed.hpp>

#include <Eigen/Core>
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// sign * mantissa * 2^exponent from the fields of a code; `special` says what a full exponent is.
struct format {
  int exponent_bits;
  int mantissa_bits;
  bool has_infinity;

  [[nodiscard]] int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  [[nodiscard]] double decode(std::uint32_t code) const {
    std::uint32_t const mantissa = code & ((1u << mantissa_bits) - 1);
    std::uint32_t const exponent = (code >> mantissa_bits) & ((1u << exponent_bits) - 1);
    double const sign = (code >> (mantissa_bits + exponent_bits)) != 0 ? -1.0 : 1.0;
    std::uint32_t const full = (1u << exponent_bits) - 1;
    if (has_infinity && exponent == full) {
      return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
    }
    if (!has_infinity && exponent == full && mantissa == (1u << mantissa_bits) - 1) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias() - mantissa_bits);
    return sign * std::ldexp(mantissa + (1u << mantissa_bits),
                             static_cast<int>(exponent) - bias() - mantissa_bits);
  }
};

constexpr format half_format{5, 10, true};
constexpr format bfloat_format{8, 7, true};
constexpr format e4m3_format{4, 3, false};

template <class T>
std::uint32_t encode(double x) {
  return T{static_cast<float>(x)}.bits;
}

/// Every code decodes to what its fields say, and encodes back to itself. Returns failures.
template <class T, class Bits>
int round_trips(format const& f, std::uint32_t codes) {
  int wrong = 0;
  for (std::uint32_t code = 0; code < codes; ++code) {
    auto const x = static_cast<float>(T::from_bits(static_cast<Bits>(code)));
    double const expected = f.decode(code);
    if (std::isnan(expected)) {
      wrong += std::isnan(x) ? 0 : 1;
      wrong += std::isnan(static_cast<float>(T{x})) ? 0 : 1;
      continue;
    }
    wrong += static_cast<double>(x) == expected ? 0 : 1;
    wrong += std::signbit(x) == std::signbit(expected) ? 0 : 1;
    wrong += T{x}.bits == code ? 0 : 1;
  }
  return wrong;
}

/// Between each two neighbours: below the middle the lower, above it the upper, on it the even one.
template <class T>
int rounds_to_nearest_even(format const& f, std::uint32_t largest_finite, std::uint32_t sign) {
  int wrong = 0;
  for (std::uint32_t code = 0; code < largest_finite; ++code) {
    double const low = f.decode(code);
    double const high = f.decode(code + 1);
    auto const middle = static_cast<float>(0.5 * (low + high));
    if (static_cast<double>(middle) != 0.5 * (low + high)) return -1;  // must be exact in fp32
    float const below = std::nextafter(middle, 0.0f);
    float const above = std::nextafter(middle, infinity);
    double const s = sign != 0 ? -1.0 : 1.0;
    std::uint32_t const even = (code & 1u) == 0 ? code : code + 1;
    wrong += encode<T>(s * static_cast<double>(middle)) == (even | sign) ? 0 : 1;
    wrong += encode<T>(s * static_cast<double>(above)) == ((code + 1) | sign) ? 0 : 1;
    if (below > 0.0f) {
      wrong += encode<T>(s * static_cast<double>(below)) == (code | sign) ? 0 : 1;
    }
  }
  return wrong;
}

TEST_CASE("[tka.storage] binary16: all 65536 codes") {
  CHECK(round_trips<tka::float16_t, std::uint16_t>(half_format, 65536) == 0);
}
TEST_CASE("[tka.storage] bfloat16: all 65536 codes") {
  CHECK(round_trips<tka::bfloat16_t, std::uint16_t>(bfloat_format, 65536) == 0);
}
TEST_CASE("[tka.storage] e4m3: all 256 codes") {
  CHECK(round_trips<tka::float8_e4m3_t, std::uint8_t>(e4m3_format, 256) == 0);
  CHECK(static_cast<float>(tka::float8_e4m3_t::from_bits(0x7e)) == 448.0f);
  CHECK(tka::float8_e4m3_t::max == 448.0f);
}

TEST_CASE("[tka.storage] conversions round to nearest even between all neighbours") {
  for (std::uint32_t sign : {0u, 1u}) {
    CHECK(rounds_to_nearest_even<tka::float16_t>(half_format, 0x7bff, sign << 15) == 0);
    CHECK(rounds_to_nearest_even<tka::bfloat16_t>(bfloat_format, 0x7f7f, sign << 15) == 0);
    CHECK(rounds_to_nearest_even<tka::float8_e4m3_t>(e4m3_format, 0x7e, sign << 7) == 0);
  }
}

TEST_CASE("[tka.storage] overflow: infinity in 16 bits, 448 in e4m3") {
  using half = tka::float16_t;
  CHECK(half{65504.0f}.bits == 0x7bff);
  CHECK(half{std::nextafter(65520.0f, 0.0f)}.bits == 0x7bff);
  CHECK(half{65520.0f}.bits == 0x7c00);
  CHECK(half{-65520.0f}.bits == 0xfc00);
  CHECK(half{infinity}.bits == 0x7c00);
  CHECK(half{-infinity}.bits == 0xfc00);
  CHECK(half{std::numeric_limits<float>::max()}.bits == 0x7c00);

  using bfloat = tka::bfloat16_t;
  CHECK(bfloat{infinity}.bits == 0x7f80);
  CHECK(bfloat{-infinity}.bits == 0xff80);
  CHECK(bfloat{std::numeric_limits<float>::max()}.bits == 0x7f80);
  CHECK(bfloat{std::bit_cast<float>(0x7f7f7fffu)}.bits == 0x7f7f);
  CHECK(bfloat{std::bit_cast<float>(0x7f7f8000u)}.bits == 0x7f80);

  using e4m3 = tka::float8_e4m3_t;
  for (float const x :
       {448.0f, 449.0f, 463.9f, 464.0f, 464.1f, 470.0f, 479.9f, 480.0f, 512.0f, 1e9f, infinity}) {
    CHECK(e4m3{x}.bits == 0x7e);
    CHECK(e4m3{-x}.bits == 0xfe);
  }
}

TEST_CASE("[tka.storage] tiny numbers: halves of the smallest go to zero, and keep their sign") {
  CHECK(tka::float16_t{0x1p-25f}.bits == 0x0000);
  CHECK(tka::float16_t{std::nextafter(0x1p-25f, 1.0f)}.bits == 0x0001);
  CHECK(tka::float16_t{-0x1p-25f}.bits == 0x8000);
  CHECK(tka::float16_t{0x1.8p-24f}.bits == 0x0002);
  CHECK(tka::float8_e4m3_t{0x1p-10f}.bits == 0x00);
  CHECK(tka::float8_e4m3_t{-0x1p-10f}.bits == 0x80);
  CHECK(tka::float8_e4m3_t{std::nextafter(0x1p-10f, 1.0f)}.bits == 0x01);
  CHECK(tka::float8_e4m3_t{std::numeric_limits<float>::denorm_min()}.bits == 0x00);
  CHECK(tka::bfloat16_t{std::numeric_limits<float>::denorm_min()}.bits == 0x0000);
  CHECK(tka::bfloat16_t{-0.0f}.bits == 0x8000);
}

TEST_CASE("[tka.storage] NaN of any payload stays NaN") {
  for (std::uint32_t const bits : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xff800001u, 0x7fffffffu,
                                   0xffffffffu, 0x7f80ffffu, 0x7f801000u}) {
    auto const x = std::bit_cast<float>(bits);
    CAPTURE(bits);
    CHECK(std::isnan(static_cast<float>(tka::float16_t{x})));
    CHECK(std::isnan(static_cast<float>(tka::bfloat16_t{x})));
    CHECK(std::isnan(static_cast<float>(tka::float8_e4m3_t{x})));
  }
}

TEST_CASE("[tka.storage] Eigen's half and bfloat16 agree on random floats of all magnitudes") {
  support::random_source random("floats");
  INFO(random);
  int wrong = 0;
  for (int i = 0; i < (support::fast() ? 100000 : 2000000); ++i) {
    auto const bits = static_cast<std::uint32_t>(random());
    auto x = std::bit_cast<float>(bits);
    if (i % 2 == 0) x = static_cast<float>(random.normal()) * std::ldexp(1.0f, i % 40 - 26);
    if (std::isnan(x)) continue;
    wrong +=
        tka::float16_t{x}.bits == Eigen::numext::bit_cast<std::uint16_t>(Eigen::half(x)) ? 0 : 1;
    auto const theirs = Eigen::numext::bit_cast<std::uint16_t>(Eigen::bfloat16(x));
    wrong += tka::bfloat16_t{x}.bits == theirs ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("[tka.storage] the types are plain bytes, usable in constant expressions") {
  static_assert(std::is_trivially_copyable_v<tka::float16_t>);
  static_assert(std::is_trivially_default_constructible_v<tka::bfloat16_t>);
  static_assert(tka::float16_t{1.0f}.bits == 0x3c00);
  static_assert(tka::bfloat16_t{1.0f}.bits == 0x3f80);
  static_assert(tka::float8_e4m3_t{1.0f}.bits == 0x38);
  static_assert(static_cast<float>(tka::float8_e4m3_t::from_bits(0x01)) == 0x1p-9f);
  CHECK(sizeof(tka::float16_t) + sizeof(tka::bfloat16_t) + sizeof(tka::float8_e4m3_t) == 5);
}

}  // namespace
