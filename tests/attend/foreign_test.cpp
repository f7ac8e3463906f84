// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Pointers to other libraries' 16-bit and 8-bit types go in as they are.

#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

/// As `__half`, `at::BFloat16` and `Eigen::half` are made: a class around 16 bits.
struct engine_half {
  std::uint16_t x;
};

struct alignas(tka::workspace_alignment) line {
  std::byte bytes[tka::workspace_alignment];
};

constexpr int keys = 40;
constexpr int dim = 32;

template <class T>
std::vector<T> stored(std::size_t count, int step) {
  std::vector<T> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    tka::float16_t const value{static_cast<float>((static_cast<int>(i) * step) % 7 - 3)};
    std::memcpy(static_cast<void*>(&out[i]), &value, sizeof(value));
  }
  return out;
}

/// One query; the bits of its output.
template <class T>
std::vector<std::uint16_t> attend_stored_as() {
  std::vector<T> const q = stored<T>(dim, 3);
  std::vector<T> const k = stored<T>(keys * dim, 5);
  std::vector<T> const v = stored<T>(keys * dim, 11);
  std::vector<T> o(dim);
  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp16, tka::cpu>;
  tka::plan const plan =
      attend.plan({.q_heads = 1, .kv_heads = 1, .kv_len = keys, .qk_dim = dim, .v_dim = dim},
                  {.budget = tka::top_k(7), .scale = 0.25f}, {.threads = 1});
  std::vector<line> scratch(plan.scratch_bytes / sizeof(line) + 1);
  tka::status const status =
      attend(plan,
             {.q = {q.data(), dim, dim, dim},
              .k = {k.data(), keys * dim, keys * dim, dim},
              .v = {v.data(), keys * dim, keys * dim, dim},
              .o = {o.data(), dim, dim, dim}},
             {.scratch = scratch.data(), .scratch_bytes = scratch.size() * sizeof(line)});
  REQUIRE(status == tka::status::ok);
  std::vector<std::uint16_t> bits(dim);
  std::memcpy(bits.data(), o.data(), dim * sizeof(std::uint16_t));
  return bits;
}

template <class View, class Pointer>
constexpr bool adopts = std::is_constructible_v<View, Pointer, int, int, int>;

}  // namespace

TEST_CASE("[tka.foreign] a host's own half gives the same bits as ours") {
  CHECK(attend_stored_as<engine_half>() == attend_stored_as<tka::float16_t>());
}

TEST_CASE("[tka.foreign] only types of the same size and kind are adopted") {
  using half_view = tka::tensor_view<tka::float16_t const>;
  CHECK(adopts<half_view, engine_half const*>);
  CHECK(adopts<half_view, engine_half*>);
  CHECK_FALSE(adopts<half_view, tka::bfloat16_t const*>);
  CHECK_FALSE(adopts<half_view, std::uint16_t const*>);
  CHECK_FALSE(adopts<half_view, float const*>);
  CHECK(adopts<tka::tensor_view<tka::float8_e4m3_t const>, std::uint8_t const*>);
  CHECK_FALSE(adopts<tka::tensor_view<float const>, std::int32_t const*>);
  CHECK_FALSE(adopts<tka::tensor_view<tka::float16_t>, engine_half const*>);
}
