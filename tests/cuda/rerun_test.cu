// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Long rows of real head sizes: the same bits run after run, alone, in a batch, with other query
/// tokens beside, in other cuts, with next to no scratch, with few warps for many parts, and in a
/// workspace that others left dirty.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/prepared.cuh>
#include <support/rows.hpp>

#include <cuda/instances.cuh>
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace {

using namespace support;

constexpr settings with_metrics{.metrics = tka::metrics::visible};

oracle::rules rules() {
  oracle::rules r;
  r.q_heads = 8;
  r.kv_heads = 2;
  r.qk_dim = 128;
  r.v_dim = 128;
  r.k = 512;
  r.scale = 0.0625;
  r.sinks = 4;
  r.recent = 16;
  return r;
}

int longest() { return fast() ? 3000 : 20000; }

template <class Selection, class Precision>
void reruns(char const* name) {
  random_source random(name);
  INFO(random);
  auto const p = make_problem(rules(), {{1, longest()}, {1, 4099}, {1, 512}, {1, 7}},
                              contents::normal, random);
  arranged<Precision, tka::form<>> const a(p, {});
  prepared<Selection, Precision> call(a, options_of(p.rules), with_metrics);
  CHECK(call.enqueue() == tka::status::ok);
  auto const first = call.collect();
  REQUIRE(fault(first) == "");
  for (int n = 0; n < 20; ++n) {
    call.reset();
    CHECK(call.enqueue() == tka::status::ok);
    CHECK(difference(first, call.collect()) == "");
  }
}

TEST_CASE("[tka.deterministic] 20 runs give the same bits") {
  reruns<tka::exact_radix, tka::bf16>("reruns bf16");
  reruns<tka::exact_radix, tka::fp32>("reruns fp32");
  reruns<tka::bucketed, tka::bf16>("reruns bucketed");
}

/// Tokens first .. first + count of one sequence, alone.
oracle::problem part_of(oracle::problem const& p, std::size_t b, int first, int count) {
  auto const& s = p.sequences[b];
  oracle::sequence t = s;
  t.q_len = count;
  t.q.clear();
  for (int h = 0; h < p.rules.q_heads; ++h) {
    auto const begin = s.q.begin() + std::ptrdiff_t{h * s.q_len + first} * p.rules.qk_dim;
    t.q.insert(t.q.end(), begin, begin + count * p.rules.qk_dim);
  }
  for (int i = 0; i < count; ++i) t.query_position.push_back(s.position_of_query(first + i));
  return {p.rules, {t}};
}

template <class Selection, class Precision>
results run(oracle::problem const& p, settings const& how = with_metrics) {
  arranged<Precision, tka::form<>> const a(p, {});
  auto const got = attend<Selection>(a, options_of(p.rules), how);
  REQUIRE(fault(got) == "");
  return got;
}

template <class Selection, class Precision>
void rows_alone(char const* name) {
  random_source random(name);
  INFO(random);
  auto const p = make_problem(rules(), {{8, longest()}, {8, 1500}, {8, 513}, {8, 9}},
                              contents::normal, random);
  auto const batch = run<Selection, Precision>(p);
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    auto const together = run<Selection, Precision>(part_of(p, b, 0, 8));
    for (int const i : {0, 3, 7}) {
      CAPTURE(b);
      CAPTURE(i);
      auto const alone = run<Selection, Precision>(part_of(p, b, i, 1));
      CHECK(row_difference({batch, b, 8, i}, {alone, 0, 1, 0}) == "");
      CHECK(row_difference({batch, b, 8, i}, {together, 0, 8, i}) == "");
    }
  }
}

TEST_CASE("[tka.invariant] a long row alone is the row in a batch, with 1 or 8 query tokens") {
  rows_alone<tka::exact_radix, tka::bf16>("long rows bf16");
  rows_alone<tka::exact_radix, tka::fp32>("long rows fp32");
  rows_alone<tka::bucketed, tka::bf16>("long rows bucketed");
}

TEST_CASE(
    "[tka.scratch_limit] [tka.invariant] [tka.workspace] absurd schedules and next to no scratch") {
  random_source random("long schedules");
  INFO(random);
  auto const p = make_problem(rules(), {{5, longest()}, {5, 700}}, contents::normal, random);
  auto const expected = run<tka::exact_radix, tka::bf16>(p);
  for (int const workers : {1, 2, 7, 1000, 1 << 30}) {
    for (int const query_tile : {1, 3, 1 << 20}) {
      // 1,000,000 bytes are no whole number of lines.
      for (std::int64_t const limit :
           {std::int64_t{1}, std::int64_t{1000000}, std::int64_t{1} << 20, std::int64_t{0}}) {
        if (fast() && workers == 1 && query_tile == 1) continue;
        CAPTURE(workers);
        CAPTURE(query_tile);
        CAPTURE(limit);
        settings set = with_metrics;
        set.schedule = tka::schedule{.workers = workers, .query_tile = query_tile, .splits = 5};
        set.scratch_limit = limit;
        set.scratch = static_cast<unsigned char>(workers + query_tile);
        CHECK(difference(expected, run<tka::exact_radix, tka::bf16>(p, set)) == "");
      }
    }
  }
}

