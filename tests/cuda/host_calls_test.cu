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
#include <cuda/pairwise_list.hpp>
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <limits>

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
  known_call<tka::exact_radix, tka::bf16> known(p);
  auto& call = known.call;
  fault_injection::reset();
  void* probe = nullptr;
  REQUIRE(cudaMalloc(&probe, 1) == cudaSuccess);  // the counters count
  REQUIRE(cudaFree(probe) == cudaSuccess);
  REQUIRE(fault_injection::counted().allocating == 2);

  auto const device = device_of();
  fault_injection::reset();
  auto const plan = call.call.plan(known.data.shape(), options_of(p.rules), device);
  CHECK(plan.status == tka::status::ok);
  CHECK(fault_injection::counted().all == 0);  // planning is pure
  CHECK(call.enqueue() == tka::status::ok);
  CHECK(call.enqueue() == tka::status::ok);
  auto const during = fault_injection::counted();
  CHECK(during.allocating == 0);
  CHECK(during.synchronising == 0);
  CHECK(during.all >= 2);
  CHECK(difference(known.expected, call.collect()) == "");
}

TEST_CASE(
    "[tka.status] the n-th call of the runtime fails: launch_failed, and the next call works") {
  random_source random("failing");
  INFO(random);
  auto const p = some_problem(random);
  known_call<tka::exact_radix, tka::bf16> known(p);
  auto& call = known.call;
  fault_injection::reset();
  REQUIRE(call.enqueue() == tka::status::ok);
  REQUIRE(difference(known.expected, call.collect()) == "");
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
    CHECK(difference(known.expected, call.collect()) == "");
  }
}

TEST_CASE("[tka.status] the n-th call of the runtime fails in the first run of an instance") {
  random_source random("failing first");
  INFO(random);
  auto const p = some_problem(random);
  // An instance that no other test of this program runs.
  arranged<tka::bf16, tka::form<tka::kv::paged>> const a(p, {.page_size = 16});
  prepared<tka::exact_radix, tka::bf16, tka::form<tka::kv::paged>> call(a, options_of(p.rules));
  constexpr int most_calls = 100;
  int n = 0;
  for (auto status = tka::status::launch_failed; status != tka::status::ok; ++n) {
    CAPTURE(n);
    REQUIRE(n < most_calls);
    call.reset();
    fault_injection::fail_call(n);
    status = call.enqueue();
    fault_injection::fail_call(-1);
    CHECK((status == tka::status::launch_failed || status == tka::status::ok));
  }
  CHECK(n > 1);
  call.reset();
  CHECK(call.enqueue() == tka::status::ok);
  CHECK(difference(attend<tka::exact_radix>(a, options_of(p.rules)), call.collect()) == "");
}

/// Else a thread could lower what another has just asked for.
TEST_CASE("[tka.stream] shared memory is asked for once, whatever the plans need") {
  random_source random("asked once");
  INFO(random);
  auto const p = some_problem(random);
  // An instance that no other test of this program runs.
  arranged<tka::fp32, tka::form<>> const a(p, {});
  settings least;
  least.schedule = tka::schedule{.workers = 1 << 20, .query_tile = 64, .stages = 2};
  prepared<tka::exact_radix, tka::fp32> small(a, options_of(p.rules), least);
  prepared<tka::exact_radix, tka::fp32> large(a, options_of(p.rules));
  CHECK(small.plan().schedule.stages <= large.plan().schedule.stages);
  auto const calls_of = [](auto& call) {
    fault_injection::reset();
    CHECK(call.enqueue() == tka::status::ok);
    return fault_injection::counted().all;
  };
  int const first = calls_of(small);
  int const later = calls_of(small);
  CHECK(first > later);
  CHECK(calls_of(large) == later);
  CHECK(difference(small.collect(), large.collect()) == "");
}

/// Enqueues `call` with an error pending.
template <class Call>
void enqueue_with_an_error_pending(Call& call) {
  REQUIRE(cudaGetLastError() == cudaSuccess);
  REQUIRE(cudaSetDevice(-1) != cudaSuccess);  // leaves its error behind
  cudaError_t const pending = cudaPeekAtLastError();
  REQUIRE(pending != cudaSuccess);
  CHECK(call.enqueue() == tka::status::ok);
  CHECK(cudaPeekAtLastError() == pending);
  CHECK(cudaGetLastError() == pending);
}

