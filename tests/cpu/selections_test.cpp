// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The classes that select, each alone: tiles of any length, splits, selections one after the other
/// in the same memory.

#include <tka/detail/cpu/selection/selection_of.hpp>

#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace {

namespace cpu = tka::detail::cpu;
using tka::detail::arena;
using tka::detail::ordered_key;
using list = std::vector<std::pair<std::int32_t, ordered_key>>;

struct scratch_memory {
  std::vector<std::uint32_t> histogram = std::vector<std::uint32_t>(cpu::radix_scratch::bins, 77u);
  std::vector<ordered_key> spare = std::vector<ordered_key>(cpu::radix_scratch::spare_room, 77);
  cpu::radix_scratch view{.histogram = histogram.data(), .spare = spare.data()};
};

tka::plan plan_of(std::int32_t capacity, std::int32_t kv_len, tka::bucketed const& buckets) {
  tka::plan p{};
  p.capacity = capacity;
  p.shape.kv_len = kv_len;
  p.selection.put(buckets.derive());
  return p;
}

/// A selection with memory of its own.
template <class Selection>
struct owned {
  explicit owned(tka::plan const& p) {
    arena counting{nullptr};
    Selection{}.carve(counting, p);
    bytes.assign(counting.used() + tka::workspace_alignment, std::byte{0xff});
    void* base = bytes.data();
    std::size_t room = bytes.size();
    base = std::align(tka::workspace_alignment, counting.used(), base, room);
    arena memory{base};
    selection.carve(memory, p);
  }
  std::vector<std::byte> bytes;
  Selection selection{};
};

/// Pushes keys[from .. to) in tiles of random lengths.
template <class Selection>
void push(Selection& s, std::vector<ordered_key> const& keys, std::int32_t from, std::int32_t to,
          scratch_memory& scratch, support::random_source& random) {
  while (from < to) {
    auto const count = static_cast<std::int32_t>(
        std::min<std::int64_t>(to - from, random.between(1, cpu::tile_keys)));
    s.push_tile(keys.data() + from, count, from, scratch.view);
    from += count;
  }
}

template <class Selection>
list finished(Selection& s, std::int32_t keep, scratch_memory& scratch) {
  std::int32_t const count = s.finish(keep, scratch.view);
  list found;
  for (std::int32_t i = 0; i < count; ++i) found.emplace_back(s.index()[i], s.key()[i]);
  return found;
}

/// The `keep` largest, ascending in index; keys of -inf and below do not count.
list largest_of(list all, std::int32_t keep) {
  std::erase_if(all, [](auto const& e) { return e.second <= tka::detail::key_of_minus_infinity; });
  std::sort(all.begin(), all.end());
  std::stable_sort(all.begin(), all.end(),
                   [](auto const& a, auto const& b) { return a.second > b.second; });
  all.resize(std::min(all.size(), static_cast<std::size_t>(keep)));
  std::sort(all.begin(), all.end());
  return all;
}

list entries(std::vector<ordered_key> const& keys) {
  list all;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    all.emplace_back(static_cast<std::int32_t>(i), keys[i]);
  }
  return all;
}

/// What interleaved buckets keep: the `per_bucket` largest of each, earlier ones first.
list survivors(std::vector<ordered_key> const& keys, tka::bucketed const& b) {
  list all;
  for (std::int32_t bucket = 0; bucket < b.buckets; ++bucket) {
    list own;
    for (auto const& e : entries(keys)) {
      if (e.first % b.buckets == bucket) own.push_back(e);
    }
    list const kept = largest_of(own, b.per_bucket);
    all.insert(all.end(), kept.begin(), kept.end());
  }
  return all;
}

std::vector<ordered_key> random_keys(std::int32_t count, std::uint64_t distinct,
                                     support::random_source& random) {
  std::vector<ordered_key> keys(static_cast<std::size_t>(count));
  for (ordered_key& k : keys) {
    k = static_cast<ordered_key>(random.below(distinct));
    if (random.below(30) == 0) k = tka::detail::key_of_minus_infinity;
    if (random.below(30) == 0) k = tka::detail::key_of_nothing;
    if (random.below(50) == 0) k = tka::detail::key_of_nan;
  }
  return keys;
}

