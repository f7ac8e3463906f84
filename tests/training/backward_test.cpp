// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Gradients of attention against fp64 and finite differences, with the selection frozen.

#include <support/compare.hpp>

#include <doctest/doctest.h>
#include <training/training_case.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace training;
using support::bit_difference;
using tka::gradient_order;
using tka::saved_form;

tka::options options_of(int k, float soft_cap = 0.0f) {
  return {.budget = tka::top_k(k), .scale = 0.25f, .soft_cap = soft_cap};
}

template <class T>
std::vector<float> floats(std::vector<T> const& x) {
  std::vector<float> out;
  for (T const& e : x) out.push_back(static_cast<float>(e));
  return out;
}

template <class Gradients>
std::string difference(gradients<Gradients> const& a, gradients<Gradients> const& b) {
  return support::first_of({bit_difference("dq", floats(a.q), floats(b.q)),
                            bit_difference("dk", floats(a.k), floats(b.k)),
                            bit_difference("dv", floats(a.v), floats(b.v)),
                            bit_difference("d_sink", a.sinks, b.sinks)});
}

template <class Gradients>
void check_near(gradients<Gradients> const& got, reference const& wanted, double bound) {
  CHECK(distance(got.q, wanted.q) <= bound);
  CHECK(distance(got.k, wanted.k) <= bound);
  CHECK(distance(got.v, wanted.v) <= bound);
  CHECK(distance(got.sinks, wanted.sinks) <= bound);
}

using heads_form = ragged<>;
using group_form = ragged<tka::scope::kv_group>;
using window_form = ragged<tka::visibility::sliding_window>;
using window_group_form = ragged<tka::visibility::sliding_window, tka::scope::kv_group>;

/// Several sequences: more queries than keys, none of either, longer than a tile and a step.
std::vector<length> const lengths{{5, 300}, {3, 1}, {0, 7}, {4, 0}, {7, 5}, {9, 140}};

/// Finite differences of the value in fp64 against the same in fp64, and that against the library.
template <class Form>
void check_finite_differences(float soft_cap, bool with_sinks) {
  random_source random("finite differences");
  INFO(random);
  auto x = make_batch<tka::fp32>(4, 2, 16, 16, {{3, 9}, {2, 2}}, random);
  if (with_sinks) x.sinks = filled<float>(4, random, 1.0f);
  tka::options const o = options_of(4, soft_cap);
  auto const s = forward<tka::fp32, Form>(x, o);
  reference r = reference_of(x);
  auto const exact = gradients_fp64(x, r, s, o);
  double const h = 1e-5;
  auto const check = [&](std::vector<double>& inputs, std::vector<double> const& wanted) {
    for (std::size_t n = 0; n < inputs.size(); ++n) {
      double const was = inputs[n];
      inputs[n] = was + h;
      double const above = value_fp64(x, r, s, o);
      inputs[n] = was - h;
      double const below = value_fp64(x, r, s, o);
      inputs[n] = was;
      double const slope = (above - below) / (2.0 * h);
      if (!(std::abs(slope - wanted[n]) <= 1e-8 * (1.0 + std::abs(wanted[n])))) {
        CAPTURE(n);
        CHECK(slope == wanted[n]);
      }
    }
    CHECK(!inputs.empty());
  };
  check(r.q, exact.q);
  check(r.k, exact.k);
  check(r.v, exact.v);
  if (with_sinks) check(r.sinks, exact.sinks);
  check_near(backward<tka::fp32, Form>(x, s, o), exact, 3e-6);
}

TEST_CASE("[tka.backward] gradients are those of finite differences with the selection frozen") {
  for (float const soft_cap : {0.0f, 0.7f}) {
    for (bool const with_sinks : {false, true}) {
      CAPTURE(soft_cap);
      CAPTURE(with_sinks);
      check_finite_differences<heads_form>(soft_cap, with_sinks);
      check_finite_differences<group_form>(soft_cap, with_sinks);
    }
  }
}

