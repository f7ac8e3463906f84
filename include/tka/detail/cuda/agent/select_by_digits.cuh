// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The way of selecting from a row that serves any row: radix select by three digits, the cluster
/// reading all of the row for each, then to count and to write what is kept.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/block/find_bin.cuh>
#include <tka/detail/cuda/warp/cluster.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/report.cuh>
#include <tka/detail/cuda/work/score_row.cuh>
#include <tka/detail/cuda/work/selection_rules.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Shared memory of it, the same in all blocks of a cluster.
struct digits_memory {
  std::uint32_t histogram[max_bins];
  std::uint32_t total[max_bins];  ///< over the cluster
  std::uint32_t of_warp[32];
  std::uint32_t above_of_warp[32];
  std::uint32_t equal_of_warp[32];
  std::uint32_t above;  ///< kept surely, of this block; while digits are counted, forced keys
  std::uint32_t equal;
  digit_state found;
};

template <class Problem, int Threads>
class select_by_digits {
 public:
  __device__ select_by_digits(plan const& p, arguments<Problem> const& a, digits_memory& memory,
                              cluster const& blocks) noexcept
      : p_(p), a_(a), m_(memory), blocks_(blocks) {}

  /// Writes the kept keys of a row; how many they are. All threads of the cluster.
  __device__ std::uint32_t run(row_state& state, selection_rules const& rules) noexcept {
    own_ = share_of(rules.visible);
    find_drafts(state.row);
    threshold limit{key_of_minus_infinity, 0};
    if (!rules.keeps_all()) limit = find_threshold(state.row, state.from, rules);
    return write(state, rules, limit);
  }

 private:
  static constexpr int warps = Threads / 32;
  static constexpr unsigned all_lanes = 0xffffffffu;

  struct share {
    std::int32_t begin;
    std::int32_t end;
  };

  [[nodiscard]] __device__ static int lane() noexcept { return static_cast<int>(threadIdx.x % 32); }
  [[nodiscard]] __device__ static int warp() noexcept { return static_cast<int>(threadIdx.x / 32); }

  /// This warp's share of the keys: neighbours, so that what it keeps is written in order.
  [[nodiscard]] __device__ share share_of(std::int32_t keys) const noexcept {
    std::int64_t const each = round_up(ceil_div(keys, std::int64_t{blocks_.size} * warps), 32);
    std::int64_t const begin = (std::int64_t{blocks_.rank} * warps + warp()) * each;
    return {static_cast<std::int32_t>(smaller<std::int64_t>(begin, keys)),
            static_cast<std::int32_t>(smaller<std::int64_t>(begin + each, keys))};
  }

  /// The key at a compact index; that of a missing page is no key.
  [[nodiscard]] __device__ ordered_key key_at(row_place const& row, float const* scores,
                                              selection_rules const& rules,
                                              std::int32_t c) const noexcept {
    std::int32_t const local = rules.local(c);
    if (local >= drafts_begin_ && (drafts_ >> (local - drafts_begin_) & 1u) == 0) {
      return key_of_nothing;
    }
    if constexpr (Problem::kv_source::has_pages) {
      location const at = Problem::kv_source::locate(a_.kv, row.b, local, p_.shape.page_size);
      if (at.outer < 0) {
        report(a_.error, data_error::page_out_of_range);
        return key_of_nothing;
      }
    }
    return to_ordered(scores[local]);
  }

  __device__ void find_drafts(row_place const& row) noexcept {
    if (a_.mask.draft_keys == 0) return;
    drafts_begin_ = row.length - a_.mask.draft_keys;
    drafts_ = *a_.mask.drafts.at(row.at.outer, 0, row.at.token);
  }

  /// use(c, key) for each key of this warp's share, with all lanes; a key that is not there is
  /// key_of_nothing.
  template <class Use>
  __device__ void each(row_place const& row, float const* scores, selection_rules const& rules,
                       Use&& use) const noexcept {
    constexpr int at_once = 8;
#pragma unroll 1
    for (std::int32_t first = own_.begin; first < own_.end; first += 32 * at_once) {
      ordered_key key[at_once];
#pragma unroll
      for (int i = 0; i < at_once; ++i) {
        std::int32_t const c = first + 32 * i + lane();
        key[i] = c < own_.end ? key_at(row, scores, rules, c) : key_of_nothing;
      }
#pragma unroll
      for (int i = 0; i < at_once; ++i) use(first + 32 * i + lane(), key[i]);
    }
  }

