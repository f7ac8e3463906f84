// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The k-th largest of keys that lie in the blocks of a cluster: histograms over a range of keys
/// that narrows, then the few keys of one bin ranked one by one.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/tuning/select_rows.cuh>
#include <tka/detail/cuda/warp/cluster.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Bins of one histogram; two stand in one word, the lower one in the lower half.
inline constexpr int narrow_bins = 512;
inline constexpr int narrow_words = narrow_bins / 2;
/// What such bins can count.
inline constexpr std::uint32_t max_counted = 65535;
/// Says that a block does not hold all that it should.
inline constexpr std::uint32_t does_not_fit = 1u << 24;

/// The keys of a block as others need to know them.
struct block_keys {
  std::uint32_t held;   ///< `does_not_fit` and more: not all of them
  std::uint32_t equal;  ///< that are not held and equal the gate
};

/// A threshold: keys above `key` are kept, and the first `ties` of those that equal it.
struct narrowed {
  std::uint32_t key;
  std::uint32_t ties;
  std::uint32_t equal;   ///< keys that equal it, in all blocks
  std::uint32_t above;   ///< keys above it in earlier blocks
  std::uint32_t before;  ///< keys equal to it in earlier blocks
  std::uint32_t own;     ///< keys equal to it in this block
};

/// Shared memory of a search, the same in all blocks of a cluster.
struct narrow_memory {
  std::uint32_t histogram[2][narrow_words];
  std::uint32_t total[narrow_words];  ///< over the cluster
  std::uint32_t candidate[max_candidates];
  std::uint32_t all[max_candidates];  ///< candidates of the cluster
  std::uint32_t from_candidate[max_cluster][max_candidates];
  std::uint32_t from_above[max_cluster];
  std::uint32_t from_count[max_cluster];
  std::uint32_t above;
  std::uint32_t count;  ///< of candidates
  block_keys keys;
  block_keys sum;  ///< over the cluster
  struct {
    std::uint32_t bin;  ///< ~0: there are too few keys
    std::uint32_t wanted;
    std::uint32_t count;
  } found;
  struct {
    std::uint32_t key;
    std::uint32_t ties;
    std::uint32_t equal;
  } ranked;
};

template <int Threads>
class key_narrowing {
 public:
  __device__ key_narrowing(narrow_memory& memory, cluster const& blocks, int candidates) noexcept
      : m_(memory), blocks_(blocks), candidates_(candidates) {}

  /// Once a row; a barrier must follow.
  __device__ static void clear(narrow_memory& m) noexcept {
    if (thread() < narrow_words) {
      m.histogram[0][thread()] = 0;
      m.histogram[1][thread()] = 0;
      m.total[thread()] = 0;
    }
    if (thread() == 0) {
      m.above = 0;
      m.count = 0;
    }
  }

  /// Narrows [low, high], above which there may be keys too, to the bin in which the `wanted`
  /// largest keys end; false where there are fewer, `wanted` is then what is missing. `first(use)`
  /// and `again(use)` call use(key) for each key of this block. All threads; those of other blocks
  /// are waited for.
  template <class First, class Again>
  [[nodiscard]] __device__ bool narrow(std::uint32_t low, std::uint32_t high, std::uint32_t& wanted,
                                       First&& first, Again&& again) noexcept {
    low_ = low;
    high_ = high;
    bool open = true;  // keys above `high` are counted in the last bin
    int turn = 0;
#pragma unroll 1
    while (true) {
      std::uint32_t const width = high_ - low_;
      int const shift = width < narrow_bins ? 0 : 23 - __clz(static_cast<int>(width));
      std::uint32_t* const histogram = m_.histogram[turn];
      auto const count = [&](std::uint32_t key) {
        std::uint32_t const at = key - low_;
        if (key < low_ || (!open && at > width)) return;
        std::uint32_t const bin = smaller(at >> shift, narrow_bins - 1u);
        atomicAdd(&histogram[bin / 2], 1u << (bin % 2 * 16));
      };
      if (open) {
        first(count);
      } else {
        again(count);
      }
      std::uint32_t* counts = histogram;
      if (blocks_.alone()) {
        if (thread() == 0) m_.sum = m_.keys;
        __syncthreads();
      } else {
        gather(turn, open);
        counts = m_.total;
      }
      if (open && (m_.sum.held > max_counted)) {
        wanted = ~0u;
        return false;
      }
      if (thread() < 32) find(counts, wanted);
      __syncthreads();
      wanted = m_.found.wanted;
      if (m_.found.bin == ~0u) return false;
      std::uint32_t const bin = m_.found.bin;
      bool const last = open && bin == narrow_bins - 1;
      low_ += bin << shift;
      std::uint32_t const top = low_ + ((1u << shift) - 1);
      high_ = last || top < low_ ? ~0u : open ? top : smaller(top, high_);
      in_bin_ = m_.found.count;
      exact_ = low_ == high_;
      if (exact_ || in_bin_ == wanted || in_bin_ <= static_cast<std::uint32_t>(candidates_)) {
        return true;
      }
      open = false;
      turn ^= 1;
    }
  }

