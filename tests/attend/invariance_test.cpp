// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A row's bits depend on the row alone: not on the batch, its neighbours, bounds, the source, the
/// strides, or which run it is.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/rows.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace support;

using packed_form = tka::form<tka::query::ragged, tka::kv::ragged>;
constexpr settings with_metrics{.metrics = tka::metrics::visible};

oracle::rules rules() {
  oracle::rules r;
  r.q_heads = 6;
  r.kv_heads = 2;
  r.qk_dim = 48;
  r.v_dim = 32;
  r.k = 70;
  r.scale = 0.25;
  return r;
}

/// The last `keep` query tokens of one sequence, alone.
oracle::problem tail_of(oracle::problem const& p, std::size_t b, int first, int count) {
  oracle::problem out{p.rules, {}};
  auto const& s = p.sequences[b];
  oracle::sequence t = s;
  t.q_len = count;
  t.q.clear();
  for (int h = 0; h < p.rules.q_heads; ++h) {
    auto const begin = s.q.begin() + (h * s.q_len + first) * p.rules.qk_dim;
    t.q.insert(t.q.end(), begin, begin + count * p.rules.qk_dim);
  }
  for (int i = 0; i < count; ++i) t.query_position.push_back(s.kv_len - s.q_len + first + i);
  out.sequences.push_back(t);
  return out;
}

template <class Selection, class Precision, class Form = tka::form<>>
results run(oracle::problem const& p, arrangement const& how = {},
            settings const& set = with_metrics) {
  arranged<Precision, Form> const a(p, how);
  auto const got = attend<Selection>(a, options_of(p.rules), set);
  REQUIRE(fault(got) == "");
  return got;
}

template <class Selection, class Precision>
void check_rows(char const* name) {
  random_source random(name);
  INFO(random);
  auto p = make_problem(rules(), {{8, 400}, {8, 130}, {8, 8}, {8, 3}}, contents::normal, random);
  round_to<Precision>(p);
  auto const batch = run<Selection, Precision>(p);
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    CAPTURE(b);
    auto const together = run<Selection, Precision>(tail_of(p, b, 0, 8));
    for (int i = 0; i < 8; ++i) {
      CAPTURE(i);
      auto const alone = run<Selection, Precision>(tail_of(p, b, i, 1));
      CHECK(row_difference({batch, b, 8, i}, {alone, 0, 1, 0}) == "");
      CHECK(row_difference({batch, b, 8, i}, {together, 0, 8, i}) == "");
    }
  }
}

TEST_CASE("[tka.invariant] a row alone is the row in a batch, with 1 or 8 query tokens") {
  check_rows<tka::exact_radix, tka::fp32>("rows fp32");
  check_rows<tka::exact_radix, tka::bf16>("rows bf16");
  check_rows<tka::bucketed, tka::bf16>("rows bucketed");
}

TEST_CASE("[tka.invariant] [tka.score] decoding gives the bits of prefill") {
  random_source random("decode");
  INFO(random);
  int const n = fast() ? 70 : 200;
  auto p = make_problem(rules(), {{n, n}}, contents::normal, random);
  round_to<tka::bf16>(p);
  p.rules.k = 40;
  auto const prefill = run<tka::exact_radix, tka::bf16>(p);
  for (int length = 1; length <= n; length += length < 20 ? 1 : 13) {
    CAPTURE(length);
    // The cache as it was then: shorter, in the same memory order.
    auto step = tail_of(p, 0, length - 1, 1);
    auto& s = step.sequences[0];
    s.query_position.clear();
    auto const cut = [&](std::vector<float>& rows, int dim) {
      std::vector<float> out;
      for (int h = 0; h < p.rules.kv_heads; ++h) {
        auto const begin = rows.begin() + h * n * dim;
        out.insert(out.end(), begin, begin + length * dim);
      }
      rows = out;
    };
    cut(s.k, p.rules.qk_dim);
    cut(s.v, p.rules.v_dim);
    s.kv_len = length;
    auto const decoded = run<tka::exact_radix, tka::bf16>(step);
    CHECK(row_difference({prefill, 0, n, length - 1}, {decoded, 0, 1, 0}) == "");
  }
}

