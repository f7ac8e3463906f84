// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// keep_largest against a stable sort, on keys that make radix digits useless.

#include <tka/detail/cpu/radix_select.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace cpu = tka::detail::cpu;
using tka::detail::ordered_key;
using list = std::vector<std::pair<ordered_key, std::int32_t>>;
constexpr ordered_key smallest_candidate = tka::detail::key_of_minus_infinity + 1;

/// Ascending in index: what is kept of these keys.
list expected_of(std::vector<ordered_key> const& keys, std::size_t keep) {
  list all;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    all.emplace_back(keys[i], static_cast<std::int32_t>(2 * i));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](auto const& a, auto const& b) { return a.first > b.first; });
  all.resize(std::min(keep, all.size()));
  std::sort(all.begin(), all.end(),
            [](auto const& a, auto const& b) { return a.second < b.second; });
  return all;
}

struct scratch_memory {
  std::vector<std::uint32_t> histogram = std::vector<std::uint32_t>(cpu::radix_scratch::bins, 77u);
  std::vector<ordered_key> spare = std::vector<ordered_key>(cpu::radix_scratch::spare_room, 77);
  [[nodiscard]] cpu::radix_scratch view() {
    return {.histogram = histogram.data(), .spare = spare.data()};
  }
};

void check_all_k(std::vector<ordered_key> const& keys, std::vector<std::size_t> const& ks) {
  scratch_memory scratch;
  for (std::size_t const keep : ks) {
    if (keep == 0 || keep > keys.size()) continue;
    CAPTURE(keep);
    std::vector<ordered_key> key = keys;
    std::vector<std::int32_t> index(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) index[i] = static_cast<std::int32_t>(2 * i);
    ordered_key const gate =
        cpu::keep_largest(key.data(), index.data(), static_cast<std::int32_t>(keys.size()),
                          static_cast<std::int32_t>(keep), scratch.view());
    list found;
    for (std::size_t i = 0; i < keep; ++i) found.emplace_back(key[i], index[i]);
    list const expected = expected_of(keys, keep);
    CHECK(found == expected);
    // A later key must be above the gate to displace one: the smallest kept is not above it alone.
    ordered_key smallest = expected[0].first;
    for (auto const& [k, i] : expected) smallest = std::min(smallest, k);
    CHECK(gate <= smallest);
    CHECK(std::count_if(keys.begin(), keys.end(), [&](ordered_key k) { return k > gate; }) <=
          static_cast<std::ptrdiff_t>(keep));
  }
}

std::vector<std::size_t> some_ks(std::size_t size, support::random_source& random) {
  std::vector<std::size_t> ks{1, 2, size / 2, size - 1, size};
  for (int i = 0; i < 5; ++i) ks.push_back(1 + random.below(size));
  return ks;
}

TEST_CASE("keep_largest keeps what a stable sort would, ties by smaller position") {
  support::random_source random("radix_select");
  INFO(random);
  std::vector<std::pair<std::string, std::function<ordered_key(std::size_t)>>> const kinds{
      {"any", [&](std::size_t) { return static_cast<ordered_key>(random()); }},
      {"all equal", [](std::size_t) { return 12345; }},
      {"two values", [&](std::size_t) { return static_cast<ordered_key>(random.below(2)); }},
      {"many ties", [&](std::size_t) { return static_cast<ordered_key>(random.below(37)); }},
      {"rising", [](std::size_t i) { return static_cast<ordered_key>(i); }},
      {"falling", [](std::size_t i) { return -static_cast<ordered_key>(i); }},
      {"close together and one far",
       [&](std::size_t i) {
         return i == 3 ? tka::detail::key_of_nan
                       : static_cast<ordered_key>(1 << 30) +
                             static_cast<ordered_key>(random.below(99));
       }},
      {"extremes",
       [&](std::size_t) {
         return random.below(2) == 0 ? smallest_candidate : tka::detail::key_of_nan;
       }},
      {"powers of two",
       [&](std::size_t) { return static_cast<ordered_key>(1u << random.below(32)); }},
  };
  for (auto const& [name, make] : kinds) {
    CAPTURE(name);
    // Around the border of the spare room, whose bins take another way, too.
    for (std::size_t const size :
         {1u, 2u, 15u, 16u, 17u, 100u, 2048u, 4095u, 4096u, 4112u, 9000u}) {
      CAPTURE(size);
      std::vector<ordered_key> keys(size);
      // Keys of -inf and below are no candidates.
      for (ordered_key& k : keys)
        k = std::max(make(static_cast<std::size_t>(&k - keys.data())), smallest_candidate);
      check_all_k(keys, some_ks(size, random));
    }
  }
}

TEST_CASE("keep_largest with every size and every k of short lists") {
  support::random_source random("radix_select short");
  INFO(random);
  std::size_t const longest = support::fast() ? 24 : 40;
  for (std::size_t size = 1; size <= longest; ++size) {
    CAPTURE(size);
    std::vector<ordered_key> keys(size);
    for (ordered_key& k : keys) k = static_cast<ordered_key>(random.below(9)) - 4;
    std::vector<std::size_t> ks(size);
    for (std::size_t i = 0; i < size; ++i) ks[i] = i + 1;
    check_all_k(keys, ks);
  }
}

TEST_CASE("keep_largest of none leaves a gate that nothing passes") {
  scratch_memory scratch;
  ordered_key key = 5;
  std::int32_t index = 0;
  CHECK(cpu::keep_largest(&key, &index, 1, 0, scratch.view()) == tka::detail::key_of_nan);
}

}  // namespace
