// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Parts of the CUDA backend alone: the search in a histogram, streams of keys, survivors with and
/// without room, sums over blocks, merges of softmax sums, rings of rows.

#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/block/find_bin.cuh>
#include <tka/detail/cuda/block/key_stream.cuh>
#include <tka/detail/cuda/block/survivors.cuh>
#include <tka/detail/cuda/tuning/block.cuh>
#include <tka/detail/cuda/warp/row_ring.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <support/device_memory.cuh>
#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace {

namespace part = tka::detail::cuda;
using tka::detail::ordered_key;

template <class T>
support::device_memory on_device(std::vector<T> const& host) {
  support::device_memory m(host.size() * sizeof(T));
  m.upload(host.data());
  return m;
}
template <class T>
std::vector<T> from_device(support::device_memory const& m) {
  std::vector<T> host(m.bytes() / sizeof(T));
  m.download(host.data());
  REQUIRE(m.intact());
  return host;
}

// ---- find_bin
// ---------------------------------------------------------------------------------------

__global__ void find_bin_kernel(std::uint32_t const* histogram, int digit, part::digit_state known,
                                part::digit_state* out) {
  __shared__ part::digit_memory memory;
  auto const found = part::find_bin(histogram, digit, known, memory);
  out[threadIdx.x] = found;
}

TEST_CASE("find_bin: the bin in which the wanted keys end, and how many of it") {
  support::random_source random("find_bin");
  INFO(random);
  for (int round = 0; round < 60; ++round) {
    int const digit = round % part::digits;
    int const bins = part::bins_of(digit);
    std::vector<std::uint32_t> histogram(static_cast<std::size_t>(bins), 0u);
    auto const filled = 1 + random.below(static_cast<std::size_t>(bins));
    for (std::size_t i = 0; i < filled; ++i) {
      histogram[random.below(histogram.size())] +=
          static_cast<std::uint32_t>(1 + random.below(round % 2 == 0 ? 3 : 5000));
    }
    auto const all = std::accumulate(histogram.begin(), histogram.end(), 0u);
    for (auto const wanted : {1u, all, 1 + static_cast<std::uint32_t>(random.below(all))}) {
      // By hand: from the top.
      std::uint32_t before = 0;
      auto bin = static_cast<std::size_t>(bins) - 1;
      while (before + histogram[bin] < wanted) before += histogram[bin--];
      part::digit_state const known{0x155u, wanted};
      auto const in = on_device(histogram);
      support::device_memory out(sizeof(part::digit_state) * part::block_threads);
      find_bin_kernel<<<1, part::block_threads, 0, support::test_stream()>>>(
          in.as<std::uint32_t>(), digit, known, out.as<part::digit_state>());
      bool same = true;
      for (auto const& found : from_device<part::digit_state>(out)) {
        same =
            same &&
            found.prefix == (0x155u << (digit == 2 ? 10 : 11) | static_cast<std::uint32_t>(bin)) &&
            found.wanted == wanted - before;
      }
      CHECK(same);
    }
  }
}

// ---- key_stream and survivors
// -------------------------------------------------------------------------

struct stream_result {
  std::int32_t sum_of_indices;
  std::int32_t keys_seen;
  std::int32_t complete;
};

/// Survivors above `gate`: each warp's, in order, behind one another by warp.
__global__ void survivors_kernel(ordered_key const* keys, std::int32_t count, std::int32_t first,
                                 ordered_key gate, int room_bytes, stream_result* result,
                                 ordered_key* out_key, std::int32_t* out_index,
                                 std::int32_t* out_count) {
  extern __shared__ __align__(16) char shared[];
  part::key_stream const stream(shared);
  part::survivors kept(shared + part::key_stream::bytes, room_bytes);
  part::key_run const run{keys, first, count};
  int seen = 0;
  int sum = 0;
  stream.each(run, [&](std::int32_t i, ordered_key const(&key)[4]) {
    for (int j = 0; j < 4; ++j) {
      if (key[j] == tka::detail::key_of_nothing) continue;
      ++seen;
      sum += i + j;
    }
  });
  atomicAdd(&result->keys_seen, seen);
  atomicAdd(&result->sum_of_indices, sum);
  kept.take(run, stream, [&](std::int32_t, ordered_key key) { return key > gate; });
  if (threadIdx.x == 0) result->complete = kept.complete() ? 1 : 0;
  if (!kept.complete()) return;
  int const warp = static_cast<int>(threadIdx.x / 32);
  auto const end = kept.own().end;
  if (threadIdx.x % 32 == 0) out_count[warp] = end;
  for (auto i = static_cast<std::int32_t>(threadIdx.x % 32); i < end; i += 32) {
    auto const at = kept.at(i);
    out_key[warp * count + i] = at.key;
    out_index[warp * count + i] = at.index;
  }
}

