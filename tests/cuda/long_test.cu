// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Sequences of a million keys, and tensors whose offsets do not fit into 32 bits.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/prepared.cuh>

#include <cuda/instances.cuh>
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using namespace support;

TEST_CASE("[tka.scratch_limit] [tka.exact] [tka.lengths] a million keys in little scratch") {
  random_source random("million");
  INFO(random);
  oracle::rules r;
  r.q_heads = 2;
  r.kv_heads = 1;
  r.qk_dim = 32;
  r.v_dim = 16;
  r.k = 2048;
  r.scale = 0.125;
  int const n = fast() ? 100000 : 1 << 20;
  auto const p = make_problem(r, {{2, n}, {2, 1000}}, contents::integers, random);
  arranged<tka::bf16, tka::form<>> const a(p, {});
  auto const got = attend<tka::exact_radix>(a, options_of(r));
  CHECK(selection_fault(got, p) == "");
  CHECK(attention_fault<tka::bf16>(got, p, lists_of(got, p)) == "");
  auto const tight = attend<tka::exact_radix>(a, options_of(r), {.scratch_limit = 1});
  CHECK(difference(got, tight) == "");
}

/// Most tiles of keys lie in the gap between sinks and window.
template <class Precision, class Form>
void windows_far_inside(char const* name) {
  random_source random(name);
  INFO(random);
  int const n = fast() ? 20000 : 300000;
  for (int const sinks : {0, 150}) {
    CAPTURE(sinks);
    oracle::rules r;
    r.visibility = oracle::visibility::sliding_window;
    r.window = 1000;
    r.sinks = sinks;
    r.recent = 16;
    r.q_heads = 4;
    r.kv_heads = 2;
    r.qk_dim = 32;
    r.v_dim = 16;
    r.k = 256;
    r.scale = 0.125;
    for (int const tokens : {1, 3, 70}) {
      CAPTURE(tokens);
      std::vector<lengths> sizes{{tokens, 3000}, {tokens, 900}, {tokens, 0}};
      if (tokens < 70) sizes.insert(sizes.begin(), {{tokens, n}, {tokens, n / 3 + 77}});
      auto const p = make_problem(r, sizes, contents::integers, random);
      arranged<Precision, Form> const a(p, {});
      auto const got = attend<tka::exact_radix>(a, options_of(r));
      CHECK(selection_fault(got, p) == "");
      CHECK(attention_fault<Precision>(got, p, lists_of(got, p)) == "");
      auto const tight = attend<tka::exact_radix>(a, options_of(r), {.scratch_limit = 1});
      CHECK(difference(got, tight) == "");
    }
  }
}

TEST_CASE("[tka.forced] [tka.exact] windows far inside long sequences") {
  using window = tka::visibility::sliding_window;
  windows_far_inside<tka::bf16, tka::form<tka::kv::ragged, window>>("far windows, by warps");
  windows_far_inside<tka::fp32, tka::form<window>>("far windows, by blocks");
}

TEST_CASE("[tka.strides] offsets are 64-bit") {
  random_source random("far apart");
  INFO(random);
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  r.qk_dim = 64;
  r.v_dim = 64;
  r.k = 40;
  r.scale = 0.125;
  auto const p = make_problem(r, {{1, 300}, {1, 300}}, contents::normal, random);
  known_call<tka::exact_radix, tka::bf16> known(p);
  // The second sequence of k stands more than 2^32 elements behind the first.
  auto& t = known.call.device_tensors();
  std::int64_t const far = (std::int64_t{1} << 32) + 64;
  auto const bytes = static_cast<std::size_t>(t.k.batch) * 2;
  void* space = nullptr;
  check_cuda(cudaMalloc(&space, static_cast<std::size_t>(far) * 2 + bytes), "cudaMalloc");
  auto* const base = static_cast<unsigned char*>(space);
  check_cuda(cudaMemcpy(base, t.k.data, bytes, cudaMemcpyDefault), "first");
  check_cuda(cudaMemcpy(base + far * 2, t.k.data + t.k.batch, bytes, cudaMemcpyDefault), "second");
  // Copies on the device run on; the stream of the call does not wait for them.
  check_cuda(cudaDeviceSynchronize(), "copies");
  t.k.data = reinterpret_cast<tka::bfloat16_t const*>(base);
  t.k.batch = far;
  CHECK(known.call.enqueue() == tka::status::ok);
  auto const got = known.call.collect();
  check_cuda(cudaFree(space), "cudaFree");
  CHECK(difference(known.expected, got) == "");
}

}  // namespace