template <class Selection, class Precision>
void small_blocks(oracle::problem const& p) {
  arranged<Precision, tka::form<>> const a(p, {});
  auto const options = options_of(p.rules);
  settings small = with_metrics;
  small.small_blocks = true;
  prepared<Selection, Precision> here(a, options, with_metrics);
  prepared<Selection, Precision> there(a, options, small);
  CHECK(there.plan().select_bytes < here.plan().select_bytes);
  CHECK(there.enqueue() == tka::status::ok);
  CHECK(difference(run<Selection, Precision>(p), there.collect()) == "");
}

TEST_CASE("[tka.invariant] a plan for a device whose blocks have 99 KB of shared memory") {
  random_source random("small blocks");
  INFO(random);
  for (int const tokens : {1, 9}) {
    CAPTURE(tokens);
    auto const p = make_problem(rules(), {{tokens, longest()}, {tokens, 700}, {tokens, 3}},
                                contents::normal, random);
    small_blocks<tka::exact_radix, tka::bf16>(p);
    small_blocks<tka::exact_radix, tka::fp32>(p);
    small_blocks<tka::bucketed, tka::bf16>(p);
  }
}

TEST_CASE("[tka.scratch_limit] [tka.approximate] buckets in several waves") {
  random_source random("buckets in waves");
  INFO(random);
  auto const p = make_problem(rules(), {{5, longest()}, {5, 700}}, contents::normal, random);
  auto const expected = run<tka::bucketed, tka::bf16>(p);
  for (std::int64_t const limit : {1, 1000000}) {
    CAPTURE(limit);
    settings set = with_metrics;
    set.scratch_limit = limit;
    CHECK(difference(expected, run<tka::bucketed, tka::bf16>(p, set)) == "");
  }
}

/// 2304 parts for 32 to 80 warps, or 8 to 20 blocks, which take neighbours. Most share a row: one
/// attends the row's first part behind dozens of others, the next its last part first of all. In
/// between scratch holds NaN.
template <class Precision>
void parts_far_apart(oracle::problem const& p) {
  auto const expected = run<tka::exact_radix, Precision>(p, {});
  for (int const workers : {5, 7, 11}) {
    CAPTURE(workers);
    settings const set{.schedule = tka::schedule{.workers = workers, .query_tile = 64}};
    CHECK(difference(expected, run<tka::exact_radix, Precision>(p, set)) == "");
  }
}

TEST_CASE("[tka.workspace] [tka.invariant] a row is finished behind the last of its parts") {
  random_source random("parts far apart");
  INFO(random);
  auto r = rules();
  r.k = 600;  // three parts
  auto const p = make_problem(r, {{96, 1500}}, contents::normal, random);
  parts_far_apart<tka::bf16>(p);  // by warps
  parts_far_apart<tka::fp32>(p);  // by blocks
}

TEST_CASE("[tka.workspace] different calls, one after the other in one dirty workspace") {
  random_source random("dirty");
  INFO(random);
  auto small = rules();
  small.k = 33;
  auto const p = make_problem(rules(), {{2, 5000}, {2, 90}}, contents::normal, random);
  auto const q = make_problem(small, {{1, 700}, {1, 2}, {1, 0}}, contents::normal, random);
  known_call<tka::exact_radix, tka::bf16> known_exact(p, with_metrics);
  known_call<tka::bucketed, tka::bf16> known_bucketed(p, with_metrics);
  known_call<tka::exact_radix, tka::fp32> known_other(q, with_metrics);
  auto& exact = known_exact.call;
  auto& bucketed = known_bucketed.call;
  auto& other = known_other.call;
  device_memory scratch(std::max(
      {exact.plan().scratch_bytes, bucketed.plan().scratch_bytes, other.plan().scratch_bytes}));
  device_memory state(
      std::max({exact.plan().state_bytes, bucketed.plan().state_bytes, other.plan().state_bytes}));
  scratch.fill(0x5a);
  tka::workspace const shared{.scratch = scratch.data(),
                              .scratch_bytes = scratch.bytes(),
                              .state = state.data(),
                              .state_bytes = state.bytes()};
  REQUIRE(exact.call.initialize(exact.plan(), shared) == tka::status::ok);
  for (int n = 0; n < 4; ++n) {
    exact.reset();
    bucketed.reset();
    other.reset();
    REQUIRE(exact.enqueue_in(shared) == tka::status::ok);
    REQUIRE(other.enqueue_in(shared) == tka::status::ok);
    REQUIRE(bucketed.enqueue_in(shared) == tka::status::ok);
    CHECK(difference(known_exact.expected, exact.collect()) == "");
    CHECK(difference(known_bucketed.expected, bucketed.collect()) == "");
    CHECK(difference(known_other.expected, other.collect()) == "");
    CHECK(scratch.intact());
  }
}

}  // namespace