template <class Precision>
void check_precision(double bound) {
  random_source random("precisions");
  INFO(random);
  for (auto const& [q_heads, kv_heads, qk_dim, v_dim] :
       {std::array{4, 2, 32, 16}, std::array{3, 3, 64, 80}, std::array{20, 1, 128, 128}}) {
    auto x = make_batch<Precision>(q_heads, kv_heads, qk_dim, v_dim, lengths, random);
    x.sinks = filled<float>(static_cast<std::size_t>(q_heads), random, 1.0f);
    tka::options const o = options_of(70, 3.0f);
    auto const check = [&](auto form) {
      auto const s = forward<Precision, decltype(form)>(x, o);
      auto const exact = gradients_fp64(x, reference_of(x), s, o, widened(s.o));
      auto const wide = backward<Precision, decltype(form)>(x, s, o);
      check_near(wide, exact, bound);
      // Rounded once, to the types of the inputs.
      auto const own = backward<Precision, decltype(form), Precision>(x, s, o);
      gradients<Precision> rounded{};
      for (float const g : wide.q)
        rounded.q.push_back(static_cast<typename Precision::query_type>(g));
      for (float const g : wide.k)
        rounded.k.push_back(static_cast<typename Precision::key_type>(g));
      for (float const g : wide.v) {
        rounded.v.push_back(static_cast<typename Precision::value_type>(g));
      }
      rounded.sinks = wide.sinks;
      CHECK(difference(own, rounded) == "");
    };
    check(heads_form{});
    check(group_form{});
  }
}

TEST_CASE("[tka.backward] fp32, fp16 and bf16 against fp64, rounded once") {
  check_precision<tka::fp32>(1e-5);
  check_precision<tka::fp16>(1e-5);
  check_precision<tka::bf16>(1e-5);
}

/// All forms, orders and schedules over one batch.
template <class Form>
void check_agreement(batch<tka::fp32> const& x, tka::options const& o) {
  auto const s = forward<tka::fp32, Form>(x, o);
  auto const one = backward<tka::fp32, Form>(x, s, o);
  CHECK(one.error == 0);
  CHECK(difference(one, backward<tka::fp32, Form>(x, s, o, {.form = saved_form::threshold})) == "");
  for (int const splits : {1, 2, 3, 7}) {
    for (int const threads : {1, 2, 5}) {
      for (saved_form const form : {saved_form::positions, saved_form::threshold}) {
        CAPTURE(splits);
        CAPTURE(threads);
        CHECK(difference(one, backward<tka::fp32, Form>(x, s, o,
                                                        {.form = form,
                                                         .threads = threads,
                                                         .splits = splits,
                                                         .query_tile = 1 + threads})) == "");
      }
    }
    auto const loose = backward<tka::fp32, Form>(
        x, s, o, {.order = gradient_order::unordered, .threads = 1, .splits = splits});
    // Workers decide nothing there either.
    CHECK(difference(loose, backward<tka::fp32, Form>(x, s, o,
                                                      {.form = saved_form::threshold,
                                                       .order = gradient_order::unordered,
                                                       .threads = 4,
                                                       .splits = splits})) == "");
    CHECK(bit_difference("dq", one.q, loose.q) == "");
    check_near(loose, {widened(one.q), widened(one.k), widened(one.v), {}, widened(one.sinks)},
               2e-6);
  }
  // Keys of no set have gradients of exactly +0.
  std::set<std::pair<int, int>> used;
  each_row(x, s, [&](int b, int, int h, std::vector<int> const& list) {
    for (int const j : list) {
      used.insert({h / x.group(), x.kv_begin[static_cast<std::size_t>(b)] + j});
    }
  });
  std::vector<std::uint32_t> unused;
  for (int h = 0; h < x.kv_heads; ++h) {
    for (int token = 0; token < x.keys(); ++token) {
      if (used.contains({h, token})) continue;
      for (int d = 0; d < x.qk_dim; ++d) {
        unused.push_back(std::bit_cast<std::uint32_t>(
            one.k[static_cast<std::size_t>((h * x.keys() + token) * x.qk_dim + d)]));
      }
      for (int d = 0; d < x.v_dim; ++d) {
        unused.push_back(std::bit_cast<std::uint32_t>(
            one.v[static_cast<std::size_t>((h * x.keys() + token) * x.v_dim + d)]));
      }
    }
  }
  CHECK(unused == std::vector<std::uint32_t>(unused.size(), 0u));
  check_near(one, gradients_fp64(x, reference_of(x), s, o), 1e-5);
}

