// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Masks of hosts: left padding, intervals of rows, trees of drafts, together with windows, sinks,
/// shards, pages, ragged batches and every kind of budget. Integers, so that sets are exact; the
/// oracle has each mask as a function.

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/oracle_names.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace support;
namespace masks = oracle::masks;

constexpr int first_key = 1, rows_of_keys = 2, drafts = 4;

oracle::rules rules() {
  oracle::rules r;
  r.q_heads = 6;
  r.kv_heads = 2;
  r.qk_dim = 32;
  r.v_dim = 48;
  r.k = 20;
  r.scale = exact_scale(r.qk_dim);
  return r;
}

/// Random masks of the kinds that `which` names, told to the oracle and kept for the call.
host_mask draw(oracle::problem& p, int which, random_source& random) {
  host_mask m;
  for (std::size_t b = 0; b < p.sequences.size(); ++b) p.sequences[b].number = static_cast<int>(b);
  oracle::mask all =
      p.rules.visibility == oracle::visibility::all ? masks::everything() : masks::causal();
  if ((which & first_key) != 0) {
    for (auto const& s : p.sequences) {
      m.first.push_back(static_cast<int>(random.below(static_cast<std::size_t>(s.kv_len) + 1)));
    }
    all = masks::both(all, masks::from(m.first));
  }
  if ((which & rows_of_keys) != 0) {
    for (auto const& s : p.sequences) {
      m.rows.emplace_back();
      for (int i = 0; i < s.q_len; ++i) {
        auto const n = static_cast<std::size_t>(s.kv_len) + 1;
        auto const begin = static_cast<int>(random.below(n));
        auto const end = static_cast<int>(random.below(n));
        // Mostly an interval, sometimes nothing, sometimes beyond all borders.
        m.rows.back().emplace_back(random.below(8) == 0 ? -5 : std::min(begin, end),
                                   random.below(8) == 0 ? s.kv_len + 9 : std::max(begin, end));
      }
    }
    all = masks::both(all, masks::interval(m.rows));
  }
  if ((which & drafts) != 0) {
    m.draft_keys = static_cast<int>(1 + random.below(64));
    for (auto const& s : p.sequences) {
      m.drafts.emplace_back();
      for (int i = 0; i < s.q_len; ++i) {
        std::uint64_t word = 0;
        for (int bit = 0; bit < 64; ++bit) word = word << 1 | (random.below(3) != 0 ? 1u : 0u);
        m.drafts.back().push_back(random.below(6) == 0 ? 0 : word);
      }
    }
    all = masks::both(all, masks::tree(m.draft_keys, m.drafts));
  }
  p.rules.mask = all;
  return m;
}

/// lse over all that is visible, against fp64.
std::string visible_fault(results const& r, oracle::problem const& p) {
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    auto const& s = p.sequences[b];
    for (int h = 0; h < p.rules.q_heads; ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        auto const all = oracle::attend(p.rules, s, i, h, oracle::visible_positions(p.rules, s, i));
        auto const got =
            double{r.sequences[b].lse_visible[static_cast<std::size_t>(h * s.q_len + i)]};
        bool const close =
            got == all.lse || std::fabs(got - all.lse) <= 1e-5 * (1.0 + std::fabs(all.lse));
        if (!close)
          return at_row(b, h, i, std::to_string(got) + " instead of " + std::to_string(all.lse));
      }
    }
  }
  return "";
}

template <class Selection, class Precision, class Form>
void expect(oracle::problem const& p, host_mask const& m, settings const& how = {},
            tka::shard const& part = {}) {
  arrangement a;
  a.mask = m;
  a.shard = part;
  auto const r = attend<Selection>(arranged<Precision, Form>(p, a), options_of(p.rules), how);
  // Sums of probabilities are not exact in fp32.
  auto const wrong_set = p.rules.combine == oracle::combine::softmax_sum
                             ? near_selection_fault(r, p, 1e-5)
                             : selection_fault(r, p);
  CHECK(wrong_set == "");
  CHECK(r.error == 0u);
  if (!wrong_set.empty()) return;
  // Of a shard only the whole is attention.
  if (part.count == 1) CHECK(attention_fault<Precision>(r, p, lists_of(r, p)) == "");
  if (how.metrics == tka::metrics::visible) CHECK(visible_fault(r, p) == "");
}

/// Every mask and every two of them, over rows of several lengths.
template <class Selection, class Precision, class Form>
void every_mask(char const* name, oracle::rules r, std::vector<lengths> const& sizes) {
  random_source random(name);
  INFO(random);
  r.visibility = visibility_of<Form>();
  r.scope = scope_of<Form>();
  r.window = 60;
  for (int which = 1; which < 8; ++which) {
    CAPTURE(which);
    for (int round = 0; round < (fast() ? 1 : 3); ++round) {
      auto p = make_problem(r, sizes, contents::integers, random);
      auto const m = draw(p, which, random);
      expect<Selection, Precision, Form>(p, m);
    }
  }
}

std::vector<lengths> const sizes{{5, 300}, {5, 64}, {5, 3}, {5, 700}, {5, 0}};
std::vector<lengths> const one_token{{1, 900}, {1, 129}, {1, 40}, {1, 0}};

