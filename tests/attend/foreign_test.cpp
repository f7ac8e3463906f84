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

// As other projects call their types; told by the name, whatever the namespace.
namespace Eigen_like {
struct half {
  std::uint16_t x;
};
struct bfloat16 {
  std::uint16_t value;
};
}  // namespace Eigen_like
namespace c10_like {
struct Half {
  std::uint16_t x;
};
struct BFloat16 {
  std::uint16_t x;
};
struct Float8_e4m3fn {
  std::uint8_t x;
};
struct Float8_e4m3fnuz {
  std::uint8_t x;
};
struct Float8_e5m2 {
  std::uint8_t x;
};
}  // namespace c10_like
struct bf16_user_half {  // neither
  std::uint32_t two;
};

template <class Foreign, class T>
constexpr bool adopts = tka::stored_as<Foreign, T>;

}  // namespace

TEST_CASE("[tka.foreign] a host's own half gives the same bits as ours") {
  CHECK(attend_stored_as<engine_half>() == attend_stored_as<tka::float16_t>());
  CHECK(attend_stored_as<Eigen_like::half>() == attend_stored_as<tka::float16_t>());
  CHECK(attend_stored_as<std::uint16_t>() == attend_stored_as<tka::float16_t>());
#if defined(__FLT16_MAX__)
  CHECK(attend_stored_as<_Float16>() == attend_stored_as<tka::float16_t>());
#endif
}

TEST_CASE("[tka.foreign] only types of the same size and format are adopted") {
  using tka::bfloat16_t;
  using tka::float16_t;
  using tka::float8_e4m3_t;
  CHECK(adopts<engine_half, float16_t>);
  CHECK(adopts<Eigen_like::half, float16_t>);
  CHECK(adopts<c10_like::Half const, float16_t const>);
  CHECK(adopts<Eigen_like::bfloat16, bfloat16_t>);
  CHECK(adopts<c10_like::BFloat16, bfloat16_t>);
  CHECK(adopts<std::uint16_t, float16_t>);
  CHECK(adopts<std::uint16_t, bfloat16_t>);
  CHECK(adopts<std::uint8_t, float8_e4m3_t>);
  CHECK(adopts<std::byte, float8_e4m3_t>);
  CHECK(adopts<c10_like::Float8_e4m3fn, float8_e4m3_t>);
#if defined(__FLT16_MAX__)
  CHECK(adopts<_Float16, float16_t>);
  CHECK(!adopts<_Float16, bfloat16_t>);
#endif
  // The other format of the same size.
  CHECK(!adopts<Eigen_like::half, bfloat16_t>);
  CHECK(!adopts<c10_like::Half, bfloat16_t>);
  CHECK(!adopts<Eigen_like::bfloat16, float16_t>);
  CHECK(!adopts<c10_like::BFloat16, float16_t>);
  CHECK(!adopts<c10_like::Float8_e5m2, float8_e4m3_t>);
  CHECK(!adopts<c10_like::Float8_e4m3fnuz, float8_e4m3_t>);
  CHECK(!adopts<bfloat16_t, float16_t>);
  CHECK(!adopts<float16_t, bfloat16_t>);
  // Another size, or numbers.
  CHECK(!adopts<float, float16_t>);
  CHECK(!adopts<std::int16_t, float16_t>);
  CHECK(!adopts<std::int32_t, float>);
  CHECK(!adopts<std::int64_t, std::int32_t>);
  CHECK(!adopts<std::uint16_t, std::int16_t>);
  CHECK(!adopts<bf16_user_half, bfloat16_t>);
  CHECK(!adopts<void, float16_t>);
}