TEST_CASE("[tka.backward] [tka.threshold] forms, schedules and workers give the same bits") {
  random_source random("agreement");
  INFO(random);
  auto x = make_batch<tka::fp32>(4, 2, 16, 32, lengths, random);
  x.sinks = filled<float>(4, random, 1.0f);
  for (int const k : {1, 20, 129}) {
    CAPTURE(k);
    check_agreement<heads_form>(x, options_of(k));
    check_agreement<group_form>(x, options_of(k, 2.0f));
  }
  tka::options o = options_of(0);
  o.budget = tka::ratio(1, 10, 12);
  o.sinks = 2;
  o.recent = 5;
  o.window = 60;
  o.combine = tka::combine::sum;
  check_agreement<window_form>(x, o);
  check_agreement<window_group_form>(x, o);
}

TEST_CASE("[tka.backward] ties and all equal") {
  random_source random("ties");
  INFO(random);
  auto x = make_batch<tka::fp32>(4, 2, 16, 16, lengths, random, true);
  check_agreement<heads_form>(x, options_of(33));
  check_agreement<group_form>(x, options_of(33));
  std::fill(x.q.begin(), x.q.end(), 0.5f);
  std::fill(x.k.begin(), x.k.end(), -0.25f);
  check_agreement<heads_form>(x, options_of(33));
  check_agreement<group_form>(x, options_of(33));
}

TEST_CASE("[tka.backward] budgets from memory, too small for what is forced") {
  random_source random("k per sequence");
  INFO(random);
  auto x = make_batch<tka::fp32>(2, 1, 16, 16, lengths, random);
  x.k_of_sequence = {3, 5, 1, 2, 0, 11};
  tka::options o = options_of(12);
  o.sinks = 3;
  o.recent = 4;
  check_agreement<heads_form>(x, o);
}

TEST_CASE("[tka.backward] [tka.mask] keys that the host hides") {
  random_source random("masks");
  INFO(random);
  auto x = make_batch<tka::fp32>(2, 1, 16, 16, lengths, random);
  x.first_keys = {130, 1, 0, 0, 2, 7};
  tka::options o = options_of(12);
  o.sinks = 3;
  check_agreement<heads_form>(x, o);
}

TEST_CASE("[tka.backward] logarithms of two") {
  random_source random("base two");
  INFO(random);
  auto x = make_batch<tka::fp32>(4, 2, 16, 16, lengths, random);
  x.sinks = filled<float>(4, random, 1.0f);
  tka::options o = options_of(20);
  auto const natural = forward<tka::fp32, heads_form>(x, o);
  o.lse_base = tka::lse_base::two;
  auto const s = forward<tka::fp32, heads_form>(x, o);
  CHECK(s.lse != natural.lse);
  check_near(backward<tka::fp32, heads_form>(x, s, o), gradients_fp64(x, reference_of(x), s, o),
             1e-5);
}

