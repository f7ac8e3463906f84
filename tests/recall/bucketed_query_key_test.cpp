// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The bucketed selection over q.k: the same set as over the scores themselves, forced keys inside
/// the budget, rows whose budgets and so whose buckets differ.

#include <tka/backend/cpu.hpp>
#include <tka/select_top_k.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>
#include <recall/bucketed_oracle.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace {

using positions = std::vector<std::int32_t>;

constexpr std::int32_t dim = 16;

struct problem {
  std::int32_t q_heads;
  std::int32_t kv_heads;
  std::int32_t q_len;
  std::int32_t kv_len;
};

/// q and k whose products are small integers, and those products.
struct integers {
  std::vector<float> q;
  std::vector<float> k;

  integers(problem const& p, support::random_source& random)
      : q(static_cast<std::size_t>(p.q_heads * p.q_len * dim)),
        k(static_cast<std::size_t>(p.kv_heads * p.kv_len * dim)) {
    for (float& x : q) x = static_cast<float>(random.between(-3, 3));
    for (float& x : k) x = static_cast<float>(random.between(-3, 3));
  }
  [[nodiscard]] float score(problem const& p, std::int32_t head, std::int32_t token,
                            std::int32_t key) const {
    std::int32_t const kv_head = head / (p.q_heads / p.kv_heads);
    float total = 0.0f;
    for (std::int32_t d = 0; d < dim; ++d) {
      total += q[static_cast<std::size_t>((head * p.q_len + token) * dim + d)] *
               k[static_cast<std::size_t>((kv_head * p.kv_len + key) * dim + d)];
    }
    return total;
  }
};

template <class Form>
std::vector<positions> selected(problem const& p, integers const& numbers, tka::options const& o,
                                int threads) {
  constexpr auto select = tka::select_top_k<tka::bucketed, tka::fp32, tka::cpu, Form>;
  tka::shape const s{.q_heads = p.q_heads,
                     .kv_heads = p.kv_heads,
                     .q_len = p.q_len,
                     .kv_len = p.kv_len,
                     .qk_dim = dim,
                     .v_dim = dim};
  tka::plan const plan = select.plan(s, o, {.threads = threads});
  REQUIRE(plan.status == tka::status::ok);
  auto const lists = static_cast<std::size_t>(plan.scope_heads * p.q_len);
  positions out(lists * static_cast<std::size_t>(plan.capacity));
  positions count(lists);
  std::vector<std::byte> memory(plan.scratch_bytes + 64);
  auto const base = reinterpret_cast<std::uintptr_t>(memory.data());
  tka::status const st = select(
      plan,
      {.q = tka::hnd(numbers.q.data(), p.q_heads, p.q_len, dim),
       .k = tka::hnd(numbers.k.data(), p.kv_heads, p.kv_len, dim),
       .positions = tka::hnd(out.data(), plan.scope_heads, p.q_len, plan.capacity),
       .count = tka::hnd(count.data(), plan.scope_heads, p.q_len, 1)},
      {.scratch = memory.data() + (64 - base % 64) % 64, .scratch_bytes = plan.scratch_bytes});
  REQUIRE(st == tka::status::ok);
  std::vector<positions> result;
  for (std::size_t i = 0; i < lists; ++i) {
    auto const first = out.begin() + static_cast<std::ptrdiff_t>(i) * plan.capacity;
    result.emplace_back(first, first + count[i]);
    // Nothing but -1 behind count.
    REQUIRE(std::all_of(first + count[i], first + plan.capacity,
                        [](std::int32_t x) { return x == -1; }));
  }
  return result;
}

TEST_CASE("[tka.approximate] q.k by buckets: causal rows, each head its own set") {
  support::random_source random("query key");
  INFO(random);
  problem const p{4, 2, 9, 400};
  for (int round = 0; round < 5; ++round) {
    integers const numbers(p, random);
    tka::options const o{.budget = tka::top_k(40),
                         .bucketing = {.buckets = 19 + round, .per_bucket = 1 + round}};
    auto const found = selected<tka::form<>>(p, numbers, o, 1 + round % 2);
    for (std::int32_t head = 0; head < p.q_heads; ++head) {
      for (std::int32_t token = 0; token < p.q_len; ++token) {
        std::vector<float> scores;
        for (std::int32_t key = 0; key <= p.kv_len - p.q_len + token; ++key) {
          scores.push_back(numbers.score(p, head, token, key));
        }
        CHECK(found[static_cast<std::size_t>(head * p.q_len + token)] ==
              recall_test::bucketed(scores, 40, o.bucketing.buckets, o.bucketing.per_bucket));
      }
    }
  }
}

