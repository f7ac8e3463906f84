// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The vector loads of storage types equal the scalar conversion, code by code, in every lane.

#include <tka/detail/cpu/lanes.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

namespace cpu = tka::detail::cpu;

/// Loads every run of codes from every offset, so each code meets each lane.
template <class T, class Bits>
int wrong_lanes(std::uint32_t codes) {
  std::vector<T> row(codes + cpu::lane_count);
  for (std::uint32_t i = 0; i < row.size(); ++i)
    row[i] = T::from_bits(static_cast<Bits>(i % codes));
  int wrong = 0;
  for (std::uint32_t first = 0; first < codes; ++first) {
    float wide[cpu::lane_count];
    cpu::store(wide, cpu::widen(row.data() + first));
    for (int lane = 0; lane < cpu::lane_count; ++lane) {
      auto const expected = static_cast<float>(row[first + static_cast<std::uint32_t>(lane)]);
      bool const same = std::isnan(expected) ? std::isnan(wide[lane])
                                             : std::bit_cast<std::uint32_t>(expected) ==
                                                   std::bit_cast<std::uint32_t>(wide[lane]);
      wrong += same ? 0 : 1;
    }
  }
  return wrong;
}

TEST_CASE("[tka.storage] widen of binary16 equals the scalar decoding for all codes") {
  CHECK(wrong_lanes<tka::float16_t, std::uint16_t>(65536) == 0);
}
TEST_CASE("[tka.storage] widen of bfloat16 equals the scalar decoding for all codes") {
  CHECK(wrong_lanes<tka::bfloat16_t, std::uint16_t>(65536) == 0);
}
TEST_CASE("[tka.storage] widen of e4m3 equals the scalar decoding for all codes") {
  CHECK(wrong_lanes<tka::float8_e4m3_t, std::uint8_t>(256) == 0);
}
TEST_CASE("[tka.storage] widen of floats moves bits") {
  float const row[16] = {0.0f,   -0.0f,  1e-45f, -1e-45f, 1.5f, INFINITY, -INFINITY, 3e38f,
                         -3e38f, 1e-38f, 2.0f,   4.0f,    8.0f, 16.0f,    32.0f,     64.0f};
  float out[16];
  for (int i = 0; i < 16; i += cpu::lane_count) cpu::store(out + i, cpu::widen(row + i));
  CHECK(std::equal(row, row + 16, out, [](float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
  }));
}

}  // namespace
