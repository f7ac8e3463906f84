// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Calls in CUDA graphs: captured with short sequences and replayed with long ones, and two graphs
/// at once.

#include <support/captured.cuh>
#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/prepared.cuh>

#include <cuda/instances.cuh>
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>

namespace {

using namespace support;

constexpr settings with_metrics{.metrics = tka::metrics::visible};

oracle::rules rules() {
  oracle::rules r;
  r.q_heads = 8;
  r.kv_heads = 2;
  r.qk_dim = 128;
  r.v_dim = 64;
  r.k = 200;
  r.scale = 0.125;
  return r;
}

template <class Precision, class Form>
void replay_at_the_maximum(char const* name, int q_len) {
  random_source random(name);
  INFO(random);
  auto p =
      make_problem(rules(), {{q_len, 3000}, {q_len, 700}, {q_len, 129}}, contents::normal, random);
  arranged<Precision, Form> a(p, {.page_size = 16});
  auto const long_lengths = a.kv_lengths();
  auto const eager = attend<tka::exact_radix>(a, options_of(p.rules), with_metrics);
  REQUIRE(fault(eager) == "");

  std::fill(a.kv_lengths().begin(), a.kv_lengths().end(), 1);
  prepared<tka::exact_radix, Precision, Form> call(a, options_of(p.rules), with_metrics);
  stream const on;
  graph const captured(on, [&] { return call.enqueue(on); });
  REQUIRE(captured.status == tka::status::ok);
  captured.launch(on);
  auto const short_run = call.collect();
  CHECK(fault(short_run) == "");
  for (auto const& s : short_run.sequences)
    CHECK(*std::max_element(s.count.begin(), s.count.end()) == 1);

  std::copy(long_lengths.begin(), long_lengths.end(), a.kv_lengths().begin());
  for (int n = 0; n < 3; ++n) {
    call.reset();
    captured.launch(on);
    CHECK(difference(eager, call.collect()) == "");
  }
}

TEST_CASE(
    "[tka.graph] [tka.lengths] [tka.invariant] captured at length 1, replayed at the maximum") {
  replay_at_the_maximum<tka::bf16, tka::form<>>("graph decode", 1);
  replay_at_the_maximum<tka::bf16, tka::form<tka::kv::paged>>("graph pages", 4);
  replay_at_the_maximum<tka::fp32, tka::form<>>("graph fp32", 2);
}

TEST_CASE(
    "[tka.graph] [tka.invariant] two graphs on two streams at once, each with its own workspace") {
  random_source random("two graphs");
  INFO(random);
  auto const p = make_problem(rules(), {{1, 3000}, {1, 500}}, contents::normal, random);
  auto const q = make_problem(rules(), {{8, 900}}, contents::normal, random);
  known_call<tka::exact_radix, tka::bf16> first(p);
  known_call<tka::bucketed, tka::bf16> second(q);
  stream const on_first;
  stream const on_second;
  graph const one(on_first, [&] { return first.call.enqueue(on_first); });
  graph const two(on_second, [&] { return second.call.enqueue(on_second); });
  REQUIRE(one.status == tka::status::ok);
  REQUIRE(two.status == tka::status::ok);
  for (int n = 0; n < 50; ++n) {
    one.launch(on_first);
    two.launch(on_second);
  }
  CHECK(difference(first.expected, first.call.collect()) == "");
  CHECK(difference(second.expected, second.call.collect()) == "");
}

}  // namespace
