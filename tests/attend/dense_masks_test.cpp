// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows that keep every key they see, under masks of the host: no list is asked for, so the CPU
/// attends them without selecting, and must hide the same keys.

#include <support/compare.hpp>

#include <doctest/doctest.h>
#include <training/training_case.hpp>

#include <cstdint>
#include <vector>

namespace {

using namespace training;

TEST_CASE("[tka.mask] masks hide keys from rows that keep all they see") {
  random_source random("dense masks");
  INFO(random);
  auto x = make_batch<tka::fp32>(4, 2, 16, 16, {{5, 300}, {3, 1}, {7, 5}, {9, 140}}, random);
  x.first_keys = {130, 1, 2, 7};
  tka::options o{.budget = tka::top_k(400), .scale = 0.25f, .metrics = tka::metrics::visible};
  auto const listed = forward<tka::fp32, ragged<>>(x, o);
  constexpr auto call = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu, ragged<>>;
  std::vector<std::uint64_t> const drafts(static_cast<std::size_t>(x.rows()),
                                          0xfffffffffffffffeull);
  for (bool const hides_a_draft : {false, true}) {
    std::vector<float> out(listed.o.size()), lse(listed.lse.size());
    std::vector<std::int32_t> positions(listed.positions.size()), count(listed.count.size());
    typename decltype(call)::tensors t{};
    t.q = view(x.q, x.rows(), 16);
    t.k = view(x.k, x.keys(), 16);
    t.v = view(x.v, x.keys(), 16);
    t.o = view(out, x.rows(), 16);
    t.lse = view(lse, x.rows(), 1);
    t.kv.cumulative = x.kv_begin.data();
    t.query.cumulative = x.q_begin.data();
    t.mask.first = x.first_keys.data();
    if (hides_a_draft) {
      t.mask.drafts = view(drafts, x.rows(), 1);
      t.mask.draft_keys = 64;
    }
    tka::plan const p = call.plan(x.shape(), o, {.threads = 1});
    tka::throw_if(support::run(call, p, t));
    auto expected_o = listed.o;
    auto expected_lse = listed.lse;
    if (hides_a_draft) {
      auto with_lists = t;
      with_lists.o = view(expected_o, x.rows(), 16);
      with_lists.lse = view(expected_lse, x.rows(), 1);
      with_lists.positions = view(positions, x.rows(), p.capacity);
      with_lists.count = view(count, x.rows(), 1);
      tka::throw_if(support::run(call, p, with_lists));
      CHECK(expected_lse != listed.lse);
    }
    CHECK(support::bit_difference("o", out, expected_o) == "");
    CHECK(support::bit_difference("lse", lse, expected_lse) == "");
  }
}

}  // namespace