TEST_CASE(
    "[tka.stream] [tka.status] an error that the host has pending is neither consumed nor taken "
    "for ours") {
  random_source random("pending");
  INFO(random);
  auto const p = some_problem(random);
  known_call<tka::exact_radix, tka::bf16> known(p);
  enqueue_with_an_error_pending(known.call);
  CHECK(difference(known.expected, known.call.collect()) == "");

  // The first run of an instance that no other test of this program runs.
  arranged<tka::bf16, tka::form<>> const a(p, {});
  prepared<tka::bucketed, tka::bf16> first(a, options_of(p.rules));
  enqueue_with_an_error_pending(first);
  CHECK(difference(attend<tka::bucketed>(a, options_of(p.rules)), first.collect()) == "");
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

TEST_CASE("[tka.scratch_limit] one unit asks for its rows, under the least limit so do many") {
  constexpr auto call = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>;
  constexpr std::int32_t kv_len = 1 << 20;
  constexpr std::int32_t group = 4;
  tka::shape s{
      .q_heads = group, .kv_heads = 1, .q_len = 1, .kv_len = kv_len, .qk_dim = 128, .v_dim = 128};
  tka::options o{.budget = tka::top_k(2048), .scale = 1.0f};
  std::size_t const one = call.plan(s, o, device_of()).scratch_bytes;
  std::size_t const scores = sizeof(float) * group * kv_len;
  CHECK(one >= scores);
  CHECK(one <= scores + scores / 16);
  s.kv_heads = 8;
  s.q_heads = 8 * group;
  CHECK(call.plan(s, o, device_of()).scratch_bytes > 7 * scores);
  o.scratch_limit = 1;
  CHECK(call.plan(s, o, device_of()).scratch_bytes <= scores + scores / 16);
}

TEST_CASE("[tka.scratch_limit] what selects rows together counts too") {
  constexpr auto call = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>;
  tka::shape const s{.batch = 16,
                     .q_heads = 32,
                     .kv_heads = 8,
                     .q_len = 1,
                     .kv_len = 4096,
                     .qk_dim = 128,
                     .v_dim = 128};
  tka::options o{.budget = tka::top_k(64), .scale = 1.0f};
  std::size_t const whole = call.plan(s, o, device_of()).scratch_bytes;
  for (std::int64_t const limit : {1 << 20, (1 << 20) + 63, 3333333, 1 << 23}) {
    CAPTURE(limit);
    o.scratch_limit = limit;
    std::size_t const bytes = call.plan(s, o, device_of()).scratch_bytes;
    CHECK(bytes <= static_cast<std::size_t>(limit));
    CHECK(bytes < whole);
  }
}

TEST_CASE("[tka.status] lists whose ends can't be counted") {
  constexpr auto call = tka::attend_selected<tka::bf16, tka::cuda>;
  tka::shape const s{.q_heads = 32, .kv_heads = 8, .kv_len = 4096, .qk_dim = 128, .v_dim = 128};
  auto const planned = [&](std::int32_t k) {
    return call.plan(s, {.budget = tka::top_k(k), .scale = 1.0f}, device_of()).status;
  };
  CHECK(planned(std::numeric_limits<std::int32_t>::max()) == tka::status::too_large);
  CHECK(planned(8192) == tka::status::ok);
}

TEST_CASE("[tka.status] devices with 99 KB of shared memory a block plan every combination") {
  constexpr tka::cuda::device device{.multiprocessors = 84,
                                     .compute_capability = 86,
                                     .shared_bytes_per_block = 99 << 10,
                                     .shared_bytes_per_multiprocessor = 100 << 10};
  each_combination(
      [&]<class Selection, class Precision, class Form>(combination<Selection, Precision, Form>) {
        auto const r = combination<Selection, Precision, Form>::rules(16);
        CAPTURE(r.v_dim);
        tka::shape const s{.q_heads = r.q_heads,
                           .kv_heads = r.kv_heads,
                           .kv_len = 5000,
                           .qk_dim = r.qk_dim,
                           .v_dim = r.v_dim,
                           .page_size = 16,
                           .index_heads = r.index_heads,
                           .index_dim = r.index_dim};
        constexpr auto call = tka::sparse_attention<Selection, Precision, tka::cuda, Form>;
        CHECK(call.supported(s, options_of(r), device) == tka::status::ok);
        // Each takes 1 KB more, in steps of 128 bytes: a cooperative launch needs them all at once.
        auto const plan = call.plan(s, options_of(r), device);
        int const bytes = (plan.select_bytes + 1024 + 127) / 128 * 128;
        CHECK(plan.select_blocks * bytes <= device.shared_bytes_per_multiprocessor);
      });
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
