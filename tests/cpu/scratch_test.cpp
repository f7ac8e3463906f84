// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Scratch of the CPU: within scratch_limit, no more splits than there is work, and the same bits
/// in one wave or many.

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using support::guarded_call;
using tka::status;

constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu>;
constexpr auto limit = static_cast<std::size_t>(tka::options{}.scratch_limit);

tka::plan planned(std::int32_t q_len, std::int32_t kv_len, tka::budget budget, int threads) {
  return attend.plan(
      {.q_heads = 32, .kv_heads = 8, .q_len = q_len, .kv_len = kv_len, .qk_dim = 128, .v_dim = 128},
      {.budget = budget, .scale = 0.1f}, {.threads = threads});
}

TEST_CASE("[tka.scratch_limit] plans for many threads stay within the default limit") {
  for (int const threads : {1, 2, 8, 64, 96, 192, 1024}) {
    for (std::int32_t const q_len : {1, 7, 512, 4096}) {
      for (std::int32_t const kv_len : {100, 32768, 131072}) {
        for (tka::budget const budget : {tka::top_k(2048), tka::ratio(1, 4), tka::ratio(1, 1)}) {
          CAPTURE(threads);
          CAPTURE(q_len);
          CAPTURE(kv_len);
          CAPTURE(budget.k);
          tka::plan const p = planned(q_len, kv_len, budget, threads);
          REQUIRE(p.status == status::ok);
          CHECK(p.scratch_bytes <= limit);
          CHECK(p.schedule.splits <= std::max(1, kv_len / 128 / 4));
          CHECK(p.schedule.workers <= threads);
        }
      }
    }
  }
}

TEST_CASE("[tka.scratch_limit] few long rows are still shared by all threads") {
  tka::plan const p = planned(1, 131072, tka::ratio(1, 4), 64);
  CHECK(p.schedule.workers == 64);
  CHECK(p.schedule.splits == 64);
  CHECK(p.schedule.phases == 3);
}

/// Under each limit the bits of the widest one; the number of plans that take several waves.
template <class Selection, class Form>
int waves_with_the_same_bits(tka::options o) {
  constexpr tka::shape small{.batch = 3,
                             .q_heads = 6,
                             .kv_heads = 2,
                             .q_len = 5,
                             .kv_len = 2000,
                             .qk_dim = 32,
                             .v_dim = 32,
                             .page_size = 16,
                             .index_heads = 3,
                             .index_dim = 16};
  o.scratch_limit = std::int64_t{1} << 40;
  std::vector<unsigned char> expected;
  int in_waves = 0;
  for (std::int64_t const bytes : {std::int64_t{1} << 40, std::int64_t{4} << 20,
                                   std::int64_t{2} << 20, std::int64_t{1} << 20, std::int64_t{1}}) {
    CAPTURE(bytes);
    o.scratch_limit = bytes;
    guarded_call<Selection, tka::fp32, Form> c(small, o, {.kv = {2000, 700, 1500}, .q = {}},
                                               support::guard::behind, "waves", 8);
    REQUIRE(c.plan.status == status::ok);
    for (std::int32_t const splits : {c.plan.schedule.splits, 3}) {
      c.reschedule({.workers = 4, .query_tile = 2, .splits = splits});
      c.scratch.fill_bytes(0xff);
      c.clear(0);
      CHECK(c.run() == status::ok);
      CHECK(c.intact());
      if (expected.empty()) expected = c.output_bytes();
      CHECK(c.output_bytes() == expected);
      in_waves += c.plan.schedule.phases > 3 ? 1 : 0;
    }
  }
  return in_waves;
}

TEST_CASE("[tka.scratch_limit] [tka.invariant] the same bits in one wave of units or many") {
  tka::options o{.budget = tka::top_k(300), .scale = 0.2f, .sinks = 2, .recent = 5};
  o.metrics = tka::metrics::visible;
  CHECK(waves_with_the_same_bits<tka::exact_radix, tka::form<>>(o) > 2);
  o.metrics = tka::metrics::selected;
  CHECK(waves_with_the_same_bits<tka::bucketed, tka::form<tka::kv::paged>>(o) > 2);
  CHECK(waves_with_the_same_bits<tka::lightning_indexer<tka::exact_radix>, tka::form<>>(o) > 0);
}

}  // namespace
