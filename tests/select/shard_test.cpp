// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A sequence dealt out over several memories: the parts' sets under the whole's threshold are the
/// whole's set, and their partial attentions add up to the whole's.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace {

using namespace support;

template <class Form>
std::string union_fault(oracle::problem const& p, int block, int count, arrangement how) {
  auto const options = options_of(p.rules);
  arranged<tka::fp32, Form> const whole(p, how);
  auto const all = select<tka::exact_radix>(whole, options);
  if (auto const found = selection_fault(all, p); !found.empty()) return "whole: " + found;
  std::vector<results> parts;
  for (int index = 0; index < count; ++index) {
    how.shard = {.block = block, .index = index, .count = count};
    arranged<tka::fp32, Form> const a(p, how);
    parts.push_back(select<tka::exact_radix>(a, options, {}, &all));
    if (auto const found = fault(parts.back()); !found.empty()) return found;
  }
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    int const q_len = p.sequences[b].q_len;
    for (int h = 0; h < p.rules.scope_heads(); ++h) {
      for (int i = 0; i < q_len; ++i) {
        std::vector<int> together;
        for (int index = 0; index < count; ++index) {
          auto const own = parts[static_cast<std::size_t>(index)].positions_of(b, q_len, h, i);
          for (int const j : own) {
            if (j / block % count != index) return at_row(b, h, i, "a key of another part");
          }
          together.insert(together.end(), own.begin(), own.end());
        }
        std::sort(together.begin(), together.end());
        auto const expected = all.positions_of(b, q_len, h, i);
        if (together != expected) {
          return at_row(b, h, i, list_text(together) + " instead of " + list_text(expected));
        }
      }
    }
  }
  return "";
}

template <class Form>
void check_unions(char const* name, bool forced) {
  random_source random(name);
  INFO(random);
  using visibility = typename Form::visibility;
  oracle::rules r{.q_heads = 4, .kv_heads = 2, .qk_dim = 16};
  if constexpr (std::is_same_v<visibility, tka::visibility::sliding_window>) {
    r.visibility = oracle::visibility::sliding_window;
    r.window = 170;
  }
  if (forced) {
    r.sinks = 5;
    r.recent = 9;
  }
  for (int const k : {forced ? 14 : 1, 40, 200}) {
    r.k = k;
    auto const p = make_problem(r, {{3, 333}, {3, 2}, {3, 128}}, contents::integers, random);
    for (int const count : {1, 2, 3, 8}) {
      for (int const block : {1, 5, 64}) {
        CAPTURE(k);
        CAPTURE(count);
        CAPTURE(block);
        CHECK(union_fault<Form>(p, block, count, {.page_size = 6}) == "");
      }
    }
  }
}

TEST_CASE("[tka.shard] the union of the shards' sets is the whole set") {
  check_unions<tka::form<>>("contiguous shards", false);
  check_unions<tka::form<tka::kv::paged>>("paged shards", false);
}

TEST_CASE("[tka.shard] [tka.forced] shards with sinks, recent keys and a window") {
  check_unions<tka::form<>>("forced shards", true);
  check_unions<tka::form<tka::visibility::sliding_window>>("window shards", true);
}

TEST_CASE("[tka.shard] partial attentions of the shards add up") {
  random_source random("partial");
  INFO(random);
  oracle::rules r{.q_heads = 2, .kv_heads = 1, .qk_dim = 32, .v_dim = 16};
  r.k = 60;
  r.scale = 0.25;
  auto const p = make_problem(r, {{2, 500}}, contents::integers, random);
  arranged<tka::fp32, tka::form<>> const whole(p, {});
  auto const all = attend<tka::exact_radix>(whole, options_of(r));
  REQUIRE(fault(all) == "");
  std::vector<double> mass(4, 0.0);
  std::vector<double> sum(4 * 16, 0.0);
  for (int index = 0; index < 3; ++index) {
    arranged<tka::fp32, tka::form<>> const a(p,
                                             {.shard = {.block = 4, .index = index, .count = 3}});
    auto const part = select<tka::exact_radix>(a, options_of(r), {}, &all);
    REQUIRE(fault(part) == "");
    // The positions of a shard are those of the whole sequence, in and out.
    auto const attended = attend_lists(a, options_of(r), lists_of(part, p));
    REQUIRE(fault(attended) == "");
    CHECK(attention_fault<tka::fp32>(attended, p, lists_of(part, p)) == "");
    for (std::size_t row = 0; row < 4; ++row) {
      double const weight = std::exp(static_cast<double>(attended.sequences[0].lse[row]) -
                                     static_cast<double>(all.sequences[0].lse[row]));
      mass[row] += weight;
      for (std::size_t d = 0; d < 16; ++d) {
        sum[row * 16 + d] += weight * static_cast<double>(attended.sequences[0].o[row * 16 + d]);
      }
    }
  }
  double worst = 0.0;
  for (std::size_t n = 0; n < sum.size(); ++n) {
    worst = std::max(worst, std::abs(sum[n] - static_cast<double>(all.sequences[0].o[n])));
    worst = std::max(worst, std::abs(mass[n / 16] - 1.0));
  }
  CHECK(worst < 1e-5);
}

}  // namespace