TEST_CASE("[tka.backward] k >= visible is dense attention") {
  random_source random("dense");
  INFO(random);
  auto x = make_batch<tka::fp32>(4, 2, 16, 16, lengths, random);
  x.sinks = filled<float>(4, random, 1.0f);
  tka::options const o = options_of(400, 1.5f);
  auto s = forward<tka::fp32, heads_form>(x, o);
  auto const one = backward<tka::fp32, heads_form>(x, s, o);
  auto const visible = backward<tka::fp32, heads_form>(x, s, o, {.form = saved_form::visible});
  check_near(visible, {widened(one.q), widened(one.k), widened(one.v), {}, widened(one.sinks)},
             2e-6);
  // From the same lse, which is summed in another order, the same bits.
  s.lse_visible = s.lse;
  CHECK(difference(one, backward<tka::fp32, heads_form>(
                            x, s, o, {.form = saved_form::visible, .threads = 3})) == "");
  // All that causality lets a row see, in fp64, whatever the library listed.
  saved<tka::fp32> dense{};
  dense.plan.scope_heads = 1;
  dense.plan.capacity = 300;
  for (int b = 0; b < x.sequences(); ++b) {
    auto const n = static_cast<std::size_t>(b);
    int const queries = x.q_begin[n + 1] - x.q_begin[n];
    int const keys = x.kv_begin[n + 1] - x.kv_begin[n];
    for (int i = 0; i < queries; ++i) {
      int const seen = std::max(0, keys - queries + i + 1);
      dense.count.push_back(seen);
      for (int j = 0; j < dense.plan.capacity; ++j) dense.positions.push_back(j);
    }
  }
  check_near(one, gradients_fp64(x, reference_of(x), dense, o), 1e-5);
}

TEST_CASE("[tka.backward] lists of all heads, in any order, twice or of no key") {
  random_source random("lists");
  INFO(random);
  using form = ragged<tka::scope::all_heads>;
  auto x = make_batch<tka::fp32>(4, 2, 16, 16, {{3, 40}, {2, 17}}, random);
  saved<tka::fp32> s{};
  s.plan.scope_heads = 1;
  s.plan.capacity = 9;
  for (int row = 0; row < x.rows(); ++row) {
    int const keys = row < 3 ? 40 : 17;
    s.count.push_back(row == 1 ? 0 : 8);
    for (int n = 0; n < 9; ++n) {
      s.positions.push_back(static_cast<std::int32_t>(random.below(static_cast<unsigned>(keys))));
    }
  }
  s.positions[5] = s.positions[2];
  tka::options const o = options_of(9);
  // Forward by lists.
  constexpr auto call = tka::attend_selected<tka::fp32, support::backend, form>;
  s.o.resize(x.d_o.size());
  s.lse.resize(static_cast<std::size_t>(x.q_heads * x.rows()));
  typename decltype(call)::tensors t{};
  t.q = view(x.q, x.rows(), x.qk_dim);
  t.k = view(x.k, x.keys(), x.qk_dim);
  t.v = view(x.v, x.keys(), x.v_dim);
  t.o = view(s.o, x.rows(), x.v_dim);
  t.lse = view(s.lse, x.rows(), 1);
  t.positions = view(s.positions, x.rows(), 9);
  t.count = view(s.count, x.rows(), 1);
  t.kv.cumulative = x.kv_begin.data();
  t.query.cumulative = x.q_begin.data();
  tka::throw_if(support::run(call, call.plan(x.shape(), o, {.threads = 1}), t));
  auto const one = backward<tka::fp32, form>(x, s, o);
  check_near(one, gradients_fp64(x, reference_of(x), s, o), 1e-5);
  CHECK(difference(one, backward<tka::fp32, form>(x, s, o, {.threads = 3, .splits = 2})) == "");
  // What is no key is passed over, and said where it is not -1.
  auto holes = s;
  for (int row = 0; row < x.rows(); ++row) {
    auto const n = static_cast<std::size_t>(row);
    if (row == 1) continue;
    holes.positions[n * 9 + 8] = holes.positions[n * 9 + 7];
    holes.positions[n * 9 + 7] = row == 4 ? 1 << 30 : -1;
    holes.count[n] = 9;
  }
  auto const same = backward<tka::fp32, form>(x, holes, o);
  CHECK(difference(one, same) == "");
  CHECK(one.error == 0);
  CHECK(same.error == static_cast<std::uint32_t>(tka::data_error::position_out_of_range));
}

