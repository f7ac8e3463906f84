// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Masks as plain functions (row, key) -> bool. A mask is one line here; `both` joins two.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace oracle {

/// One query token, as a mask sees it.
struct mask_row {
  int sequence = 0;
  int token = 0;     ///< of the sequence's query tokens
  int position = 0;  ///< in the sequence
  int q_len = 0;
  int kv_len = 0;
};

/// Whether a query token may see the key at a position of its sequence.
using mask = std::function<bool(mask_row const&, int key)>;

namespace masks {

inline mask everything() {
  return [](mask_row const&, int) { return true; };
}
inline mask causal() {
  return [](mask_row const& r, int key) { return key <= r.position; };
}
/// torch's `is_causal`: query i sees keys 0..i, however many keys there are.
inline mask causal_top_left() {
  return [](mask_row const& r, int key) { return key <= r.token; };
}
/// The last `width` positions up to the query's own.
inline mask window(int width) {
  return [width](mask_row const& r, int key) {
    return key <= r.position && std::int64_t{key} > std::int64_t{r.position} - width;
  };
}
/// Left padding: `begin` [sequence] is the first key that exists.
inline mask from(std::vector<int> begin) {
  return [begin](mask_row const& r, int key) {
    return key >= begin[static_cast<std::size_t>(r.sequence)];
  };
}
/// `[begin, end)` of each (sequence, token).
inline mask interval(std::vector<std::vector<std::pair<int, int>>> of) {
  return [of](mask_row const& r, int key) {
    auto const [begin, end] =
        of[static_cast<std::size_t>(r.sequence)][static_cast<std::size_t>(r.token)];
    return key >= begin && key < end;
  };
}
/// Causal inside chunks of `size` positions.
inline mask chunked(int size) {
  return [size](mask_row const& r, int key) {
    return key <= r.position && r.position >= 0 && key / size == r.position / size;
  };
}
/// Causal inside documents that share a sequence: `document` [sequence][position].
inline mask packed(std::vector<std::vector<int>> document) {
  return [document](mask_row const& r, int key) {
    auto const& of = document[static_cast<std::size_t>(r.sequence)];
    return key <= r.position && r.position >= 0 &&
           of[static_cast<std::size_t>(key)] == of[static_cast<std::size_t>(r.position)];
  };
}
/// The last `drafts` keys are a tree: bit j of `word` [sequence][token] shows the j-th of them.
inline mask tree(int drafts, std::vector<std::vector<std::uint64_t>> word) {
  return [drafts, word](mask_row const& r, int key) {
    int const draft = key - (r.kv_len - drafts);
    auto const& of = word[static_cast<std::size_t>(r.sequence)];
    return draft < 0 || (of[static_cast<std::size_t>(r.token)] >> draft & 1) != 0;
  };
}
inline mask both(mask a, mask b) {
  return [a, b](mask_row const& r, int key) { return a(r, key) && b(r, key); };
}

}  // namespace masks

}  // namespace oracle