  [[nodiscard]] __device__ TKA_OUT_OF_LINE threshold
  find_threshold(row_place const& row, float const* scores, selection_rules const& rules) noexcept {
    digit_state known{};
#pragma unroll 1
    for (int digit = 0; digit < digits; ++digit) {
      for (int i = static_cast<int>(threadIdx.x); i < max_bins; i += Threads) m_.histogram[i] = 0;
      if (threadIdx.x == 0) m_.above = 0;
      __syncthreads();
      count(row, scores, rules, digit, known);
      blocks_.wait();
      join(bins_of(digit));
      if (digit == 0) {
        std::uint32_t forced = 0;
        for (int i = 0; i < blocks_.size; ++i) forced += blocks_.of(&m_, i)->above;
        known.wanted = static_cast<std::uint32_t>(rules.keep) - forced;
      }
      __syncthreads();
      // Also where forced keys fill the budget all go the whole way: others wait.
      find(digit, known);
      known = m_.found;
      blocks_.wait();  // all have read the histograms
    }
    auto const key = static_cast<ordered_key>(known.prefix ^ 0x80000000u);
    if (known.wanted == 0) return {key_of_nan, 0};
    if (key <= key_of_minus_infinity) return {key_of_minus_infinity, 0};
    return {key, known.wanted};
  }

  /// A digit of the keys that compete and share those above it with the threshold; first also the
  /// forced ones. What does not compete is counted in the lowest bin, below every threshold. Keys
  /// that follow one another are often alike, so a thread counts a run of them at once.
  __device__ void count(row_place const& row, float const* scores, selection_rules const& rules,
                        int digit, digit_state const& known) noexcept {
    int const shift = shift_of(digit);
    auto const last = static_cast<std::uint32_t>(bins_of(digit) - 1);
    std::uint32_t forced = 0;
    std::uint32_t bin = 0;
    std::uint32_t run = 0;
    each(row, scores, rules, [&](std::int32_t c, ordered_key key) {
      if (c >= own_.end) return;
      if (!rules.plain && rules.forced(c)) forced += key > key_of_minus_infinity ? 1 : 0;
      std::uint32_t const bits = radix_bits(rules.plain ? key : rules.competing(c, key));
      if (digit > 0 && bits >> shift_of(digit - 1) != known.prefix) return;
      std::uint32_t const own = bits >> shift & last;
      if (own != bin && run > 0) {
        atomicAdd(&m_.histogram[bin], run);
        run = 0;
      }
      bin = own;
      ++run;
    });
    if (run > 0) atomicAdd(&m_.histogram[bin], run);
    if (digit == 0 && forced > 0) atomicAdd(&m_.above, forced);
  }

  __device__ void join(int bins) noexcept {
    for (int i = static_cast<int>(threadIdx.x); i < bins; i += Threads) {
      std::uint32_t sum = 0;
      for (int b = 0; b < blocks_.size; ++b) sum += blocks_.of(m_.histogram, b)[i];
      m_.total[i] = sum;
    }
  }

  /// The bin in which the wanted keys end; the lowest where there are fewer, or none is wanted.
  __device__ void find(int digit, digit_state known) noexcept {
    int const own = bins_of(digit) / Threads;  // threads fall from the top
    int const end = bins_of(digit) - static_cast<int>(threadIdx.x) * own;
    std::uint32_t sum = 0;
    for (int i = 1; i <= own; ++i) sum += m_.total[end - i];
    std::uint32_t const all = inclusive_warp_sum(sum);
    if (lane() == 31) m_.of_warp[warp()] = all;
    int const bits = digit == 2 ? 10 : 11;
    if (threadIdx.x == 0) m_.found = {known.prefix << bits, known.wanted};
    __syncthreads();
    std::uint32_t before =
        __reduce_add_sync(all_lanes, lane() < warp() ? m_.of_warp[lane() % warps] : 0) + all - sum;
    if (before < known.wanted && known.wanted <= before + sum) {
      int bin = end - 1;
      while (before + m_.total[bin] < known.wanted) before += m_.total[bin--];
      m_.found = {known.prefix << bits | static_cast<std::uint32_t>(bin), known.wanted - before};
    }
    __syncthreads();
  }

