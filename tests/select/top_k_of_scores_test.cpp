// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// top_k_of_scores: nothing is asked for but rows of scores; the same set as select_top_k.

#include <tka/backend/cpu.hpp>
#include <tka/top_k_of_scores.hpp>

#include <support/buffers.hpp>
#include <support/seed.hpp>

#include <doctest/doctest.h>
#include <recall/bucketed_oracle.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using tka::status;

template <class Selector, class Score>
std::vector<std::vector<std::int32_t>> largest(std::vector<Score> const& scores, std::int32_t batch,
                                               std::int32_t rows, std::int32_t length,
                                               std::int32_t k, Selector const& by = {},
                                               std::int32_t const* lengths = nullptr) {
  constexpr auto top_k = tka::top_k_of_scores<Selector, tka::cpu, Score>;
  tka::plan const p = top_k.plan({.batch = batch, .rows = rows, .length = length},
                                 {.budget = tka::top_k(k)}, {.threads = 1}, by);
  REQUIRE(p.status == status::ok);
  auto const lists = static_cast<std::size_t>(batch * rows);
  std::vector<std::int32_t> positions(lists * static_cast<std::size_t>(p.capacity));
  std::vector<std::int32_t> count(lists);
  support::buffer<std::byte> scratch(p.scratch_bytes);
  tka::workspace const w{.scratch = scratch.data(), .scratch_bytes = p.scratch_bytes};
  tka::scores_tensors<Score> const t{.scores = tka::hnd(scores.data(), 1, rows, length),
                                     .lengths = lengths,
                                     .positions = tka::hnd(positions.data(), 1, rows, p.capacity),
                                     .count = tka::hnd(count.data(), 1, rows, 1)};
  REQUIRE(top_k.diagnose(p, t, w).status == status::ok);
  REQUIRE(top_k(p, t, w) == status::ok);
  std::vector<std::vector<std::int32_t>> out;
  for (std::size_t i = 0; i < lists; ++i) {
    auto const first = positions.begin() + static_cast<std::ptrdiff_t>(i) * p.capacity;
    out.emplace_back(first, first + count[i]);
  }
  return out;
}

std::vector<float> row_of(std::vector<float> const& all, std::size_t row, std::size_t length,
                          std::size_t used) {
  auto const first = all.begin() + static_cast<std::ptrdiff_t>(row * length);
  return {first, first + static_cast<std::ptrdiff_t>(used)};
}

TEST_CASE("[tka.exact] top_k_of_scores: the largest of each row") {
  support::random_source random("top_k_of_scores");
  INFO(random);
  std::vector<float> scores(3 * 5 * 200);
  for (float& x : scores) x = static_cast<float>(random.between(-40, 40));
  auto const found = largest<tka::exact_radix>(scores, 3, 5, 200, 17);
  std::int32_t const lengths[] = {200, 0, 31};
  auto const shorter = largest<tka::exact_radix>(scores, 3, 5, 200, 17, {}, lengths);
  for (std::size_t i = 0; i < 15; ++i) {
    CHECK(found[i] == recall_test::exact(row_of(scores, i, 200, 200), 17));
    auto const used = static_cast<std::size_t>(lengths[i / 5]);
    CHECK(shorter[i] == recall_test::exact(row_of(scores, i, 200, used), 17));
  }
}

template <class Score>
void ordered_as_stored(char const* name) {
  support::random_source random(name);
  INFO(random);
  std::vector<Score> scores;
  std::vector<float> wide;
  for (int i = 0; i < 6 * 333; ++i) {
    scores.push_back(Score{static_cast<float>(random.normal())});
    wide.push_back(static_cast<float>(scores.back()));
  }
  auto const found = largest<tka::exact_radix>(scores, 2, 3, 333, 40);
  CHECK(found == largest<tka::exact_radix>(wide, 2, 3, 333, 40));
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(found[i] == recall_test::exact(row_of(wide, i, 333, 333), 40));
  }
}

TEST_CASE("[tka.exact] [tka.storage] scores in bf16 and fp16, with their many ties") {
  ordered_as_stored<tka::bfloat16_t>("bf16 scores");
  ordered_as_stored<tka::float16_t>("fp16 scores");
}

TEST_CASE("[tka.approximate] top_k_of_scores: buckets of the policy") {
  support::random_source random("top_k_of_scores buckets");
  INFO(random);
  std::vector<float> scores(4 * 300);
  for (float& x : scores) x = static_cast<float>(random.normal());
  auto const found =
      largest<tka::bucketed>(scores, 1, 4, 300, 20, {.buckets = 21, .per_bucket = 2});
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(found[i] == recall_test::bucketed(row_of(scores, i, 300, 300), 20, 21, 2));
  }
}

TEST_CASE("[tka.status] top_k_of_scores: what is wrong is named") {
  constexpr auto top_k = tka::top_k_of_scores<tka::exact_radix, tka::cpu>;
  CHECK(top_k.plan({.length = 8}, {}, {}).status == status::invalid_budget);
  CHECK(top_k.plan({.rows = -1, .length = 8}, {.budget = tka::top_k(2)}, {}).status ==
        status::invalid_shape);
  tka::plan const p = top_k.plan({.rows = 2, .length = 8}, {.budget = tka::top_k(2)}, {});
  REQUIRE(p.status == status::ok);
  CHECK(top_k.diagnose(p, {}, {}) ==
        tka::fault{status::null_pointer, tka::tensor_name::index_scores});
  std::vector<float> scores(16);
  CHECK(top_k.diagnose(p, {.scores = tka::hnd(scores.data(), 1, 2, 7)}, {}).dimension == 3);
}

}  // namespace