TEST_CASE("[tka.invariant] [tka.lengths] a bound of 1M gives the bits of the exact bound") {
  random_source random("bound");
  INFO(random);
  auto const p = make_problem(rules(), {{2, 500}, {2, 77}}, contents::normal, random);
  auto const exact = run<tka::exact_radix, tka::fp32>(p);
  using buckets_in = on_backend<tka::fp32, tka::bf16>;
  auto const exact_buckets = run<tka::bucketed, buckets_in>(p);
  for (int const bound : {501, 4096, 1 << 20}) {
    CAPTURE(bound);
    settings const cut{.schedule = tka::schedule{.workers = 2, .query_tile = 2, .splits = 5},
                       .metrics = tka::metrics::visible};
    CHECK(difference(exact, run<tka::exact_radix, tka::fp32>(p, {.kv_bound = bound})) == "");
    CHECK(difference(exact, run<tka::exact_radix, tka::fp32>(p, {.kv_bound = bound}, cut)) == "");
    CHECK(difference(exact_buckets, run<tka::bucketed, buckets_in>(p, {.kv_bound = bound})) == "");
  }
}

TEST_CASE("[tka.invariant] a ratio and a capacity by a larger bound change no row") {
  random_source random("ratio bound");
  INFO(random);
  auto r = rules();
  r.numerator = 1;
  r.denominator = 7;
  r.k_min = 3;
  auto const p = make_problem(r, {{2, 500}}, contents::normal, random);
  auto const exact = run<tka::exact_radix, tka::fp32>(p);
  auto const wide = run<tka::exact_radix, tka::fp32>(p, {.kv_bound = 60000});
  for (int i = 0; i < 2; ++i) CHECK(row_difference({exact, 0, 2, i}, {wide, 0, 2, i}) == "");
}

TEST_CASE("[tka.invariant] [tka.strides] every order of dimensions gives the same bits") {
  random_source random("orders");
  INFO(random);
  auto const p = make_problem(rules(), {{3, 260}, {3, 31}}, contents::normal, random);
  auto const expected = run<tka::exact_radix, tka::fp32>(p);
  for (order const q : {order::hnd, order::nhd, order::sliced}) {
    for (order const kv : {order::hnd, order::nhd, order::sliced}) {
      for (order const out : {order::hnd, order::nhd, order::sliced}) {
        auto const got = run<tka::exact_radix, tka::fp32>(p, {.q = q, .kv = kv, .out = out});
        CHECK(difference(expected, got) == "");
      }
    }
  }
}

TEST_CASE("[tka.invariant] contiguous, ragged and paged keys give the same bits") {
  random_source random("sources");
  INFO(random);
  auto const p = make_problem(rules(), {{3, 260}, {3, 31}, {3, 0}}, contents::normal, random);
  using precision = on_backend<tka::fp32, tka::bf16>;
  auto const expected = run<tka::exact_radix, precision>(p);
  using ragged = on_backend<tka::form<tka::kv::ragged>, packed_form>;
  CHECK(difference(expected, run<tka::exact_radix, precision, ragged>(p)) == "");
  for (int const page : {1, 3, 16, 37, 128, 1280}) {
    CAPTURE(page);
    auto const paged =
        run<tka::exact_radix, precision, tka::form<tka::kv::paged>>(p, {.page_size = page});
    CHECK(difference(expected, paged) == "");
  }
  using ragged_queries = on_backend<tka::form<tka::query::ragged>, packed_form>;
  CHECK(difference(expected, run<tka::exact_radix, precision, ragged_queries>(p)) == "");
}

TEST_CASE("[tka.deterministic] 20 runs give the same bits, whatever scratch held") {
  random_source random("reruns");
  INFO(random);
  auto p = make_problem(rules(), {{4, 700}, {4, 90}}, contents::normal, random);
  using precision = on_backend<tka::fp16, tka::bf16>;
  round_to<precision>(p);
  auto const first = run<tka::exact_radix, precision>(p);
  for (int n = 0; n < 20; ++n) {
    settings set = with_metrics;
    set.scratch = static_cast<unsigned char>(n * 13);
    CHECK(difference(first, run<tka::exact_radix, precision>(p, {}, set)) == "");
  }
}

}  // namespace