TEST_CASE(
    "key_stream sees every key once; survivors keep those that stay, or say that they cannot") {
  support::random_source random("survivors");
  INFO(random);
  for (int const count : {1, 3, 127, 128, 1000, 4099, 20000}) {
    for (int const room_keys : {64, 300, 4000}) {
      CAPTURE(count);
      CAPTURE(room_keys);
      std::vector<ordered_key> keys;
      for (int i = 0; i < (count + 3) / 4 * 4; ++i)
        keys.push_back(static_cast<ordered_key>(random.below(1000)));
      std::int32_t const first = 4 * static_cast<std::int32_t>(random.below(100));
      auto const gate = static_cast<ordered_key>(random.below(1000));
      int const room_bytes = room_keys * 6 * part::block_warps;
      auto const in = on_device(keys);
      auto const rows =
          static_cast<std::size_t>(part::block_warps) * static_cast<std::size_t>(count);
      support::device_memory result(sizeof(stream_result)), out_key(rows * 4), out_index(rows * 4),
          out_count(part::block_warps * 4);
      result.fill(0);
      int const bytes = part::key_stream::bytes + room_bytes;
      support::check_cuda(
          cudaFuncSetAttribute(survivors_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               220 * 1024),
          "shared memory");
      survivors_kernel<<<1, part::block_threads, bytes, support::test_stream()>>>(
          in.as<ordered_key>(), count, first, gate, room_bytes, result.as<stream_result>(),
          out_key.as<ordered_key>(), out_index.as<std::int32_t>(), out_count.as<std::int32_t>());
      support::check_cuda(cudaGetLastError(), "launch");
      auto const r = from_device<stream_result>(result)[0];
      CHECK(r.keys_seen == count);
      CHECK(r.sum_of_indices ==
            static_cast<std::int32_t>((std::int64_t{count} * (count - 1) / 2) & 0xffffffff));
      std::vector<std::int32_t> expected;
      for (int i = 0; i < count; ++i) {
        if (keys[static_cast<std::size_t>(i)] > gate) expected.push_back(first + i);
      }
      if (r.complete == 0) {
        CHECK(expected.size() > static_cast<std::size_t>(room_keys));  // some warp had too many
        continue;
      }
      auto const counts = from_device<std::int32_t>(out_count);
      auto const indices = from_device<std::int32_t>(out_index);
      auto const kept_keys = from_device<ordered_key>(out_key);
      std::vector<std::int32_t> kept;
      bool keys_right = true;
      for (std::size_t w = 0; w < counts.size(); ++w) {
        for (int i = 0; i < counts[w]; ++i) {
          auto const at = w * static_cast<std::size_t>(count) + static_cast<std::size_t>(i);
          kept.push_back(indices[at]);
          keys_right =
              keys_right && kept_keys[at] == keys[static_cast<std::size_t>(indices[at] - first)];
        }
      }
      CHECK(kept == expected);
      CHECK(keys_right);
    }
  }
}

// ---- sums
// -----------------------------------------------------------------------------------------------

__global__ void exclusive_sum_kernel(std::uint32_t const* in, std::uint32_t* out,
                                     std::uint32_t* totals) {
  __shared__ std::uint32_t shared[part::block_warps];
  std::uint32_t total = 0;
  out[threadIdx.x] = part::exclusive_sum(in[threadIdx.x], shared, total);
  totals[threadIdx.x] = total;
}

TEST_CASE("exclusive_sum: what earlier threads gave, and the total for all") {
  support::random_source random("exclusive_sum");
  INFO(random);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::uint32_t> in;
    for (int i = 0; i < part::block_threads; ++i)
      in.push_back(static_cast<std::uint32_t>(random.below(1u << (round % 24))));
    auto const from = on_device(in);
    support::device_memory out(in.size() * 4), totals(in.size() * 4);
    exclusive_sum_kernel<<<1, part::block_threads, 0, support::test_stream()>>>(
        from.as<std::uint32_t>(), out.as<std::uint32_t>(), totals.as<std::uint32_t>());
    std::vector<std::uint32_t> expected(in.size());
    std::exclusive_scan(in.begin(), in.end(), expected.begin(), 0u);
    CHECK(from_device<std::uint32_t>(out) == expected);
    CHECK(from_device<std::uint32_t>(totals) ==
          std::vector<std::uint32_t>(in.size(), expected.back() + in.back()));
  }
}

// ---- softmax
// ----------------------------------------------------------------------------------------------

