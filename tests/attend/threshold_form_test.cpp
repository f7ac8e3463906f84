// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// attend_selected over sets that thresholds name: the bits of the call that made them.

#include <support/compare.hpp>

#include <doctest/doctest.h>
#include <training/training_case.hpp>

#include <cstdint>
#include <vector>

namespace {

using namespace training;
using support::bit_difference;

/// By the thresholds of `s`, in several schedules; what differs from the forward pass, or "".
template <class Precision, class Form>
std::string threshold_difference(batch<Precision> const& x, tka::options const& o) {
  constexpr auto call = tka::attend_selected<Precision, support::backend, Form>;
  auto const s = forward<Precision, Form>(x, o);
  for (int const threads : {1, 2, 5}) {
    tka::plan const p =
        call.plan(x.shape(), o, {.threads = threads}, {.form = tka::saved_form::threshold});
    if (p.status != tka::status::ok) return tka::to_string(p.status);
    std::vector<typename Precision::output_type> out(s.o.size());
    std::vector<float> lse(s.lse.size());
    typename decltype(call)::tensors t{};
    t.q = view(x.q, x.rows(), x.qk_dim);
    t.k = view(x.k, x.keys(), x.qk_dim);
    t.v = view(x.v, x.keys(), x.v_dim);
    t.o = view(out, x.rows(), x.v_dim);
    t.lse = view(lse, x.rows(), 1);
    t.kv.cumulative = x.kv_begin.data();
    t.query.cumulative = x.q_begin.data();
    t.threshold_score = view(s.threshold_score, x.rows(), 1);
    t.threshold_position = view(s.threshold_position, x.rows(), 1);
    t.k_per_sequence = x.k_of_sequence.empty() ? nullptr : x.k_of_sequence.data();
    t.mask.first = x.first_keys.empty() ? nullptr : x.first_keys.data();
    t.sink_logits = x.sinks.empty() ? nullptr : x.sinks.data();
    if (tka::status const st = support::run(call, p, t); st != tka::status::ok) {
      return tka::to_string(st);
    }
    auto const found = bit_difference("lse", lse, s.lse);
    if (!found.empty()) return found;
    for (std::size_t n = 0; n < out.size(); ++n) {
      if (static_cast<float>(out[n]) != static_cast<float>(s.o[n])) return "o differs";
    }
  }
  return "";
}

TEST_CASE(
    "[tka.attend_selected] [tka.threshold] [tka.mask] attends over the set that a threshold "
    "names") {
  random_source random("threshold form");
  INFO(random);
  std::vector<length> const lengths{{5, 900}, {3, 1}, {4, 0}, {7, 5}, {9, 140}};
  for (bool const integers : {false, true}) {
    auto x = make_batch<tka::bf16>(6, 2, 32, 16, lengths, random, integers);
    x.sinks = filled<float>(6, random, 1.0f);
    for (int const k : {0, 1, 20, 300, 1000}) {
      CAPTURE(k);
      tka::options o{.budget = tka::top_k(k), .scale = 0.25f};
      CHECK(threshold_difference<tka::bf16, ragged<>>(x, o) == "");
      CHECK(threshold_difference<tka::bf16, ragged<tka::scope::kv_group>>(x, o) == "");
      o.combine = tka::combine::sum;
      CHECK(threshold_difference<tka::bf16, ragged<tka::scope::kv_group>>(x, o) == "");
    }
    tka::options o{
        .budget = tka::ratio(1, 8, 10), .scale = 0.25f, .sinks = 3, .recent = 6, .window = 200};
    CHECK(threshold_difference<tka::bf16, ragged<tka::visibility::sliding_window>>(x, o) == "");
    o.budget = tka::top_k(12);
    x.k_of_sequence = {4, 12, 7, 0, 9};
    CHECK(threshold_difference<tka::bf16, ragged<>>(x, o) == "");
    x.first_keys = {200, 1, 0, 2, 33};
    CHECK(threshold_difference<tka::bf16, ragged<>>(x, o) == "");
  }
}

TEST_CASE("[tka.attend_selected] [tka.status] thresholds where they name no set") {
  using tka::status;
  tka::shape const s{.q_heads = 2, .kv_heads = 1, .kv_len = 8, .qk_dim = 16, .v_dim = 16};
  tka::options o{.budget = tka::top_k(4), .scale = 0.25f};
  constexpr auto all = tka::attend_selected<tka::fp32, tka::cpu, tka::form<tka::scope::all_heads>>;
  CHECK(all.supported(s, o, {.threads = 1}, {.form = tka::saved_form::threshold}) ==
        status::unsupported_call);
  CHECK(all.supported(s, o, {.threads = 1}) == status::ok);
  constexpr auto heads = tka::attend_selected<tka::fp32, tka::cpu>;
  CHECK(heads.supported(s, o, {.threads = 1}, {.form = tka::saved_form::visible}) ==
        status::invalid_selection);
  tka::plan const p = heads.plan(s, o, {.threads = 1}, {.form = tka::saved_form::threshold});
  REQUIRE(p.status == status::ok);
  // Lists do not stand in for thresholds.
  alignas(64) static float memory[256]{};
  std::int32_t list[8]{};
  typename decltype(heads)::tensors t{};
  t.q = tka::hnd(memory, 2, 1, 16);
  t.k = t.v = tka::hnd(memory, 1, 8, 16);
  alignas(64) static float out[32];
  t.o = tka::hnd(out, 2, 1, 16);
  t.positions = tka::hnd(list, 2, 1, 4);
  t.count = tka::hnd(list, 2, 1, 1);
  CHECK(support::run(heads, p, t) == status::null_pointer);
  constexpr auto group = tka::attend_selected<tka::fp32, tka::cpu, tka::form<tka::scope::kv_group>>;
  o.combine = tka::combine::softmax_sum;
  CHECK(group.supported(s, o, {.threads = 1}, {.form = tka::saved_form::threshold}) ==
        status::unsupported_call);
}

}  // namespace