TEST_CASE("[tka.approximate] with a ratio each row takes the buckets for its own k") {
  support::random_source random("ratio");
  INFO(random);
  problem const p{1, 1, 300, 300};
  integers const numbers(p, random);
  tka::options const o{.budget = tka::ratio(1, 4, 2), .bucketing = {.recall_target = 0.8f}};
  auto const found = selected<tka::form<>>(p, numbers, o, 2);
  for (std::int32_t token = 0; token < p.q_len; ++token) {
    std::vector<float> scores;
    for (std::int32_t key = 0; key <= token; ++key) {
      scores.push_back(numbers.score(p, 0, token, key));
    }
    std::int32_t const k = std::max(2, (token + 1 + 3) / 4);
    tka::bucketing const b = tka::choose_buckets(k, 0.8f);
    CHECK(found[static_cast<std::size_t>(token)] ==
          recall_test::bucketed(scores, k, b.buckets, b.per_bucket));
  }
}

TEST_CASE("[tka.forced] bucketed: sinks and recent keys are inside the budget") {
  support::random_source random("forced");
  INFO(random);
  problem const p{2, 1, 1, 500};
  integers const numbers(p, random);
  tka::options const o{.budget = tka::top_k(30),
                       .sinks = 3,
                       .recent = 5,
                       .bucketing = {.buckets = 40, .per_bucket = 2}};
  auto const found = selected<tka::form<>>(p, numbers, o, 1);
  for (std::int32_t head = 0; head < p.q_heads; ++head) {
    std::vector<float> scores;
    for (std::int32_t key = 0; key < p.kv_len; ++key) {
      bool const forced = key < 3 || key >= p.kv_len - 5;
      scores.push_back(forced ? -INFINITY : numbers.score(p, head, 0, key));
    }
    positions expected = recall_test::bucketed(scores, 22, 40, 2);
    for (std::int32_t const key : {0, 1, 2, 495, 496, 497, 498, 499}) expected.push_back(key);
    std::sort(expected.begin(), expected.end());
    CHECK(found[static_cast<std::size_t>(head)] == expected);
  }
}

TEST_CASE("[tka.scope] bucketed over a group: the largest score of its heads") {
  support::random_source random("group");
  INFO(random);
  problem const p{4, 2, 2, 350};
  integers const numbers(p, random);
  tka::options const o{.budget = tka::top_k(33), .bucketing = {.buckets = 30, .per_bucket = 2}};
  auto const found = selected<tka::form<tka::scope::kv_group>>(p, numbers, o, 1);
  for (std::int32_t group = 0; group < 2; ++group) {
    for (std::int32_t token = 0; token < p.q_len; ++token) {
      std::vector<float> scores;
      for (std::int32_t key = 0; key <= p.kv_len - p.q_len + token; ++key) {
        scores.push_back(std::max(numbers.score(p, 2 * group, token, key),
                                  numbers.score(p, 2 * group + 1, token, key)));
      }
      CHECK(found[static_cast<std::size_t>(group * p.q_len + token)] ==
            recall_test::bucketed(scores, 33, 30, 2));
    }
  }
}

/// inf - inf is NaN for one head and -inf for the other: max must not lose it, first or last.
TEST_CASE("[tka.scope] [tka.nan] a NaN of one head passes the group's max and sum") {
  support::random_source random("nan of one head");
  INFO(random);
  problem const p{4, 2, 1, 150};
  for (auto const how : {tka::combine::max, tka::combine::sum}) {
    for (std::size_t const head : {0, 1}) {
      integers numbers(p, random);
      numbers.k[77 * dim] = INFINITY;
      numbers.k[77 * dim + 1] = INFINITY;
      for (std::size_t h = 0; h < 2; ++h) {
        numbers.q[h * dim] = h == head ? 1.0f : -1.0f;
        numbers.q[h * dim + 1] = -1.0f;
      }
      tka::options const o{
          .budget = tka::top_k(1), .combine = how, .bucketing = {.buckets = 10, .per_bucket = 1}};
      auto const found = selected<tka::form<tka::scope::kv_group>>(p, numbers, o, 1);
      CHECK(found[0] == positions{77});
    }
  }
}

}  // namespace
