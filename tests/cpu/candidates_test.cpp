// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The loops that move candidate keys, against loops that a reader can check at sight. Built for
/// several instruction sets, also with sanitizers: one of them was miscompiled once.

#include <tka/detail/cpu/append_above.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

namespace cpu = tka::detail::cpu;
using tka::detail::ordered_key;

struct candidates {
  std::vector<ordered_key> key;
  std::vector<std::int32_t> index;
  friend bool operator==(candidates const&, candidates const&) = default;
};

/// Keys of [0, distinct), so that gates among them meet ties; now and then an extreme.
std::vector<ordered_key> some_keys(std::size_t count, std::int64_t distinct,
                                   support::random_source& random) {
  std::vector<ordered_key> keys(count);
  for (ordered_key& k : keys) {
    k = static_cast<ordered_key>(random.between(0, distinct - 1));
    if (random.below(20) == 0) k = tka::detail::key_of_nan;
    if (random.below(20) == 0) k = tka::detail::key_of_nothing;
  }
  return keys;
}

std::vector<ordered_key> const gates{
    tka::detail::key_of_nothing, -1, 0, 1, 3, 1000, tka::detail::key_of_nan - 1,
    tka::detail::key_of_nan};

template <class Function>
void for_many_lists(Function&& function) {
  support::random_source random("candidates");
  INFO(random);
  for (std::size_t count = 0; count <= 130; ++count) {
    for (std::int64_t const distinct : {1, 2, 5, 5000}) {
      std::vector<ordered_key> const keys = some_keys(count, distinct, random);
      for (ordered_key const gate : gates) {
        CAPTURE(count);
        CAPTURE(distinct);
        CAPTURE(gate);
        function(keys, gate);
      }
    }
  }
}

TEST_CASE("append_above appends the keys above the gate in order, within its room") {
  for_many_lists([](std::vector<ordered_key> const& keys, ordered_key gate) {
    auto const count = static_cast<std::int32_t>(keys.size());
    for (std::int32_t const before : {0, 1, 7}) {
      candidates expected{{-7, -7, -7, -7, -7, -7, -7}, {7, 7, 7, 7, 7, 7, 7}};
      expected.key.resize(static_cast<std::size_t>(before));
      expected.index.resize(static_cast<std::size_t>(before));
      candidates found = expected;
      for (std::int32_t i = 0; i < count; ++i) {
        if (keys[static_cast<std::size_t>(i)] <= gate) continue;
        expected.key.push_back(keys[static_cast<std::size_t>(i)]);
        expected.index.push_back(1000 + i);
      }
      // Exactly the promised room: a sanitizer sees a write after it.
      found.key.resize(static_cast<std::size_t>(before + count));
      found.index.resize(static_cast<std::size_t>(before + count));
      std::int32_t const size = cpu::append_above(keys.data(), count, 1000, gate, found.key.data(),
                                                  found.index.data(), before);
      found.key.resize(static_cast<std::size_t>(size));
      found.index.resize(static_cast<std::size_t>(size));
      CHECK(found == expected);
    }
  });
}

TEST_CASE("compact_above keeps the entries above the limit in order, in place") {
  for_many_lists([](std::vector<ordered_key> const& keys, ordered_key limit) {
    candidates expected;
    candidates found{keys, {}};
    for (std::size_t i = 0; i < keys.size(); ++i) {
      auto const index = static_cast<std::int32_t>(3 * i);
      found.index.push_back(index);
      if (keys[i] <= limit) continue;
      expected.key.push_back(keys[i]);
      expected.index.push_back(index);
    }
    std::int32_t const size = cpu::compact_above(found.key.data(), found.index.data(),
                                                 static_cast<std::int32_t>(keys.size()), limit);
    found.key.resize(static_cast<std::size_t>(size));
    found.index.resize(static_cast<std::size_t>(size));
    CHECK(found == expected);
  });
}

TEST_CASE("copy_between copies the keys of a range in order, also over itself") {
  for_many_lists([](std::vector<ordered_key> const& keys, ordered_key first) {
    for (ordered_key const last : gates) {
      std::vector<ordered_key> expected;
      std::copy_if(keys.begin(), keys.end(), std::back_inserter(expected),
                   [&](ordered_key k) { return k >= first && k <= last; });
      auto const count = static_cast<std::int32_t>(keys.size());
      std::vector<ordered_key> other(keys.size() + 16);
      std::vector<ordered_key> itself = keys;
      itself.resize(keys.size() + 16);
      std::int32_t size = cpu::copy_between(keys.data(), count, first, last, other.data());
      other.resize(static_cast<std::size_t>(size));
      CHECK(other == expected);
      size = cpu::copy_between(itself.data(), count, first, last, itself.data());
      itself.resize(static_cast<std::size_t>(size));
      CHECK(itself == expected);
    }
  });
}

}  // namespace