  /// After `narrow`: the threshold, and how the kept keys are shared out among the blocks.
  template <class Each>
  [[nodiscard]] __device__ narrowed settle(std::uint32_t wanted, Each&& each) noexcept {
    bool const whole = in_bin_ == wanted;  // then the edge of the bin is a threshold
    bool const ranks = !whole && !exact_;
    std::uint32_t above = 0;
    std::uint32_t equal = 0;
    each([&](std::uint32_t key) {
      if (key > high_) {
        ++above;
      } else if (key >= low_) {
        ++equal;
        if (ranks) m_.candidate[atomicAdd(&m_.count, 1u)] = key;
      }
    });
    if (!blocks_.alone()) add(m_.above, above);
    if (!ranks) add(m_.count, equal);
    __syncthreads();
    narrowed n{low_, wanted, in_bin_, 0, 0, 0};
    if (ranks) {
      std::uint32_t const* all = m_.candidate;
      if (!blocks_.alone()) {
        exchange(true);
        join_candidates();
        all = m_.all;
      }
      rank(all, in_bin_, wanted);
      n.key = m_.ranked.key;
      n.ties = m_.ranked.ties;
      n.equal = m_.ranked.equal;
    } else if (!blocks_.alone()) {
      exchange(false);
    }
    if (whole) {
      n.key = low_ - 1;
      n.ties = 0;
      n.equal = 0;
    }
    n.own = n.equal;
    if (!blocks_.alone()) find_earlier(n, ranks, whole);
    return n;
  }

  /// Instead, where all keys that are held are kept, and of the others `ties` that equal `key`.
  [[nodiscard]] __device__ narrowed keep_held(std::uint32_t key, std::uint32_t ties) noexcept {
    narrowed n{key, ties, m_.sum.equal, 0, 0, m_.keys.equal};
    if (blocks_.alone()) return n;
    if (thread() == 0) {
      m_.above = m_.keys.held;
      m_.count = m_.keys.equal;
    }
    __syncthreads();
    exchange(false);
    find_earlier(n, false, false);
    return n;
  }

  /// Keys that equal the gate and are not held, in all blocks.
  [[nodiscard]] __device__ std::uint32_t equal_to_gate() const noexcept { return m_.sum.equal; }

 private:
  static constexpr int warps = Threads / 32;
  static_assert(Threads >= narrow_words);

  [[nodiscard]] __device__ static int thread() noexcept { return static_cast<int>(threadIdx.x); }
  [[nodiscard]] __device__ static int lane() noexcept { return thread() % 32; }

  __device__ static void add(std::uint32_t& sum, std::uint32_t own) noexcept {
    std::uint32_t const all = __reduce_add_sync(0xffffffffu, own);
    if (lane() == 0 && all > 0) atomicAdd(&sum, all);
  }

  /// Adds the histograms of all blocks, and at first what they hold.
  __device__ void gather(int turn, bool first) noexcept {
    blocks_.wait();
    int const warp = thread() / 32;
    constexpr int parts = narrow_words / 128;  // that a warp reads at once
#pragma unroll 1
    for (int i = warp; i < blocks_.size * parts; i += warps) {
      int const word = i % parts * 128 + 4 * lane();
      uint4 const n =
          *reinterpret_cast<uint4 const*>(blocks_.of(m_.histogram[turn] + word, i / parts));
      std::uint32_t* const sum = m_.total + word;
      if (n.x != 0) atomicAdd(sum, n.x);
      if (n.y != 0) atomicAdd(sum + 1, n.y);
      if (n.z != 0) atomicAdd(sum + 2, n.z);
      if (n.w != 0) atomicAdd(sum + 3, n.w);
    }
    if (first && warp == warps - 1) {
      block_keys own{};
      if (lane() < blocks_.size) own = *blocks_.of(&m_.keys, lane());
      own.held = __reduce_add_sync(0xffffffffu, own.held);
      own.equal = __reduce_add_sync(0xffffffffu, own.equal);
      if (lane() == 0) m_.sum = own;
    }
    // All have read the one before, which is the next.
    if (!first) {
      for (int i = thread(); i < narrow_words; i += Threads) m_.histogram[turn ^ 1][i] = 0;
    }
    __syncthreads();
  }