TEST_CASE("[tka.backward] [tka.nan] a NaN stays in its row and in the keys of its set") {
  random_source random("NaN");
  INFO(random);
  auto x = make_batch<tka::fp32>(2, 1, 16, 16, {{4, 60}}, random);
  tka::options const o = options_of(6);
  auto const clean = forward<tka::fp32, heads_form>(x, o);
  auto const before = backward<tka::fp32, heads_form>(x, clean, o);
  // A query: head 1 of row 2.
  auto bad = x;
  bad.q[static_cast<std::size_t>((1 * 4 + 2) * 16 + 3)] = NAN;
  auto const s = forward<tka::fp32, heads_form>(bad, o);
  std::set<int> touched;
  for (int const j : s.list(4, 1, 2)) touched.insert(j);
  REQUIRE(touched.size() == 6);
  for (saved_form const form : {saved_form::positions, saved_form::threshold}) {
    auto const got = backward<tka::fp32, heads_form>(bad, s, o, {.form = form});
    for (std::size_t n = 0; n < got.q.size(); ++n) {
      bool const own = n / 16 == 1 * 4 + 2;
      CHECK(std::isnan(got.q[n]) == own);
      if (!own) CHECK(got.q[n] == before.q[n]);
    }
    for (std::size_t n = 0; n < got.k.size(); ++n) {
      CHECK(std::isnan(got.k[n]) == touched.contains(static_cast<int>(n / 16)));
      CHECK(std::isnan(got.v[n]) == touched.contains(static_cast<int>(n / 16)));
    }
  }
  // A value of a key that no row selects is not looked at.
  std::set<int> used;
  each_row(x, clean, [&](int, int, int, std::vector<int> const& list) {
    used.insert(list.begin(), list.end());
  });
  for (int j = 0; j < 60; ++j) {
    if (!used.contains(j)) x.v[static_cast<std::size_t>(j) * 16] = NAN;
  }
  REQUIRE(used.size() < 60);
  CHECK(difference(before, backward<tka::fp32, heads_form>(x, clean, o)) == "");
}

TEST_CASE("[tka.backward] [tka.shard] shards add up") {
  random_source random("shards");
  INFO(random);
  auto const x = make_batch<tka::fp32>(4, 2, 16, 16, {{6, 200}}, random);
  tka::options o = options_of(40);
  auto const s = forward<tka::fp32, heads_form>(x, o);
  auto const whole = backward<tka::fp32, heads_form>(x, s, o);
  using form = tka::form<>;
  constexpr auto call = tka::sparse_attention_backward<tka::fp32, support::backend, form>;
  std::vector<float> dq(x.q.size(), 0.0f);
  for (int part = 0; part < 3; ++part) {
    o.shard = {.block = 7, .index = part, .count = 3};
    o.budget = tka::top_k(s.plan.capacity);
    std::vector<int> held;
    for (int j = 0; j < 200; ++j) {
      if (j / 7 % 3 == part) held.push_back(j);
    }
    int const keys = static_cast<int>(held.size());
    auto const gather = [&](std::vector<float> const& from) {
      std::vector<float> to;
      for (int h = 0; h < 2; ++h) {
        for (int const j : held) {
          auto const at = from.begin() + (h * 200 + j) * 16;
          to.insert(to.end(), at, at + 16);
        }
      }
      return to;
    };
    auto const k = gather(x.k);
    auto const v = gather(x.v);
    std::vector<float> own_dq(x.q.size()), dk(k.size()), dv(v.size());
    typename decltype(call)::tensors t{};
    t.q = tka::hnd(x.q.data(), 4, 6, 16);
    t.k = {k.data(), 32 * keys, 16 * keys, 16};
    t.v = {v.data(), 32 * keys, 16 * keys, 16};
    t.o = tka::hnd(s.o.data(), 4, 6, 16);
    t.d_o = tka::hnd(x.d_o.data(), 4, 6, 16);
    t.lse = tka::hnd(s.lse.data(), 4, 6, 1);
    t.saved.positions = tka::hnd(s.positions.data(), 4, 6, s.plan.capacity);
    t.saved.count = tka::hnd(s.count.data(), 4, 6, 1);
    t.dq = tka::hnd(own_dq.data(), 4, 6, 16);
    t.dk = {dk.data(), 32 * keys, 16 * keys, 16};
    t.dv = {dv.data(), 32 * keys, 16 * keys, 16};
    // Lengths and positions are of the whole sequence; the views hold the shard's keys.
    tka::throw_if(support::run(call, call.plan(x.shape(), o, {.threads = 2}), t));
    CHECK(bit_difference("dk", gather(whole.k), dk) == "");
    CHECK(bit_difference("dv", gather(whole.v), dv) == "");
    for (std::size_t n = 0; n < dq.size(); ++n) dq[n] += own_dq[n];
  }
  CHECK(distance(dq, widened(whole.q)) < 1e-6);
}