  [[nodiscard]] __device__ std::uint32_t write(row_state& state, selection_rules const& rules,
                                               threshold const& limit) noexcept {
    std::uint32_t above = 0;
    std::uint32_t equal = 0;
    each(state.row, state.from, rules, [&](std::int32_t c, ordered_key key) {
      kept const k = c < own_.end ? rules.template judge<false>(limit, c, key) : kept::no;
      above += k == kept::surely ? 1 : 0;
      equal += k == kept::tie ? 1 : 0;
    });
    above = __reduce_add_sync(all_lanes, above);
    equal = __reduce_add_sync(all_lanes, equal);
    if (lane() == 0) {
      m_.above_of_warp[warp()] = above;
      m_.equal_of_warp[warp()] = equal;
    }
    __syncthreads();
    std::uint32_t const own_above = lane() < warps ? m_.above_of_warp[lane() % warps] : 0;
    std::uint32_t const own_equal = lane() < warps ? m_.equal_of_warp[lane() % warps] : 0;
    std::uint32_t before_above = __reduce_add_sync(all_lanes, lane() < warp() ? own_above : 0);
    std::uint32_t before_equal = __reduce_add_sync(all_lanes, lane() < warp() ? own_equal : 0);
    std::uint32_t const block_above = __reduce_add_sync(all_lanes, own_above);
    std::uint32_t const block_equal = __reduce_add_sync(all_lanes, own_equal);
    if (threadIdx.x == 0) {
      m_.above = block_above;
      m_.equal = block_equal;
    }
    blocks_.wait();
    std::uint32_t all_above = 0;
    std::uint32_t all_equal = 0;
    for (int i = 0; i < blocks_.size; ++i) {
      digits_memory const& other = *blocks_.of(&m_, i);
      std::uint32_t const n_above = other.above;
      std::uint32_t const n_equal = other.equal;
      all_above += n_above;
      all_equal += n_equal;
      if (i < blocks_.rank) {
        before_above += n_above;
        before_equal += n_equal;
      }
    }
    blocks_.wait();  // all have read what a next row changes
    if (above + equal > 0) put(state, rules, limit, before_above, before_equal);
    return all_above + smaller(all_equal, limit.ties);
  }

  /// `above` and `equal` lie in front of this warp's share.
  __device__ void put(row_state& state, selection_rules const& rules, threshold const& limit,
                      std::uint32_t above, std::uint32_t equal) noexcept {
    unsigned const lower = (1u << lane()) - 1;
    std::uint64_t last = ~std::uint64_t{0};
    each(state.row, state.from, rules, [&](std::int32_t c, ordered_key key) {
      kept const k = c < own_.end ? rules.template judge<false>(limit, c, key) : kept::no;
      unsigned const sure = __ballot_sync(all_lanes, k == kept::surely);
      unsigned const same = __ballot_sync(all_lanes, k == kept::tie);
      std::uint32_t const tie = equal + __popc(same & lower);
      if (k == kept::surely || (k == kept::tie && tie < limit.ties)) {
        std::int32_t const local = rules.local(c);
        std::uint32_t const bits = radix_bits(key);
        state.put(above + __popc(sure & lower) + smaller(tie, limit.ties), local, bits);
        if (!rules.forced(c)) last = smaller(last, row_state::place_in_order(local, bits));
      }
      above += __popc(sure);
      equal += __popc(same);
    });
    if (state.wants_last) state.note_last(last);
  }

  plan const& p_;
  arguments<Problem> const& a_;
  digits_memory& m_;
  cluster const blocks_;
  share own_{};
  std::int32_t drafts_begin_ = 0x7fffffff;  ///< of these a bit says which are visible
  std::uint64_t drafts_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
