// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows that keep every key they see are attended without a selection, unless lists are asked for:
/// both ways give the same bits.

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using support::guarded_call;
using tka::status;

constexpr tka::shape shape{.batch = 3,
                           .q_heads = 6,
                           .kv_heads = 2,
                           .q_len = 70,
                           .kv_len = 500,
                           .qk_dim = 64,
                           .v_dim = 48,
                           .page_size = 24};
support::real_lengths const real{.kv = {500, 131, 64}, .q = {70, 1, 64}};
constexpr float inf = std::numeric_limits<float>::infinity();

std::vector<float> const sinks{0.5f, -1.0f, 2.0f, 0.0f, 3.0f, -4.0f};

/// What does not depend on lists being asked for.
template <class Call>
std::vector<unsigned char> outputs_of(Call& c) {
  std::vector<unsigned char> all;
  c.o.append_bytes_to(all);
  c.lse.append_bytes_to(all);
  c.entropy.append_bytes_to(all);
  c.lse_visible.append_bytes_to(all);
  c.entropy_visible.append_bytes_to(all);
  c.retained_mass.append_bytes_to(all);
  c.count.append_bytes_to(all);
  return all;
}

template <class Call>
void check_both_ways(Call& c) {
  REQUIRE(c.plan.status == status::ok);
  for (tka::schedule const& wanted :
       {tka::schedule{.workers = 1, .query_tile = 64}, tka::schedule{.workers = 2, .query_tile = 7},
        tka::schedule{.workers = 3, .query_tile = 1}}) {
    CAPTURE(wanted.query_tile);
    c.reschedule(wanted);
    auto t = c.arguments();
    t.sink_logits = sinks.data();
    c.scratch.fill_bytes(0xff);
    c.clear(0);
    status const listed = c.run_with(t);
    std::vector<unsigned char> const expected = outputs_of(c);
    std::uint32_t const error = c.error[0];
    t.positions = {};
    t.scores = {};
    t.threshold_score = {};
    t.threshold_position = {};
    c.scratch.fill_bytes(0xff);
    c.clear(0);
    CHECK(c.run_with(t) == listed);
    CHECK(outputs_of(c) == expected);
    CHECK(c.error[0] == error);
    CHECK(c.intact());
  }
}

tka::options all_keys() {
  return {.budget = tka::ratio(1, 1), .scale = 0.2f, .metrics = tka::metrics::visible};
}

template <class Precision, class Form>
void check_kinds(tka::options const& o) {
  guarded_call<tka::exact_radix, Precision, Form> c(shape, o, real);
  check_both_ways(c);
}

TEST_CASE("[tka.invariant] every key kept: the same bits with lists and without") {
  tka::options o = all_keys();
  check_kinds<tka::bf16, tka::form<>>(o);
  check_kinds<tka::fp32, tka::form<tka::visibility::all>>(o);
  o.soft_cap = 3.0f;
  check_kinds<tka::fp16, tka::form<tka::kv::paged>>(o);
  o.soft_cap = 0.0f;
  for (tka::combine const way : {tka::combine::max, tka::combine::sum, tka::combine::softmax_sum}) {
    o.combine = way;
    check_kinds<tka::bf16, tka::form<tka::scope::kv_group, tka::kv::paged>>(o);
  }
  check_kinds<tka::fp8, tka::form<tka::layout::scaled, tka::kv::ragged, tka::query::ragged>>(o);
}

TEST_CASE("[tka.invariant] a budget that some tokens of a unit reach, and some do not") {
  tka::options o = all_keys();
  for (int const k : {32, 64, 100, 470, 600}) {
    CAPTURE(k);
    o.budget = tka::top_k(k);
    check_kinds<tka::bf16, tka::form<>>(o);
  }
  o.sinks = 3;
  o.recent = 4;
  check_kinds<tka::fp32, tka::form<>>(o);
  o.window = 40;
  check_kinds<tka::fp32, tka::form<tka::visibility::sliding_window>>(o);
  o.shard = {.block = 16, .index = 1, .count = 2};
  guarded_call<tka::exact_radix, tka::fp32> c(shape, o, real);
  check_both_ways(c);
}

TEST_CASE("[tka.minus_inf] [tka.nan] keys of -inf, NaN and infinite values among those kept") {
  for (float const odd : {-inf, inf, std::numeric_limits<float>::quiet_NaN(), -0.0f}) {
    CAPTURE(odd);
    for (bool const group : {false, true}) {
      CAPTURE(group);
      auto const poison = [&](auto& c) {
        // One key of the first sequence, which the later tokens see, and a value of another.
        for (std::size_t d = 0; d < 64; ++d) c.k[(450 * 2) * 64 + d] = d == 0 ? odd : 0.0f;
        c.v[(460 * 2 + 1) * 48 + 5] = odd;
        check_both_ways(c);
      };
      if (group) {
        guarded_call<tka::exact_radix, tka::fp32, tka::form<tka::scope::kv_group>> c(
            shape, all_keys(), real);
        poison(c);
      } else {
        guarded_call<tka::exact_radix, tka::fp32> c(shape, all_keys(), real);
        poison(c);
      }
    }
  }
}

TEST_CASE("[tka.data_error] a page out of range among those kept") {
  guarded_call<tka::exact_radix, tka::bf16, tka::form<tka::kv::paged>> c(shape, all_keys(), real);
  c.table[3] = -1;
  check_both_ways(c);
  CHECK(c.error[0] != 0);
}

TEST_CASE("[tka.budget] budgets of sequences from memory") {
  guarded_call<tka::exact_radix, tka::fp32> c(shape, all_keys(), real);
  std::int32_t const budgets[3] = {500, 40, 0};
  c.reschedule({.workers = 1, .query_tile = 64});
  auto t = c.arguments();
  t.k_per_sequence = budgets;
  c.clear(0);
  REQUIRE(c.run_with(t) == status::ok);
  std::vector<unsigned char> const expected = outputs_of(c);
  t.positions = {};
  t.scores = {};
  t.threshold_score = {};
  t.threshold_position = {};
  c.clear(0);
  CHECK(c.run_with(t) == status::ok);
  CHECK(outputs_of(c) == expected);
}

}  // namespace
