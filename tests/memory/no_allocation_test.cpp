// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Planning and running allocate nothing, on any thread. Prefill needs memory linear in its length.

#include <tka/append.hpp>
#include <tka/backend/thread_team.hpp>
#include <tka/merge.hpp>

#include <doctest/doctest.h>
#include <memory/counted_allocation.hpp>
#include <memory/guarded_call.hpp>

#include <cstdint>
#include <thread>
#include <vector>

namespace {

using support::allocations_in;
using support::guarded_call;

constexpr tka::shape small{.batch = 2,
                           .q_heads = 4,
                           .kv_heads = 2,
                           .q_len = 5,
                           .kv_len = 900,
                           .qk_dim = 32,
                           .v_dim = 32,
                           .page_size = 16,
                           .index_heads = 2,
                           .index_dim = 32};
constexpr tka::options numbers{.budget = tka::top_k(64), .scale = 0.2f, .recent = 4};

TEST_CASE("the counter counts") {
  void* volatile seen = nullptr;  // or the compiler leaves the allocation out
  long const here = allocations_in([&] {
    seen = ::operator new(1);
    ::operator delete(seen);
  });
  CHECK(here >= 1);
  std::thread idle([] {});
  idle.join();
  long const starting = allocations_in([] { std::thread([] {}).join(); });
  long const elsewhere = allocations_in([&] {
    std::thread t([&] {
      seen = ::operator new(1);
      ::operator delete(seen);
    });
    t.join();
  });
  CHECK(elsewhere > starting);
}

template <class Selection, class Precision, class Form>
void allocates_nothing(tka::options const& o) {
  guarded_call<Selection, Precision, Form> c(small, o);
  REQUIRE(c.plan.status == tka::status::ok);
  auto const tensors = c.arguments();
  auto const workspace = c.workspace();
  long const planning = allocations_in([&] { c.plan = c.call.plan(small, o, {.threads = 1}); });
  CHECK(planning == 0);
  auto status = tka::status::plan_mismatch;
  long const running = allocations_in([&] { status = c.call(c.plan, tensors, workspace); });
  CHECK(status == tka::status::ok);
  CHECK(running == 0);

  tka::thread_team team(3);
  c.reschedule({.workers = 3, .query_tile = 2, .splits = 3});
  auto const split = c.workspace();
  long const in_team = allocations_in([&] {
    for (int i = 0; i < 3; ++i) status = c.call(c.plan, tensors, split, team);
  });
  CHECK(status == tka::status::ok);
  CHECK(in_team == 0);
}

TEST_CASE("[tka.no_alloc] exact_radix allocates nothing, alone or in a team") {
  allocates_nothing<tka::exact_radix, tka::bf16, tka::form<tka::kv::paged>>(numbers);
}

TEST_CASE("[tka.no_alloc] bucketed allocates nothing, also when it chooses its buckets") {
  allocates_nothing<tka::bucketed, tka::fp8, tka::form<>>(numbers);
}

TEST_CASE("[tka.no_alloc] the indexer allocates nothing") {
  allocates_nothing<tka::lightning_indexer<tka::exact_radix>, tka::bf16, tka::form<>>(numbers);
}

TEST_CASE("[tka.no_alloc] refused calls, append and merge allocate nothing") {
  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;
  tka::status refused = tka::status::ok;
  long const refusing = allocations_in([&] {
    tka::plan const p = attend.plan({}, {}, {});
    refused = attend(p, {}, {});
  });
  CHECK(refused == tka::status::plan_mismatch);
  CHECK(refusing == 0);

  std::vector<float> rows(4 * 16, 1.0f);
  std::vector<tka::float8_e4m3_t> cache(4 * 16);
  std::vector<float> scales(4);
  std::int32_t const start = 0;
  auto status = tka::status::plan_mismatch;
  using form = tka::form<tka::layout::scaled>;
  long const appending = allocations_in([&] {
    status = tka::append<tka::fp8_with<tka::fp32>, tka::cpu, form>(
        {.kv_heads = 1, .q_len = 4, .kv_len = 4, .qk_dim = 16, .v_dim = 16}, {},
        {.new_k = {rows.data(), 0, 0, 16},
         .new_v = {rows.data(), 0, 0, 16},
         .k = {cache.data(), 0, 0, 16},
         .v = {cache.data(), 0, 0, 16},
         .k_scales = {scales.data(), 0, 0, 1, 0},
         .v_scales = {scales.data(), 0, 0, 1, 0},
         .starts = &start});
  });
  CHECK(status == tka::status::ok);
  CHECK(appending == 0);

  alignas(16) float const parts[32] = {};
  alignas(16) float out[16] = {};
  float const lse[2] = {0.0f, 0.0f};
  long const merging = allocations_in([&] {
    status = tka::merge<tka::fp32, tka::cpu>({.q_heads = 1, .q_len = 1, .v_dim = 16},
                                             {.parts = 2,
                                              .part_o = {parts, 0, 0, 0},
                                              .part_o_stride = 16,
                                              .part_lse = {lse, 0, 0, 0},
                                              .part_lse_stride = 1,
                                              .o = {out, 0, 0, 0}});
  });
  CHECK(status == tka::status::ok);
  CHECK(merging == 0);
}

TEST_CASE("[tka.no_alloc] prefill of 2K, 4K and 8K tokens: memory linear in the length") {
  std::int32_t const longest = support::fast() ? 2048 : 8192;
  std::vector<double> bytes;
  for (std::int32_t n = longest / 4; n <= longest; n *= 2) {
    tka::shape const s{
        .q_heads = 2, .kv_heads = 1, .q_len = n, .kv_len = n, .qk_dim = 16, .v_dim = 16};
    tka::options const o{.budget = tka::top_k(64), .scale = 0.25f};
    guarded_call<tka::exact_radix, tka::fp32> c(s, o, {}, support::guard::behind, "prefill", 2);
    REQUIRE(c.plan.status == tka::status::ok);
    auto const tensors = c.arguments();
    auto const workspace = c.workspace();
    auto status = tka::status::plan_mismatch;
    CHECK(allocations_in([&] { status = c.call(c.plan, tensors, workspace); }) == 0);
    CHECK(status == tka::status::ok);
    CHECK(c.intact());
    bytes.push_back(static_cast<double>(c.plan.scratch_bytes));
  }
  // Nothing of size q_len * kv_len: doubling the length never does more than double the scratch.
  CHECK(bytes[1] <= 2.0 * bytes[0]);
  CHECK(bytes[2] <= 2.0 * bytes[1]);
  if (!support::fast()) CHECK(bytes[2] < 0.01 * sizeof(float) * longest * longest);
}

}  // namespace