TEST_CASE("[tka.mask] hidden keys are not scored, selected or attended: causal rows") {
  every_mask<tka::exact_radix, tka::bf16, tka::form<>>("causal", rules(), sizes);
  every_mask<tka::exact_radix, tka::bf16, tka::form<>>("decode", rules(), one_token);
}

TEST_CASE("[tka.mask] with sinks and recent keys, which count visible ones alone") {
  auto r = rules();
  r.sinks = 3;
  r.recent = 5;
  every_mask<tka::exact_radix, tka::bf16, tka::form<>>("forced", r, sizes);
  every_mask<tka::exact_radix, tka::fp32, tka::form<tka::visibility::sliding_window>>("window", r,
                                                                                      sizes);
}

TEST_CASE("[tka.mask] a ratio counts visible keys alone") {
  auto r = rules();
  r.numerator = 1;
  r.denominator = 3;
  r.k_min = 2;
  every_mask<tka::exact_radix, tka::bf16, tka::form<>>("ratio", r, sizes);
}

TEST_CASE("[tka.mask] pages, packed queries and keys") {
  std::vector<lengths> const packed{{5, 300}, {1, 64}, {0, 30}, {9, 7}, {2, 700}};
  every_mask<tka::exact_radix, tka::bf16, tka::form<tka::kv::paged>>("paged", rules(), sizes);
  every_mask<tka::exact_radix, tka::bf16, tka::form<tka::query::ragged, tka::kv::ragged>>(
      "ragged", rules(), packed);
}

TEST_CASE("[tka.mask] other selections, scopes and whole rows") {
  auto r = rules();
  every_mask<tka::exact_radix, tka::fp32, tka::form<tka::scope::kv_group>>("group", r, sizes);
  r.combine = oracle::combine::softmax_sum;
  every_mask<tka::exact_radix, tka::fp32, tka::form<tka::scope::kv_group>>("softmax", r, sizes);
  r = rules();
  r.buckets = 19;
  r.per_bucket = 2;
  every_mask<tka::bucketed, tka::bf16, tka::form<>>("bucketed", r, sizes);
  r = rules();
  r.k = 1000;
  every_mask<tka::exact_radix, tka::bf16, tka::form<>>("all kept", r, sizes);
}

TEST_CASE("[tka.mask] [tka.metrics] visible metrics are over what the masks leave") {
  random_source random("metrics");
  INFO(random);
  settings how;
  how.metrics = tka::metrics::visible;
  for (int which = 1; which < 8; ++which) {
    CAPTURE(which);
    auto p = make_problem(rules(), sizes, contents::integers, random);
    auto const m = draw(p, which, random);
    expect<tka::exact_radix, tka::bf16, tka::form<>>(p, m, how);
  }
}

TEST_CASE("[tka.mask] [tka.shard] left padding and intervals of a shard are those of the whole") {
  random_source random("shard");
  INFO(random);
  for (int which = 1; which < 4; ++which) {
    for (std::int32_t index = 0; index < 3; ++index) {
      CAPTURE(which);
      CAPTURE(index);
      auto r = rules();
      r.shard_block = 8;
      r.shard_count = 3;
      r.shard_index = index;
      r.sinks = 2;
      r.recent = 3;
      auto p = make_problem(r, sizes, contents::integers, random);
      auto const m = draw(p, which, random);
      expect<tka::exact_radix, tka::bf16, tka::form<>>(p, m, {},
                                                       {.block = 8, .index = index, .count = 3});
    }
  }
}

/// As transformers draws them, written out by hand: a row a query, '1' where it sees the key.
TEST_CASE("[tka.mask] masks as hosts draw them") {
  struct drawn {
    char const* name;
    std::vector<std::string> rows;
    host_mask mask;
  };
  std::vector<drawn> const cases{{"left padding",
                                  {"000000", "000000", "001000", "001100", "001110", "001111"},
                                  {.first = {2}}},
                                 {"chunked attention of 3",
                                  {"100000", "110000", "111000", "000100", "000110", "000111"},
                                  {.rows = {{{0, 6}, {0, 6}, {0, 6}, {3, 6}, {3, 6}, {3, 6}}}}},
                                 {"documents of 2, 3 and 1 packed in a row",
                                  {"100000", "110000", "001000", "001100", "001110", "000001"},
                                  {.rows = {{{0, 6}, {0, 6}, {2, 6}, {2, 6}, {2, 6}, {5, 6}}}}},
                                 {"a tree of three drafts, two of one parent",
                                  {"100000", "110000", "111000", "111100", "111110", "111101"},
                                  {.drafts = {{0, 0, 0, 0b001, 0b011, 0b101}}, .draft_keys = 3}}};
  for (drawn const& c : cases) {
    CAPTURE(c.name);
    random_source random(c.name);
    auto r = rules();
    r.k = 6;
    auto p = make_problem(r, {{6, 6}}, contents::integers, random);
    p.rules.mask = [&c](oracle::mask_row const& row, int key) {
      return c.rows[static_cast<std::size_t>(row.token)][static_cast<std::size_t>(key)] == '1';
    };
    expect<tka::exact_radix, tka::bf16, tka::form<>>(p, c.mask);
  }
}

}  // namespace