TEST_CASE("[tka.backward] [tka.phases] threads that share the phases") {
  random_source random("threads");
  INFO(random);
  auto const x = make_batch<tka::fp32>(4, 2, 16, 16, lengths, random);
  tka::options const o = options_of(20);
  auto const s = forward<tka::fp32, heads_form>(x, o);
  auto const wanted = backward<tka::fp32, heads_form>(x, s, o);
  constexpr auto call = tka::sparse_attention_backward<tka::fp32, tka::cpu, heads_form>;
  tka::thread_team team(4);
  for (int const splits : {1, 3}) {
    tka::plan p = call.plan(x.shape(), o, {.threads = 4});
    p = call.reschedule(p, {.workers = 4, .query_tile = 2, .splits = splits});
    std::vector<std::byte> scratch(p.scratch_bytes + 64);
    void* base = scratch.data();
    std::size_t room = scratch.size();
    std::align(64, p.scratch_bytes, base, room);
    gradients<tka::fp32> g{};
    g.q.resize(x.q.size());
    g.k.resize(x.k.size());
    g.v.resize(x.v.size());
    typename decltype(call)::tensors t{};
    t.q = view(x.q, x.rows(), 16);
    t.k = view(x.k, x.keys(), 16);
    t.v = view(x.v, x.keys(), 16);
    t.o = view(s.o, x.rows(), 16);
    t.d_o = view(x.d_o, x.rows(), 16);
    t.lse = view(s.lse, x.rows(), 1);
    t.kv.cumulative = x.kv_begin.data();
    t.query.cumulative = x.q_begin.data();
    t.saved = s.selection(x.rows());
    t.dq = view(g.q, x.rows(), 16);
    t.dk = view(g.k, x.keys(), 16);
    t.dv = view(g.v, x.keys(), 16);
    CHECK(call(p, t, {.scratch = base, .scratch_bytes = p.scratch_bytes}, team) == tka::status::ok);
    CHECK(difference(g, wanted) == "");
  }
}

