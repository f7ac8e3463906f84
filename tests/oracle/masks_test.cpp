// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The oracle's masks against masks written out by hand, as hosts draw them: a row a query, a
/// column a key, 1 visible.

#include <oracle/oracle.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

namespace {

using rows = std::vector<std::string>;

/// Every query's visible keys as text. `q_len` queries at the end of `kv_len` keys.
rows drawn(oracle::rules r, int q_len, int kv_len, int sequence = 0,
           std::vector<int> const& positions = {}) {
  oracle::sequence const s{
      .number = sequence, .q_len = q_len, .kv_len = kv_len, .query_position = positions};
  rows out;
  for (int i = 0; i < q_len; ++i) {
    std::string row(static_cast<std::size_t>(kv_len), '0');
    for (int const j : oracle::visible_positions(r, s, i)) row[static_cast<std::size_t>(j)] = '1';
    out.push_back(row);
  }
  return out;
}
rows drawn(oracle::mask const& m, int q_len, int kv_len, int sequence = 0,
           std::vector<int> const& positions = {}) {
  oracle::rules r;
  r.mask = m;
  return drawn(r, q_len, kv_len, sequence, positions);
}

namespace masks = oracle::masks;

TEST_CASE("causal, aligned to either corner, and everything") {
  CHECK(drawn(masks::causal(), 3, 5) == rows{"11100", "11110", "11111"});
  CHECK(drawn(masks::causal(), 4, 2) == rows{"00", "00", "10", "11"});
  CHECK(drawn(masks::causal_top_left(), 3, 5) == rows{"10000", "11000", "11100"});
  CHECK(drawn(masks::causal_top_left(), 4, 2) == rows{"10", "11", "11", "11"});
  CHECK(drawn(masks::everything(), 4, 2) == rows{"11", "11", "11", "11"});
}

TEST_CASE("left padding: the first key of each sequence, together with the causal mask") {
  auto const padded = masks::both(masks::causal(), masks::from({2, 0}));
  CHECK(drawn(padded, 5, 5, 0) == rows{"00000", "00000", "00100", "00110", "00111"});
  CHECK(drawn(padded, 5, 5, 1) == rows{"10000", "11000", "11100", "11110", "11111"});
  // A window is inside of what the padding leaves, and sinks are the first keys that exist.
  oracle::rules r;
  r.mask = padded;
  r.visibility = oracle::visibility::sliding_window;
  r.window = 1;
  r.sinks = 1;
  r.k = 2;
  CHECK(drawn(r, 5, 5) == rows{"00000", "00000", "00100", "00110", "00101"});
  oracle::sequence const s{.q_len = 5, .kv_len = 5};
  CHECK(oracle::forced_positions(r, s, 4) == std::vector<int>{2});
  CHECK(oracle::forced_positions(r, s, 1).empty());
}

TEST_CASE("a sliding window, with and without what is forced") {
  CHECK(drawn(masks::window(2), 5, 5) == rows{"10000", "11000", "01100", "00110", "00011"});
  oracle::rules r;
  r.visibility = oracle::visibility::sliding_window;
  r.window = 2;
  CHECK(drawn(r, 5, 5) == rows{"10000", "11000", "01100", "00110", "00011"});
  r.sinks = 1;
  r.recent = 3;
  CHECK(drawn(r, 5, 5) == rows{"10000", "11000", "11100", "11110", "10111"});
}

TEST_CASE("chunked attention and packed documents") {
  CHECK(drawn(masks::chunked(2), 5, 5) == rows{"10000", "11000", "00100", "00110", "00001"});
  CHECK(drawn(masks::packed({{0, 0, 1, 1, 1}}), 5, 5) ==
        rows{"10000", "11000", "00100", "00110", "00111"});
}

TEST_CASE("an interval of each query, prefix-LM as positions, and a tree of drafts") {
  CHECK(drawn(masks::interval({{{0, 2}, {1, 4}, {3, 3}}}), 3, 4) == rows{"1100", "0111", "0000"});
  CHECK(drawn(masks::causal(), 3, 4, 0, {1, 1, 3}) == rows{"1100", "1100", "1111"});
  // Two keys, then drafts a, b and c, where b and c both follow a.
  CHECK(drawn(masks::tree(3, {{0b001, 0b011, 0b101}}), 3, 5) == rows{"11100", "11110", "11101"});
}

TEST_CASE("slopes join the logit, and the score that selects where it is asked for") {
  oracle::rules r;
  r.qk_dim = 1;
  r.v_dim = 1;
  r.k = 1;
  r.scale = 0.5;
  r.slopes = {1.0};
  oracle::sequence s{.q_len = 1, .kv_len = 3};
  s.q = {1.0f};
  s.k = {5.0f, 4.0f, 0.0f};
  s.v = {1.0f, 2.0f, 3.0f};
  // Logits 2.5 - 2, 2 - 1, 0 - 0.
  CHECK(oracle::select(r, s, 0, 0).positions == std::vector<int>{1});
  CHECK(oracle::select(r, s, 0, 0).scores == std::vector<double>{2.0});
  r.slopes_select = false;
  CHECK(oracle::select(r, s, 0, 0).positions == std::vector<int>{0});
  CHECK(oracle::attend(r, s, 0, 0, {0}).lse == doctest::Approx(0.5));
  CHECK(oracle::attend(r, s, 0, 0, {1}).lse == doctest::Approx(1.0));
}

}  // namespace