template <class Selection, class Expected>
void check_selection(tka::bucketed const& buckets, Expected&& expected_of) {
  support::random_source random("selections");
  INFO(random);
  scratch_memory scratch;
  constexpr std::int32_t longest = 5000;
  constexpr std::int32_t capacity = 300;
  tka::plan const p = plan_of(capacity, longest, buckets);
  owned<Selection> first(p);
  owned<Selection> second(p);
  for (int round = 0; round < 40; ++round) {
    auto const count = static_cast<std::int32_t>(random.between(0, round < 20 ? 400 : longest));
    auto const keep = static_cast<std::int32_t>(random.between(0, capacity));
    std::uint64_t const distinct = random.below(2) == 0 ? 3 : 100000;
    CAPTURE(round);
    CAPTURE(count);
    CAPTURE(keep);
    CAPTURE(distinct);
    std::vector<ordered_key> const keys = random_keys(count, distinct, random);
    list const expected = expected_of(keys, keep);

    // Rounds share the memory, so nothing of the one before may enter.
    first.selection.reset(p, {.keep = keep, .keys = count});
    push(first.selection, keys, 0, count, scratch, random);
    CHECK(finished(first.selection, keep, scratch) == expected);

    auto const border = static_cast<std::int32_t>(random.between(0, count));
    first.selection.reset(p, {.keep = keep, .keys = count});
    second.selection.reset(p, {.keep = keep, .keys = count});
    push(second.selection, keys, border, count, scratch, random);
    push(first.selection, keys, 0, border, scratch, random);
    first.selection.absorb(second.selection, scratch.view);
    CHECK(finished(first.selection, keep, scratch) == expected);

    // Forced keys take places of the budget.
    std::int32_t const fewer = keep / 2;
    first.selection.reset(p, {.keep = keep, .keys = count});
    push(first.selection, keys, 0, count, scratch, random);
    CHECK(finished(first.selection, fewer, scratch) == largest_of(expected, fewer));
  }
}

TEST_CASE("exact_selection keeps the k largest of any tiles and splits") {
  check_selection<cpu::exact_selection>(
      {}, [](std::vector<ordered_key> const& keys, std::int32_t keep) {
        return largest_of(entries(keys), keep);
      });
}

TEST_CASE("bucketed_selection keeps the k largest of what its buckets hold") {
  for (tka::bucketed const& b :
       {tka::bucketed{.buckets = 1, .per_bucket = 1}, tka::bucketed{.buckets = 16, .per_bucket = 4},
        tka::bucketed{.buckets = 37, .per_bucket = 9},
        tka::bucketed{.buckets = 640, .per_bucket = 2}}) {
    CAPTURE(b.buckets);
    check_selection<cpu::bucketed_selection>(
        b, [&](std::vector<ordered_key> const& keys, std::int32_t keep) {
          return keep == 0 ? list{} : largest_of(survivors(keys, b), keep);
        });
  }
}

TEST_CASE("bucketed_selection takes as many buckets as the recall target asks for at its own k") {
  support::random_source random("buckets by target");
  scratch_memory scratch;
  tka::plan const p = plan_of(300, 4000, {.recall_target = 0.9f});
  auto const rule = p.selection.get<tka::bucketed::row_numbers>();
  owned<cpu::bucketed_selection> own(p);
  for (std::int32_t const keep : {1, 20, 300}) {
    for (std::int32_t const count : {10, 4000}) {
      CAPTURE(keep);
      CAPTURE(count);
      std::vector<ordered_key> const keys = random_keys(count, 100000, random);
      tka::bucketed const b{.buckets = rule.buckets(std::min(keep, count)),
                            .per_bucket = rule.per_bucket};
      own.selection.reset(p, {.keep = keep, .keys = count});
      push(own.selection, keys, 0, count, scratch, random);
      CHECK(finished(own.selection, keep, scratch) == largest_of(survivors(keys, b), keep));
    }
  }
}

}  // namespace
