// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Joining partial attentions on the device: as on the CPU but for the last bits of e^x and ln.

#include <tka/backend/cuda.cuh>
#include <tka/merge.hpp>

#include <support/device_memory.cuh>
#include <support/seed.hpp>

#include <cuda/twin.cuh>
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

using cuda_test::place;
using cuda_test::reference;
using cuda_test::twin;
using tka::status;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// All memory of one merge; lse of the parts by `lse(random)`.
template <class Precision>
class call_memory {
 public:
  using storage = typename Precision::output_type;

  template <class Lse>
  call_memory(tka::shape const& s, std::int32_t parts, support::random_source& random,
              Lse const& lse)
      : s_(s),
        parts_(parts),
        rows_(static_cast<std::size_t>(s.batch) * static_cast<std::size_t>(s.q_heads * s.q_len)),
        part_o_(static_cast<std::size_t>(parts) * rows_ * static_cast<std::size_t>(s.v_dim)),
        part_lse_(static_cast<std::size_t>(parts) * rows_),
        o_(rows_ * static_cast<std::size_t>(s.v_dim)),
        lse_(rows_) {
    for (std::size_t i = 0; i < part_o_.size(); ++i) {
      part_o_[i] = static_cast<storage>(static_cast<float>(random.normal()));
    }
    for (std::size_t i = 0; i < part_lse_.size(); ++i) {
      part_lse_[i] = lse(random);
      if (part_lse_[i] != -infinity) continue;  // what stands in an empty part does not matter
      for (std::int32_t d = 0; d < s.v_dim; ++d) {
        part_o_[i * static_cast<std::size_t>(s.v_dim) + static_cast<std::size_t>(d)] =
            static_cast<storage>(nan);
      }
    }
  }
  [[nodiscard]] tka::merge_tensors<Precision> at(place where) {
    tka::merge_tensors<Precision> t{};
    t.parts = parts_;
    t.part_o = tka::nhd<storage const>(part_o_.at(where), s_.q_heads, s_.q_len, s_.v_dim);
    t.part_o_stride = static_cast<std::int64_t>(rows_) * s_.v_dim;
    t.part_lse = tka::nhd<float const>(part_lse_.at(where), s_.q_heads, s_.q_len, 1);
    t.part_lse_stride = static_cast<std::int64_t>(rows_);
    t.o = tka::nhd(o_.at(where), s_.q_heads, s_.q_len, s_.v_dim);
    t.lse = tka::nhd(lse_.at(where), s_.q_heads, s_.q_len, 1);
    return t;
  }
  /// The device's o and lse are the host's within `tolerance`, and nothing else was written.
  [[nodiscard]] bool near(float tolerance) {
    return part_o_.same() && part_lse_.same() && near(o_, tolerance) && near(lse_, 2e-6f);
  }
  [[nodiscard]] bool same() const { return o_.same() && lse_.same(); }
  [[nodiscard]] bool changed() const { return o_.changed() && lse_.changed(); }
  [[nodiscard]] std::vector<storage> o() const { return o_.received(); }
  [[nodiscard]] std::vector<float> lse() const { return lse_.received(); }

 private:
  template <class T>
  static bool near(twin<T>& memory, float tolerance) {
    std::vector<T> const got = memory.received();
    bool all = true;
    for (std::size_t i = 0; i < got.size(); ++i) {
      auto const want = static_cast<float>(memory[i]);
      auto const have = static_cast<float>(got[i]);
      bool const both_nan = std::isnan(want) && std::isnan(have);
      all = all && (both_nan || want == have ||
                    std::fabs(want - have) <= tolerance * std::fmax(1.0f, std::fabs(want)));
      // Then the bytes on both sides can be compared with the rest.
      memory[i] = got[i];
    }
    return all && memory.same();
  }

  tka::shape s_;
  std::int32_t parts_;
  std::size_t rows_;
  twin<storage> part_o_;
  twin<float> part_lse_;
  twin<storage> o_;
  twin<float> lse_;
};

template <class Precision>
void merges_alike(tka::shape const& s, std::int32_t parts, float tolerance,
                  support::random_source& random) {
  call_memory<Precision> memory(s, parts, random, [](support::random_source& r) {
    switch (r.below(8)) {
      case 0: return -infinity;
      case 1: return r.below(64) == 0 ? nan : 3e4f;
      case 2: return -1e30f;
      default: return static_cast<float>(3.0 * r.normal());
    }
  });
  auto const there = memory.at(place::device);
  CHECK(tka::merge<Precision, reference>(s, memory.at(place::host)) == status::ok);
  CHECK(memory.changed());
  CHECK(tka::merge<Precision, tka::cuda>(s, there, support::test_stream()) == status::ok);
  auto const o = memory.o();
  auto const lse = memory.lse();
  CHECK(memory.near(tolerance));
  // Again: the same bits.
  CHECK(tka::merge<Precision, tka::cuda>(s, there, support::test_stream()) == status::ok);
  auto const again = memory.o();
  CHECK(std::memcmp(static_cast<void const*>(o.data()), static_cast<void const*>(again.data()),
                    o.size() * sizeof(o[0])) == 0);
  // Without lse, and the last head of the last sequence alone: the same bits.
  auto alone = there;
  alone.lse = {};
  std::int64_t const head = s.q_heads - 1;
  std::int64_t const b = s.batch - 1;
  alone.part_o.data = there.part_o.at(b, head, 0);
  alone.part_lse.data = there.part_lse.at(b, head, 0);
  alone.o.data = there.o.at(b, head, 0);
  tka::shape one = s;
  one.batch = 1;
  one.q_heads = 1;
  CHECK(tka::merge<Precision, tka::cuda>(one, alone, support::test_stream()) == status::ok);
  auto const row = memory.o();
  CHECK(std::memcmp(static_cast<void const*>(o.data()), static_cast<void const*>(row.data()),
                    o.size() * sizeof(o[0])) == 0);
  auto const old_lse = memory.lse();
  CHECK(std::memcmp(lse.data(), old_lse.data(), lse.size() * sizeof(float)) == 0);
}

