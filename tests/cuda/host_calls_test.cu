// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a call asks of the CUDA runtime: no allocation, no wait; any of its calls may fail, and
/// errors that the host has pending stay its own.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/prepared.cuh>

#include <cuda/fault_injection.hpp>
#include <cuda/instances.cuh>
#include <doctest/doctest.h>

#include <cstddef>

namespace {

using namespace support;

oracle::problem some_problem(random_source& random) {
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  r.qk_dim = 64;
  r.v_dim = 64;
  r.k = 50;
  r.scale = 0.125;
  return make_problem(r, {{2, 500}, {2, 30}}, contents::normal, random);
}

TEST_CASE(
    "[tka.stream] [tka.no_alloc] [tka.workspace] planning and running neither allocate nor wait") {
  random_source random("no allocation");
  INFO(random);
  auto const p = some_problem(random);
  arranged<tka::bf16, tka::form<>> const a(p, {});
  auto const expected = attend<tka::exact_radix>(a, options_of(p.rules));
  REQUIRE(fault(expected) == "");
  prepared<tka::exact_radix, tka::bf16> call(a, options_of(p.rules));
  fault_injection::reset();
  void* probe = nullptr;
  REQUIRE(cudaMalloc(&probe, 1) == cudaSuccess);  // the counters count
  REQUIRE(cudaFree(probe) == cudaSuccess);
  REQUIRE(fault_injection::counted().allocating == 2);

  auto const device = device_of();
  fault_injection::reset();
  auto const plan = call.call.plan(a.shape(), options_of(p.rules), device);
  CHECK(plan.status == tka::status::ok);
  CHECK(fault_injection::counted().all == 0);  // planning is pure
  CHECK(call.enqueue() == tka::status::ok);
  CHECK(call.enqueue() == tka::status::ok);
  auto const during = fault_injection::counted();
  CHECK(during.allocating == 0);
  CHECK(during.synchronising == 0);
  CHECK(during.all >= 2);
  CHECK(difference(expected, call.collect()) == "");
}

TEST_CASE(
    "[tka.status] the n-th call of the runtime fails: launch_failed, and the next call works") {
  random_source random("failing");
  INFO(random);
  auto const p = some_problem(random);
  arranged<tka::bf16, tka::form<>> const a(p, {});
  auto const expected = attend<tka::exact_radix>(a, options_of(p.rules));
  REQUIRE(fault(expected) == "");
  prepared<tka::exact_radix, tka::bf16> call(a, options_of(p.rules));
  fault_injection::reset();
  REQUIRE(call.enqueue() == tka::status::ok);
  REQUIRE(difference(expected, call.collect()) == "");
  fault_injection::reset();
  call.reset();
  fault_injection::reset();
  REQUIRE(call.enqueue() == tka::status::ok);
  int const calls = fault_injection::counted().all;
  REQUIRE(calls > 0);
  (void)call.collect();
  for (int n = 0; n < calls; ++n) {
    CAPTURE(n);
    call.reset();
    fault_injection::fail_call(n);
    auto const status = call.enqueue();
    fault_injection::fail_call(-1);
    CHECK(status == tka::status::launch_failed);
    call.reset();
    CHECK(call.enqueue() == tka::status::ok);
    CHECK(difference(expected, call.collect()) == "");
  }
}

TEST_CASE(
    "[tka.stream] [tka.status] an error that the host has pending is neither consumed nor taken "
    "for ours") {
  random_source random("pending");
  INFO(random);
  auto const p = some_problem(random);
  arranged<tka::bf16, tka::form<>> const a(p, {});
  auto const expected = attend<tka::exact_radix>(a, options_of(p.rules));
  REQUIRE(fault(expected) == "");
  prepared<tka::exact_radix, tka::bf16> call(a, options_of(p.rules));
  REQUIRE(cudaGetLastError() == cudaSuccess);
  REQUIRE(cudaSetDevice(-1) != cudaSuccess);  // leaves its error behind
  cudaError_t const pending = cudaPeekAtLastError();
  REQUIRE(pending != cudaSuccess);
  CHECK(call.enqueue() == tka::status::ok);
  CHECK(cudaPeekAtLastError() == pending);
  CHECK(cudaGetLastError() == pending);
  CHECK(difference(expected, call.collect()) == "");
}

TEST_CASE("[tka.scratch_limit] what a plan asks for") {
  constexpr auto call = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>;
  constexpr std::size_t table = 4096;  // of a few sequences
  tka::shape const s{.batch = 4,
                     .q_heads = 32,
                     .kv_heads = 8,
                     .q_len = 4096,
                     .kv_len = 1 << 20,
                     .qk_dim = 128,
                     .v_dim = 128};
  tka::options o{.budget = tka::top_k(2048), .scale = 1.0f};
  std::size_t const whole = call.plan(s, o, device_of()).scratch_bytes;
  CHECK(whole <= (std::size_t{256} << 20) + table);
  CHECK(whole > std::size_t{128} << 20);
  o.scratch_limit = 1;  // then what one token of one unit needs
  std::size_t const least = call.plan(s, o, device_of()).scratch_bytes;
  CHECK(least > 0);
  CHECK(least < whole);
  tka::shape small = s;
  small.batch = 1;
  small.q_len = 1;
  small.kv_len = 100;
  CHECK(call.plan(small, o, device_of()).scratch_bytes < least);
}

TEST_CASE("[tka.status] no device: planning says so, and what no GPU can do is a status") {
  constexpr auto call = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>;
  tka::shape s{.q_heads = 2, .kv_heads = 1, .kv_len = 100, .qk_dim = 64, .v_dim = 64};
  tka::options const o{.budget = tka::top_k(8), .scale = 1.0f};
  CHECK(call.supported(s, o, device_of()) == tka::status::ok);
  CHECK(call.supported(s, o, {}) == tka::status::unsupported_device);
  s.qk_dim = 592;
  CHECK(call.supported(s, o, device_of()) == tka::status::unsupported_head_dim);
  s.qk_dim = 72;
  CHECK(call.supported(s, o, device_of()) == tka::status::unsupported_head_dim);
  s.qk_dim = 64;
  s.v_dim = 528;
  CHECK(call.supported(s, o, device_of()) == tka::status::unsupported_head_dim);
  constexpr auto half = tka::sparse_attention<tka::exact_radix, tka::fp8_with<tka::fp16>, tka::cuda,
                                              tka::form<tka::layout::mla_656>>;
  tka::shape const latent{.q_heads = 2, .kv_heads = 1, .kv_len = 100, .qk_dim = 576, .v_dim = 512};
  CHECK(half.supported(latent, o, device_of()) == tka::status::unsupported_precision);
}

}  // namespace