  /// The bin in which the wanted keys end, from the top; leaves zeros. One warp.
  __device__ void find(std::uint32_t* counts, std::uint32_t wanted) noexcept {
    constexpr int own = narrow_words / 32;
    static_assert(own == 8);
    auto* const words = reinterpret_cast<uint4*>(counts + narrow_words - own * (lane() + 1));
    uint4 const low = words[0];
    uint4 const high = words[1];
    words[0] = uint4{};
    words[1] = uint4{};
    std::uint32_t const n[own] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    std::uint32_t sum = 0;
#pragma unroll
    for (int i = 0; i < own; ++i) sum += (n[i] & 0xffffu) + (n[i] >> 16);
    std::uint32_t const all = inclusive_warp_sum(sum);
    std::uint32_t before = all - sum;
    if (before < wanted && wanted <= all) {
#pragma unroll
      for (int i = 2 * own - 1; i >= 0; --i) {
        std::uint32_t const in_bin = i % 2 == 1 ? n[i / 2] >> 16 : n[i / 2] & 0xffffu;
        if (before < wanted && wanted <= before + in_bin) {
          m_.found = {static_cast<std::uint32_t>(narrow_bins - 2 * own * (lane() + 1) + i),
                      wanted - before, in_bin};
        }
        before += in_bin;
      }
    }
    if (lane() == 31 && all < wanted) m_.found = {~0u, wanted - all, 0};
  }

  /// Tells all blocks what this one has above the bin and in it.
  __device__ void exchange(bool candidates) noexcept {
    std::uint32_t const count = m_.count;
#pragma unroll 1
    for (int i = thread() / 32; i < blocks_.size; i += warps) {
      narrow_memory& to = *blocks_.of(&m_, i);
      if (lane() == 0) {
        to.from_above[blocks_.rank] = m_.above;
        to.from_count[blocks_.rank] = count;
      }
      if (candidates) {
#pragma unroll 1
        for (auto j = static_cast<std::uint32_t>(lane()); j < count; j += 32) {
          to.from_candidate[blocks_.rank][j] = m_.candidate[j];
        }
      }
    }
    blocks_.wait();
  }
  __device__ void join_candidates() noexcept {
    std::uint32_t const count = lane() < blocks_.size ? m_.from_count[lane()] : 0;
#pragma unroll 1
    for (int i = thread() / 32; i < blocks_.size; i += warps) {
      std::uint32_t const before = __reduce_add_sync(0xffffffffu, lane() < i ? count : 0);
      std::uint32_t const own = m_.from_count[i];
#pragma unroll 1
      for (auto j = static_cast<std::uint32_t>(lane()); j < own; j += 32) {
        m_.all[before + j] = m_.from_candidate[i][j];
      }
    }
    __syncthreads();
  }

  /// Which of `count` keys is the wanted-th largest: a warp a key.
  __device__ void rank(std::uint32_t const* keys, std::uint32_t count,
                       std::uint32_t wanted) noexcept {
#pragma unroll 1
    for (auto i = static_cast<std::uint32_t>(thread() / 32); i < count; i += warps) {
      std::uint32_t const own = keys[i];
      std::uint32_t above = 0;
      std::uint32_t equal = 0;
#pragma unroll 1
      for (auto j = static_cast<std::uint32_t>(lane()); j < count; j += 32) {
        std::uint32_t const other = keys[j];
        above += other > own ? 1 : 0;
        equal += other == own ? 1 : 0;
      }
      std::uint32_t const both = __reduce_add_sync(0xffffffffu, above << 16 | equal);
      above = both >> 16;
      equal = both & 0xffffu;
      if (lane() == 0 && above < wanted && wanted <= above + equal) {
        m_.ranked = {own, wanted - above, equal};
      }
    }
    __syncthreads();
  }

  /// What earlier blocks have above the threshold and at it, and this one at it.
  __device__ void find_earlier(narrowed& n, bool ranked, bool whole) const noexcept {
    std::uint32_t above = 0;
    std::uint32_t equal = 0;
    if (lane() < blocks_.size) {
      std::uint32_t const count = m_.from_count[lane()];
      above = m_.from_above[lane()];
      equal = count;
      if (ranked) {
        equal = 0;
#pragma unroll 1
        for (std::uint32_t j = 0; j < count; ++j) {
          std::uint32_t const key = m_.from_candidate[lane()][j];
          above += key > n.key ? 1 : 0;
          equal += key == n.key ? 1 : 0;
        }
      } else if (whole) {
        above += count;
        equal = 0;
      }
    }
    n.own = __shfl_sync(0xffffffffu, equal, blocks_.rank);
    n.above = __reduce_add_sync(0xffffffffu, lane() < blocks_.rank ? above : 0);
    n.before = __reduce_add_sync(0xffffffffu, lane() < blocks_.rank ? equal : 0);
  }

  narrow_memory& m_;
  cluster const blocks_;
  int const candidates_;
  std::uint32_t low_ = 0;
  std::uint32_t high_ = 0;
  std::uint32_t in_bin_ = 0;
  bool exact_ = false;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