/// Sums over `count` logits: 128 at a time, four a lane; then the sums of all lanes' own merged.
__global__ void softmax_kernel(float const* logits, int count, float* in_turn, float* merged) {
  int const lane = static_cast<int>(threadIdx.x);
  part::softmax_sums sums{};
  part::softmax_sums own{};
  for (int first = 0; first < count; first += 128) {
    float x[4];
    for (int n = 0; n < 4; ++n) {
      int const i = first + lane + 32 * n;
      x[n] = i < count ? logits[i] : tka::detail::minus_infinity();
    }
    for (float const value : x) {
      if (value == tka::detail::minus_infinity()) continue;
      own.merge({value, 1.0f, 0.0f});
    }
    (void)part::add_logits(sums, x);
  }
  part::softmax_sums const all = part::merge_lanes(own);
  if (lane != 0) return;
  in_turn[0] = sums.lse();
  in_turn[1] = sums.entropy();
  merged[0] = all.lse();
  merged[1] = all.entropy();
}

TEST_CASE("softmax sums: in turn and merged by lanes they are lse and entropy in fp64") {
  support::random_source random("softmax");
  INFO(random);
  for (int const count : {0, 1, 5, 127, 128, 129, 1000}) {
    for (double const spread : {0.01, 3.0, 40.0}) {
      CAPTURE(count);
      CAPTURE(spread);
      std::vector<float> x;
      for (int i = 0; i < std::max(count, 1); ++i)
        x.push_back(static_cast<float>(spread * random.normal()));
      auto const in = on_device(x);
      support::device_memory in_turn(8), merged(8);
      softmax_kernel<<<1, 32, 0, support::test_stream()>>>(in.as<float>(), count,
                                                           in_turn.as<float>(), merged.as<float>());
      double top = -INFINITY;
      for (int i = 0; i < count; ++i) top = std::max(top, double{x[static_cast<std::size_t>(i)]});
      double sum = 0.0;
      double weighted = 0.0;
      for (int i = 0; i < count; ++i) {
        double const below = double{x[static_cast<std::size_t>(i)]} - top;
        sum += std::exp(below);
        weighted += std::exp(below) * below;
      }
      double const lse = count == 0 ? -INFINITY : top + std::log(sum);
      double const entropy = count == 0 ? 0.0 : std::log(sum) - weighted / sum;
      for (auto const* const m : {&in_turn, &merged}) {
        auto const got = from_device<float>(*m);
        if (count == 0) {
          CHECK(got[0] == -INFINITY);
        } else {
          CHECK(std::fabs(double{got[0]} - lse) <= 2e-6 * std::max(1.0, std::fabs(lse)));
        }
        CHECK(std::fabs(double{got[1]} - entropy) <= 1e-5 * std::max(1.0, entropy));
      }
    }
  }
}

// ---- row_ring
// -----------------------------------------------------------------------------------------------

/// Rows of 256 bytes through a ring of a warp; every eighth is not there. What lands in its place
/// is written out as it stands in the stage.
template <int Depth>
__global__ void ring_kernel(char const* rows, int steps, int4* out) {
  __shared__ __align__(128) char memory[part::row_ring<Depth>::bytes];
  using ring_type = part::row_ring<Depth>;
  ring_type ring(memory);
  auto const copy = [&](int step) {
    if (step < steps) {
      for (int i = 0; i < ring_type::copies; ++i) {
        int const row = step * ring_type::rows + ring_type::row(i);
        ring.copy(i, rows + row * ring_type::row_bytes + ring_type::chunk() * 16, row % 8 != 3);
      }
    }
    ring.commit();
  };
  for (int step = 0; step < Depth; ++step) copy(step);
  for (int step = 0; step < steps; ++step) {
    std::uint32_t const stage = ring.oldest();
    for (int n = static_cast<int>(threadIdx.x); n < ring_type::rows * 16; n += 32) {
      out[step * ring_type::rows * 16 + n] =
          part::load_shared_four(stage + ring_type::place(n / 16, n % 16));
    }
    __syncwarp();
    copy(step + Depth);
  }
}

template <int Depth>
void rows_arrive() {
  support::random_source random("row_ring");
  INFO(random);
  for (int const steps : {1, 2, 3, 7, 40}) {
    CAPTURE(steps);
    std::vector<std::int32_t> rows;
    for (int i = 0; i < steps * 16 * 64; ++i)
      rows.push_back(static_cast<std::int32_t>(random.below(1u << 30)));
    auto const in = on_device(rows);
    support::device_memory out(rows.size() * 4);
    out.fill(0xee);
    ring_kernel<Depth><<<1, 32, 0, support::test_stream()>>>(in.as<char>(), steps, out.as<int4>());
    auto expected = rows;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (i / 64 % 8 == 3) expected[i] = 0;
    }
    CHECK(from_device<std::int32_t>(out) == expected);
  }
}

TEST_CASE("row_ring: every row arrives in its place, zeros for one that is not there") {
  rows_arrive<2>();
  rows_arrive<3>();
  rows_arrive<4>();
}

}  // namespace
