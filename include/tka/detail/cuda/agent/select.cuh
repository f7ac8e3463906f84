// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The second stage: the k largest keys of each row of a wave, exactly, by three digits of a radix
/// select, then as an ascending list.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Shared memory of the selection stage.
struct select_memory {
  std::uint32_t histogram[2048];
  std::uint32_t sums[block_warps + 1];
  std::uint32_t bin;
  std::uint32_t wanted;
};

/// Counts, finds and lists. Every chunk of every row is looked at once a pass, whatever the scores:
/// no buffer can overflow, and time does not depend on their distribution.
template <class Problem>
class select_agent {
 public:
  __device__ select_agent(context<Problem> const& c, char* memory) noexcept
      : c_(c), memory_(reinterpret_cast<select_memory*>(memory)) {}

  /// Counts digit `digit` of the keys that share the digits above with the threshold.
  __device__ void count_digit(int digit) noexcept {
    share const s = share_of(c_.table, count_of::chunks, c_.now);
    std::int64_t n = s.begin;
    while (n < s.end) {
      item const at = find_item(c_.table, count_of::chunks, n);
      std::int32_t const chunks = c_.table.entries[at.b].extent.chunks;
      auto const r = static_cast<std::int32_t>(at.rest / chunks);
      auto const first = static_cast<std::int32_t>(at.rest % chunks);
      auto const count =
          static_cast<std::int32_t>(smaller<std::int64_t>(chunks - first, s.end - n));
      n += count;
      row<Problem> const own{c_, at.b, at.unit, r};
      if (!own.exists) continue;
      compact_range const range = own.range(c_);
      // All visible keys are kept: there is nothing to find.
      if (range.keeps_all()) continue;
      digit_of(own, range, digit, first, first + count);
    }
  }

  /// Counts, in each chunk, the keys that are kept for sure and those equal to the threshold.
  __device__ void count_kept() noexcept {
    each_chunk([this](row<Problem> const& own, compact_range const& range, std::int32_t chunk) {
      threshold const limit = find_threshold(own, range, chunk == 0);
      std::uint32_t above = 0;
      std::uint32_t equal = 0;
      filter const competes = filter_of(own, range);
      each_key(own, range, chunk, [&](std::int32_t c, ordered_key key) {
        kept const k = judge(range, competes, limit, c, key);
        above += k == kept::surely;
        equal += k == kept::tie;
      });
      std::uint32_t total = 0;
      (void)exclusive_sum(above << 16 | equal, memory_->sums, total);
      if (threadIdx.x == 0) {
        own.counts(chunk)[0] = total >> 16;
        own.counts(chunk)[1] = total & 0xffffu;
      }
    });
  }

  /// Writes the lists, ascending, and what the caller asked to see of them.
  __device__ void list() noexcept {
    each_chunk([this](row<Problem> const& own, compact_range const& range, std::int32_t chunk) {
      list_chunk(own, range, chunk);
    });
  }

 private:
  /// Keys above `key` are kept, and the first `ties` of those equal to it.
  struct threshold {
    ordered_key key;
    std::uint32_t ties;
  };
  enum class kept { no, tie, surely };

  /// A threshold of the caller's: keys behind it do not compete.
  struct filter {
    bool given;
    ordered_key key;
    std::int64_t position;
  };