TEST_CASE(
    "[tka.merge] [tka.deterministic] [tka.invariant] cuda: as on the CPU, the same bits "
    "again and alone") {
  support::random_source random("merge");
  INFO(random);
  tka::shape s{.batch = 3, .q_heads = 5, .q_len = 4, .v_dim = 16};
  for (std::int32_t const parts : {1, 2, 7}) {
    for (std::int32_t const v_dim : {8, 128, 200, 512}) {
      s.v_dim = v_dim;
      merges_alike<tka::fp32>(s, parts, 4e-6f, random);
      merges_alike<tka::fp16>(s, parts, 1e-3f, random);
      merges_alike<tka::bf16>(s, parts, 8e-3f, random);
      merges_alike<tka::fp8>(s, parts, 8e-3f, random);
    }
  }
  merges_alike<tka::bf16>({.batch = 40, .q_heads = 8, .q_len = 33, .v_dim = 64}, 3, 8e-3f, random);
}

TEST_CASE("[tka.merge] [tka.empty] cuda: one part that is not empty, or none, bit for bit") {
  support::random_source random("empty");
  INFO(random);
  tka::shape const s{.batch = 2, .q_heads = 3, .q_len = 2, .v_dim = 64};
  for (std::int32_t const parts : {0, 1, 4}) {
    for (bool const empty : {false, true}) {
      int turn = 0;
      // Rows hold parts side by side by turns: only those of part 0 have keys.
      call_memory<tka::fp32> memory(s, parts, random, [&](support::random_source& r) {
        bool const first = turn++ < 12;
        return first && !empty ? static_cast<float>(r.normal()) : -infinity;
      });
      auto const there = memory.at(place::device);
      CHECK(tka::merge<tka::fp32, reference>(s, memory.at(place::host)) == status::ok);
      CHECK(memory.changed());
      CHECK(tka::merge<tka::fp32, tka::cuda>(s, there, support::test_stream()) == status::ok);
      CHECK(memory.same());
    }
  }
}

TEST_CASE("[tka.merge] cuda: lse may be written over that of a part; no rows, nothing") {
  support::random_source random("in place");
  INFO(random);
  tka::shape s{.batch = 2, .q_heads = 3, .q_len = 2, .v_dim = 512};
  call_memory<tka::fp32> memory(
      s, 3, random, [](support::random_source& r) { return static_cast<float>(r.normal()); });
  auto t = memory.at(place::device);
  CHECK(tka::merge<tka::fp32, tka::cuda>(s, t, support::test_stream()) == status::ok);
  auto const o = memory.o();
  t.lse.data = const_cast<float*>(t.part_lse.data);
  CHECK(tka::merge<tka::fp32, tka::cuda>(s, t, support::test_stream()) == status::ok);
  auto const again = memory.o();
  CHECK(o == again);
  s.q_len = 0;
  CHECK(tka::merge<tka::fp32, tka::cuda>(s, t, support::test_stream()) == status::ok);
  CHECK(memory.o() == o);
}

TEST_CASE("[tka.status] cuda: merge refuses what the host can know, and writes nothing") {
  support::random_source random("status");
  INFO(random);
  tka::shape const s{.q_heads = 1, .q_len = 1, .v_dim = 16};
  call_memory<tka::fp32> memory(s, 2, random, [](support::random_source&) { return 1.0f; });
  auto const there = memory.at(place::device);
  auto const with = [&](auto&& change) {
    tka::shape shape = s;
    auto tensors = there;
    change(shape, tensors);
    return tka::merge<tka::fp32, tka::cuda>(shape, tensors, support::test_stream());
  };
  CHECK(with([](auto& x, auto&) { x.batch = 0; }) == status::invalid_shape);
  CHECK(with([](auto&, auto& x) { x.parts = -1; }) == status::invalid_shape);
  CHECK(with([](auto&, auto& x) { x.o.data = nullptr; }) == status::null_pointer);
  CHECK(with([](auto&, auto& x) { x.o.data += 1; }) == status::misaligned);
  CHECK(with([](auto&, auto& x) { x.o.token = 5; }) == status::misaligned);
  CHECK(memory.same());
}

}  // namespace
