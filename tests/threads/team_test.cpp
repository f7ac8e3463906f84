// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The team of threads, and calls that run at once, each on a workspace of its own.

#include <tka/backend/thread_team.hpp>

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace {

using support::guarded_call;
using tka::status;

constexpr tka::shape small{
    .batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 2, .kv_len = 900, .qk_dim = 32, .v_dim = 32};
constexpr tka::options numbers{.budget = tka::top_k(50), .scale = 0.2f, .recent = 3};

TEST_CASE("thread_team: every worker once, call after call, more workers than threads and fewer") {
  for (int threads : {1, 2, 5}) {
    tka::thread_team team(threads);
    CHECK(team.size() == threads);
    for (int round = 0; round < 200; ++round) {
      int const workers = round % 9;
      std::vector<std::atomic<int>> seen(9);
      team(workers, [&](int worker) { ++seen[static_cast<std::size_t>(worker)]; });
      bool once = true;
      for (int i = 0; i < 9; ++i) {
        once = once && seen[static_cast<std::size_t>(i)] == (i < workers ? 1 : 0);
      }
      CHECK(once);
    }
  }
}

TEST_CASE("thread_team: all of its threads work at once") {
  tka::thread_team team(3);
  std::atomic<int> here{0};
  std::atomic<bool> all{true};
  team(3, [&](int) {
    ++here;
    auto const start = std::chrono::steady_clock::now();
    while (here < 3) {  // none comes on before all are here
      if (std::chrono::steady_clock::now() - start > std::chrono::seconds(20)) {
        all = false;
        return;
      }
      std::this_thread::yield();
    }
  });
  CHECK(all);
  CHECK(here == 3);
}

TEST_CASE("thread_team: the caller is one of its threads, and what it wrote is seen by all") {
  tka::thread_team team(4);
  std::mutex mutex;
  for (int round = 0; round < 50; ++round) {
    std::set<std::thread::id> ids;
    int const plain = round;  // not atomic: the team must order it
    int wrong = 0;
    int result[4] = {};
    team(4, [&](int worker) {
      result[worker] = plain + worker;
      std::lock_guard const lock{mutex};
      ids.insert(std::this_thread::get_id());
    });
    for (int i = 0; i < 4; ++i) wrong += result[i] == round + i ? 0 : 1;
    CHECK(wrong == 0);
    CHECK(ids.contains(std::this_thread::get_id()));
    CHECK(ids.size() == 4);
  }
}

TEST_CASE("[tka.deterministic] a team runs the call again and again: the same bits") {
  guarded_call<tka::exact_radix, tka::bf16> c(small, numbers);
  c.clear(0);
  REQUIRE(c.run() == status::ok);
  std::vector<unsigned char> const alone = c.output_bytes();
  tka::thread_team team(3);
  c.reschedule({.workers = 3, .query_tile = 1, .splits = 4});
  for (int round = 0; round < (support::fast() ? 20 : 100); ++round) {
    c.clear(0xff);
    c.clear(0);
    CHECK(c.run(team) == status::ok);
    CHECK(c.output_bytes() == alone);
  }
  // Fewer threads than workers.
  tka::thread_team pair(2);
  c.clear(0);
  CHECK(c.run(pair) == status::ok);
  CHECK(c.output_bytes() == alone);
}

TEST_CASE("[tka.workspace] one plan, one input, two calls at once on two workspaces") {
  guarded_call<tka::exact_radix, tka::bf16> a(small, numbers);
  guarded_call<tka::exact_radix, tka::bf16> b(small, numbers);
  a.reschedule({.workers = 2, .query_tile = 2, .splits = 3});
  b.reschedule({.workers = 2, .query_tile = 2, .splits = 3});
  a.clear(0);
  REQUIRE(a.run() == status::ok);
  std::vector<unsigned char> const alone = a.output_bytes();
  // Both read the inputs of a; b has outputs and scratch of its own.
  auto const first = a.arguments();
  auto second = b.arguments();
  second.q = first.q;
  second.k = first.k;
  second.v = first.v;
  second.kv = first.kv;
  second.error = first.error;  // even the error word may be shared
  auto const first_scratch = a.workspace();
  auto const second_scratch = b.workspace();
  for (int round = 0; round < 10; ++round) {
    a.clear(0);
    b.clear(0);
    status results[2] = {};
    std::thread one([&] {
      tka::thread_team team(2);
      results[0] = a.call(a.plan, first, first_scratch, team);
    });
    std::thread two([&] {
      tka::thread_team team(2);
      results[1] = a.call(a.plan, second, second_scratch, team);
    });
    one.join();
    two.join();
    CHECK(results[0] == status::ok);
    CHECK(results[1] == status::ok);
    CHECK(a.output_bytes() == alone);
    CHECK(b.output_bytes() == alone);
    CHECK(a.error[0] == 0);
  }
}

TEST_CASE("[tka.data_error] workers that find the same fault set the error word without a race") {
  guarded_call<tka::exact_radix, tka::bf16> c(small, numbers, {.kv = {900, 500}});
  c.reschedule({.workers = 4, .query_tile = 1, .splits = 4});
  c.kv_lengths[0] = -1;
  c.kv_lengths[1] = 5000;
  tka::thread_team team(4);
  c.clear(0);
  CHECK(c.run(team) == status::ok);
  CHECK(c.error[0] == static_cast<std::uint32_t>(tka::data_error::length_out_of_bounds));
}

}  // namespace