  template <class Use>
  __device__ void each_chunk(Use&& use) noexcept {
    share const s = share_of(c_.table, count_of::chunks, c_.now);
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = find_item(c_.table, count_of::chunks, n);
      std::int32_t const chunks = c_.table.entries[at.b].extent.chunks;
      row<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / chunks)};
      if (!own.exists) continue;
      use(own, own.range(c_), static_cast<std::int32_t>(at.rest % chunks));
      __syncthreads();
    }
  }

  /// use(c, key) for this thread's keys of a chunk: sixteen neighbours.
  template <class Use>
  __device__ void each_key(row<Problem> const& own, compact_range const& range, std::int32_t chunk,
                           Use&& use) const noexcept {
    constexpr int own_keys = chunk_keys / block_threads;
    std::int32_t const first =
        chunk * chunk_keys + static_cast<std::int32_t>(threadIdx.x) * own_keys;
    std::int32_t const visible = range.visible();
    if (first >= visible) return;
    // Rows are padded to whole lines, so four keys may be read at once.
    auto const* const from = reinterpret_cast<int4 const*>(own.scores() + first);
    int4 four[own_keys / 4];
#pragma unroll
    for (int i = 0; i < own_keys / 4; ++i) {
      four[i] = first + 4 * i < visible ? from[i] : int4{};
    }
#pragma unroll
    for (int i = 0; i < own_keys / 4; ++i) {
      ordered_key const keys[4] = {four[i].x, four[i].y, four[i].z, four[i].w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        std::int32_t const c = first + 4 * i + j;
        if (c < visible) use(c, keys[j]);
      }
    }
  }

  [[nodiscard]] __device__ filter filter_of(row<Problem> const& own,
                                            compact_range const&) const noexcept {
    if (!c_.a.given_threshold_score) return {false, 0, 0};
    location const at = own.query(c_);
    return {true, to_ordered(*c_.a.given_threshold_score.at(at.outer, own.scope_head, at.token)),
            *c_.a.given_threshold_position.at(at.outer, own.scope_head, at.token)};
  }
  [[nodiscard]] __device__ bool passes(compact_range const& range, filter const& f, std::int32_t c,
                                       ordered_key key) const noexcept {
    if (!f.given || key > f.key) return true;
    return key == f.key && position_of(c_.p.options.shard, range.local(c)) <= f.position;
  }

  [[nodiscard]] __device__ static bool forced(compact_range const& range, std::int32_t c) noexcept {
    return c < range.head() || c >= range.tail();
  }

  [[nodiscard]] __device__ kept judge(compact_range const& range, filter const& f,
                                      threshold const& limit, std::int32_t c,
                                      ordered_key key) const noexcept {
    if (key <= key_of_minus_infinity) return kept::no;
    if (forced(range, c)) return kept::surely;
    if (key < limit.key || !passes(range, f, c, key)) return kept::no;
    return key > limit.key ? kept::surely : kept::tie;
  }

  /// Digits from the top: bits [32 - 11, 32), [32 - 22, ..), the last ten.
  __device__ static constexpr int shift_of(int digit) noexcept {
    return digit == 0 ? 21 : digit == 1 ? 10 : 0;
  }
  __device__ static constexpr int bins_of(int digit) noexcept { return digit == 2 ? 1024 : 2048; }

  __device__ void digit_of(row<Problem> const& own, compact_range const& range, int digit,
                           std::int32_t from, std::int32_t to) noexcept {
    auto const thread = static_cast<int>(threadIdx.x);
    std::uint32_t prefix = 0;
    if (digit > 0) {
      if (!find_digit(own, range, digit - 1, from == 0)) return;
      prefix = memory_->bin;
    }
    __syncthreads();
    for (int i = thread; i < bins_of(digit); i += block_threads) memory_->histogram[i] = 0;
    __syncthreads();
    int const shift = shift_of(digit);
    int const above = digit == 0 ? 32 : shift_of(digit - 1);
    std::uint32_t const mask = bins_of(digit) - 1u;
    std::uint32_t forced_here = 0;
    filter const f = filter_of(own, range);
    for (std::int32_t chunk = from; chunk < to; ++chunk) {
      each_key(own, range, chunk, [&](std::int32_t c, ordered_key key) {
        if (key <= key_of_minus_infinity) return;
        if (forced(range, c)) {
          ++forced_here;
          return;
        }
        if (!passes(range, f, c, key)) return;
        std::uint32_t const bits = radix_bits(key);
        if (digit == 0 || bits >> above == prefix) {
          atomicAdd(&memory_->histogram[(bits >> shift) & mask], 1u);
        }
      });
    }
    __syncthreads();
    for (int i = thread; i < bins_of(digit); i += block_threads) {
      std::uint32_t const n = memory_->histogram[i];
      if (n > 0) atomicAdd(&own.histogram(digit)[i], n);
    }
    if (digit == 0 && forced_here > 0) atomicAdd(&own.state()[forced_count], forced_here);
  }

  /// After digit `digit` of all chunks has been counted: the bin of the threshold. Leaves all known
  /// bits of it in `bin`, and how many keys of the bin are kept in `wanted`. False where there are
  /// no more keys than are kept. `notes`: this block leaves the answer in the row's state.
  [[nodiscard]] __device__ bool find_digit(row<Problem> const& own, compact_range const& range,
                                           int digit, bool notes) noexcept {
    constexpr std::uint32_t none = 0xffffffffu;
    std::uint32_t* const state = own.state();
    std::uint32_t wanted;
    std::uint32_t prefix = 0;
    if (digit == 0) {
      wanted = static_cast<std::uint32_t>(range.range.keep) - state[forced_count];
    } else {
      wanted = state[digit_wanted + digit - 1];
      prefix = state[digit_prefix + digit - 1];
    }
    __syncthreads();
    if (threadIdx.x == 0) memory_->bin = none;
    if (wanted != none && wanted != 0) {
      // Bins in falling order, neighbours to a thread.
      int const bins = bins_of(digit);
      int const each = bins / block_threads;
      std::uint32_t const* const counts = own.histogram(digit);
      int const top = bins - 1 - static_cast<int>(threadIdx.x) * each;
      std::uint32_t n[2048 / block_threads];
      std::uint32_t own_sum = 0;
#pragma unroll
      for (int i = 0; i < 2048 / block_threads; ++i) {
        n[i] = i < each ? counts[top - i] : 0;
        own_sum += n[i];
      }
      std::uint32_t total = 0;
      std::uint32_t before = exclusive_sum(own_sum, memory_->sums, total);
#pragma unroll
      for (int i = 0; i < 2048 / block_threads; ++i) {
        if (before < wanted && wanted <= before + n[i]) {
          memory_->bin = prefix << (digit == 2 ? 10 : 11) | static_cast<std::uint32_t>(top - i);
          memory_->wanted = wanted - before;
        }
        before += n[i];
      }
    }
    __syncthreads();
    std::uint32_t const found = memory_->bin;
    // No bin: either nothing is wanted (then the threshold is above all), or all there is.
    bool const ends = found == none && (wanted == 0 || wanted == none || digit == 0);
    if (notes && threadIdx.x == 0 && digit < 2) {
      state[digit_prefix + digit] = found;
      state[digit_wanted + digit] = ends ? (wanted == 0 ? 0u : none) : memory_->wanted;
    }
    return !ends;
  }

  [[nodiscard]] __device__ threshold find_threshold(row<Problem> const& own,
                                                    compact_range const& range,
                                                    bool notes) noexcept {
    threshold t{key_of_minus_infinity, 0};
    if (!range.keeps_all()) {
      std::uint32_t const wanted_before = own.state()[digit_wanted + 1];
      if (find_digit(own, range, 2, false)) {
        t.key = static_cast<ordered_key>(memory_->bin ^ 0x80000000u);
        t.ties = memory_->wanted;
      } else if (wanted_before == 0) {
        t.key = key_of_nan;  // forced keys fill the budget
      }
    }
    if (notes && threadIdx.x == 0) {
      own.state()[threshold_key] = static_cast<std::uint32_t>(t.key);
      own.state()[threshold_ties] = t.ties;
    }
    return t;
  }

  __device__ void list_chunk(row<Problem> const& own, compact_range const& range,
                             std::int32_t chunk) noexcept {
    threshold const limit{static_cast<ordered_key>(own.state()[threshold_key]),
                          own.state()[threshold_ties]};
    // What earlier chunks have kept.
    std::uint32_t above_before = 0;
    std::uint32_t equal_before = 0;
    for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < chunk; i += block_threads) {
      above_before += own.counts(i)[0];
      equal_before += own.counts(i)[1];
    }
    std::uint32_t all_above = 0;
    std::uint32_t all_equal = 0;
    (void)exclusive_sum(above_before, memory_->sums, all_above);
    (void)exclusive_sum(equal_before, memory_->sums, all_equal);

    filter const f = filter_of(own, range);
    std::uint32_t above = 0;
    std::uint32_t equal = 0;
    each_key(own, range, chunk, [&](std::int32_t c, ordered_key key) {
      kept const k = judge(range, f, limit, c, key);
      above += k == kept::surely;
      equal += k == kept::tie;
    });
    std::uint32_t total = 0;
    std::uint32_t const before = exclusive_sum(above << 16 | equal, memory_->sums, total);
    std::uint32_t above_now = all_above + (before >> 16);
    std::uint32_t equal_now = all_equal + (before & 0xffffu);

    location const at = own.query(c_);
    std::uint64_t last = ~std::uint64_t{0};
    each_key(own, range, chunk, [&](std::int32_t c, ordered_key key) {
      kept const k = judge(range, f, limit, c, key);
      if (k == kept::no) return;
      if (k == kept::tie && equal_now >= limit.ties) {
        ++equal_now;
        return;
      }
      std::uint32_t const slot = above_now + smaller(equal_now, limit.ties);
      above_now += k == kept::surely;
      equal_now += k == kept::tie;
      write(own, at, slot, range.local(c), key);
      if (!forced(range, c)) last = smaller(last, order_of(range, c, key));
    });
    bool const wants_last = c_.a.threshold_score || c_.a.threshold_position;
    if (wants_last && last != ~std::uint64_t{0}) {
      atomicMin(reinterpret_cast<unsigned long long*>(own.state() + last_kept),
                static_cast<unsigned long long>(last));
    }
    bool const is_last = (chunk + 1) * std::int64_t{chunk_keys} >= range.visible();
    if (is_last && threadIdx.x == 0) {
      own.state()[selected_count] =
          all_above + (total >> 16) + smaller(all_equal + (total & 0xffffu), limit.ties);
    }
  }

  /// Smaller means later in the order: smaller key, or equal and at a larger position.
  [[nodiscard]] __device__ static std::uint64_t order_of(compact_range const& range, std::int32_t c,
                                                         ordered_key key) noexcept {
    return std::uint64_t{radix_bits(key)} << 32 |
           (0x7fffffffu - static_cast<std::uint32_t>(range.local(c)));
  }

  __device__ void write(row<Problem> const& own, location at, std::uint32_t slot,
                        std::int32_t local, ordered_key key) const noexcept {
    if constexpr (Problem::attends) {
      own.index()[slot] = local;
      own.key()[slot] = key;
    }
    if (c_.a.positions) {
      c_.a.positions.at(at.outer, own.scope_head, at.token)[slot] =
          static_cast<std::int32_t>(position_of(c_.p.options.shard, local));
    }
    if (c_.a.scores) {
      c_.a.scores.at(at.outer, own.scope_head, at.token)[slot] = from_ordered(key);
    }
  }

  context<Problem> const& c_;
  select_memory* memory_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