TEST_CASE("[tka.backward] [tka.status] what cannot be done is said before a byte is written") {
  using tka::status;
  tka::shape const s{.q_heads = 2, .kv_heads = 1, .kv_len = 8, .qk_dim = 16, .v_dim = 16};
  tka::options const o = options_of(4);
  tka::cpu_device const device{.threads = 1};
  auto const of = [&]<class Call>(Call const& call, tka::shape const& shape,
                                  tka::options const& how, saved_form form) {
    return call.supported(shape, how, device, {.form = form});
  };
  constexpr auto plain = tka::sparse_attention_backward<tka::fp32, tka::cpu>;
  CHECK(of(plain, s, o, saved_form::positions) == status::ok);
  tka::options wrong = o;
  wrong.scale = 0.0f;
  CHECK(of(plain, s, wrong, saved_form::visible) == status::invalid_scale);
  wrong = o;
  wrong.budget = tka::ratio(1, 2);
  CHECK(of(plain, s, wrong, saved_form::positions) == status::invalid_budget);
  CHECK(of(plain, s, wrong, saved_form::threshold) == status::ok);
  CHECK(of(plain, s, o, static_cast<saved_form>(7)) == status::invalid_selection);
  tka::shape odd = s;
  odd.v_dim = 24;
  CHECK(of(plain, odd, o, saved_form::positions) == status::unsupported_head_dim);

  constexpr auto all =
      tka::sparse_attention_backward<tka::fp32, tka::cpu, tka::form<tka::scope::all_heads>>;
  CHECK(of(all, s, o, saved_form::positions) == status::ok);
  CHECK(of(all, s, o, saved_form::threshold) == status::unsupported_call);
  constexpr auto group =
      tka::sparse_attention_backward<tka::fp32, tka::cpu, tka::form<tka::scope::kv_group>>;
  wrong = o;
  wrong.combine = tka::combine::softmax_sum;
  CHECK(of(group, s, wrong, saved_form::threshold) == status::unsupported_call);
  CHECK(of(group, s, wrong, saved_form::positions) == status::ok);
  constexpr auto fp8 = tka::sparse_attention_backward<tka::fp8, tka::cpu>;
  CHECK(of(fp8, s, o, saved_form::positions) == status::unsupported_call);
  constexpr auto mla =
      tka::sparse_attention_backward<tka::fp8, tka::cpu, tka::form<tka::layout::mla_656>>;
  tka::shape latent = s;
  latent.qk_dim = 576;
  latent.v_dim = 512;
  CHECK(of(mla, latent, o, saved_form::positions) == status::unsupported_call);
  constexpr auto paged =
      tka::sparse_attention_backward<tka::fp32, tka::cpu, tka::form<tka::kv::paged>>;
  tka::shape pages = s;
  pages.page_size = 4;
  CHECK(of(paged, pages, o, saved_form::positions) == status::unsupported_call);

  // Tensors: what is read must be there, in the form that was planned for.
  alignas(64) static float memory[2048]{};
  std::int32_t list[64]{};
  typename decltype(plain)::tensors t{};
  t.q = tka::hnd(memory, 2, 1, 16);
  t.k = t.v = tka::hnd(memory, 1, 8, 16);
  t.o = t.d_o = t.q;
  t.lse = tka::hnd(memory, 2, 1, 1);
  t.saved.positions = tka::hnd(list, 2, 1, 4);
  t.saved.count = tka::hnd(list, 2, 1, 1);
  alignas(64) static std::byte scratch[1 << 20];
  tka::workspace const w{.scratch = scratch, .scratch_bytes = sizeof(scratch)};
  tka::plan const p = plain.plan(s, o, device);
  CHECK(plain(p, t, w) == status::ok);
  auto less = t;
  less.lse = {};
  CHECK(plain(p, less, w) == status::null_pointer);
  less = t;
  less.saved.positions = {};
  CHECK(plain(p, less, w) == status::null_pointer);
  CHECK(plain(plain.plan(s, o, device, {.form = saved_form::threshold}), t, w) ==
        status::null_pointer);
  less = t;
  less.d_sink_logits = memory;
  CHECK(plain(p, less, w) == status::null_pointer);
  less = t;
  less.dq = {memory + 1, 32, 16, 16};
  CHECK(plain(p, less, w) == status::misaligned);
  CHECK(plain(p, t, {.scratch = scratch, .scratch_bytes = p.scratch_bytes - 1}) ==
        status::workspace_too_small);
  CHECK(plain(group.plan(s, o, device), t, w) == status::plan_mismatch);
}

}  // namespace
