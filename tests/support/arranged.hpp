// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A problem of the oracle laid out in memory for one precision and one form. Everything around
/// the rows is NaN: page tails, slots behind a sequence, heads and columns outside a slice.

#pragma once

#include <tka/form.hpp>
#include <tka/options.hpp>
#include <tka/shape.hpp>

#include <oracle/oracle.hpp>
#include <support/buffers.hpp>
#include <support/cache_layouts.hpp>
#include <support/seed.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

namespace support {

/// The choices that must never change an answer.
struct arrangement {
  order q = order::hnd;
  order kv = order::hnd;
  order out = order::hnd;
  int page_size = 7;
  int kv_bound = 0;     ///< 0: the longest sequence
  bool lengths = true;  ///< contiguous: false leaves the lengths to the bound
  bool v_in_k = false;  ///< v is the front of k's rows; the caller made their values equal
  tka::shard shard{};   ///< the keys of this part only
};

template <class Precision, class Form>
class arranged {
 public:
  using query_source = typename Form::query_source;
  using kv_source = typename Form::kv_source;
  using key_type = typename Precision::key_type;
  using value_type = typename Precision::value_type;
  static constexpr bool ragged_queries = std::is_same_v<query_source, tka::query::ragged>;
  static constexpr bool ragged_keys = std::is_same_v<kv_source, tka::kv::ragged>;
  static constexpr bool paged_keys = std::is_same_v<kv_source, tka::kv::paged>;
  using cache_layout = typename Form::cache_layout;
  static constexpr bool scaled = std::is_same_v<cache_layout, tka::layout::scaled>;
  static constexpr bool one_row = std::is_same_v<cache_layout, tka::layout::mla_656>;

  arranged(oracle::problem const& p, arrangement const& how) : problem_(p), how_(how) {
    find_local_keys();
    place_queries();
    place_keys();
    for (auto const& s : p.sequences) budgets_.push_back(s.k_of_sequence);
    auto const& r = p.rules;
    for (double const x : r.sink_logits) sink_logits_.push_back(static_cast<float>(x));
    // Stored scores may come without q, k and v; then those stay null.
    if (r.score == oracle::score::stored && p.sequences.front().q.empty()) return;
    q_ = tensor<typename Precision::query_type>(q_places_, r.q_heads, r.qk_dim, how.q);
    for (std::size_t b = 0; b < p.sequences.size(); ++b) {
      auto const& s = p.sequences[b];
      put(s.q, r.q_heads, s.q_len, r.qk_dim, q_places_.at[b], all_tokens(s.q_len), q_);
    }
    put_cache();
  }

  oracle::problem const& problem() const { return problem_; }
  arrangement const& how() const { return how_; }
  places const& q_places() const { return q_places_; }
  places const& kv_places() const { return kv_places_; }
  std::vector<int> const& local_keys(std::size_t b) const { return local_[b]; }

  tka::shape shape() const {
    auto const& r = problem_.rules;
    tka::shape s{};
    s.batch = static_cast<std::int32_t>(problem_.sequences.size());
    s.q_heads = r.q_heads;
    s.kv_heads = r.kv_heads;
    for (auto const& one : problem_.sequences) {
      s.q_len = std::max(s.q_len, one.q_len);
      s.kv_len = std::max(s.kv_len, one.kv_len);
    }
    if (!ragged_queries) s.q_len = problem_.sequences.front().q_len;
    if (how_.kv_bound > 0) s.kv_len = how_.kv_bound;
    s.qk_dim = r.qk_dim;
    s.v_dim = r.v_dim;
    if (paged_keys) s.page_size = how_.page_size;
    s.index_heads = r.index_heads;
    s.index_dim = r.index_dim;
    return s;
  }

  /// Fills what all three calls name alike.
  template <class Tensors>
  void fill_common(Tensors& t) const {
    t.q = q_.view();
    t.k = k_.view();
    if constexpr (ragged_queries) {
      t.query.cumulative = q_cumulative_.data();
      if (gives_positions()) t.query.positions = q_positions_.data();
    } else if (gives_positions()) {
      t.query.positions = q_positions_.data();
      t.query.positions_stride = problem_.sequences.front().q_len;
    }
    if constexpr (ragged_keys) {
      t.kv.cumulative = kv_cumulative_.data();
    } else if constexpr (paged_keys) {
      t.kv = {.lengths = kv_lengths_.data(),
              .block_table = table_.data(),
              .table_stride = table_stride_,
              .table_begin = nullptr,
              .pages = static_cast<std::int32_t>(kv_places_.outer_count)};
    } else if (how_.lengths) {
      t.kv.lengths = kv_lengths_.data();
    }
    if constexpr (scaled) t.scales = {.k = scale_view_of(k_scales_), .v = scale_view_of(v_scales_)};
  }
  template <class Tensors>
  void fill_values(Tensors& t) const {
    if (one_row) {
      // v is in the row of k.
    } else if (how_.v_in_k) {
      if constexpr (std::is_same_v<key_type, value_type>) t.v = k_.view();
    } else {
      t.v = v_.view();
    }
    if (!sink_logits_.empty()) t.sink_logits = sink_logits_.data();
  }
  std::int32_t const* k_per_sequence() const {
    bool const given = std::any_of(budgets_.begin(), budgets_.end(), [](int k) { return k >= 0; });
    return given ? budgets_.data() : nullptr;
  }

  tensor<typename Precision::query_type>& q() { return q_; }
  tensor<key_type>& k() { return k_; }
  tensor<value_type>& v() { return v_; }
  array<std::int32_t>& block_table() { return table_; }
  array<std::int32_t>& kv_lengths() { return kv_lengths_; }
  std::int64_t table_stride() const { return table_stride_; }

  /// Copies [heads][len][dim] to its places; `tokens` are the ones that have a place, in order.
  template <class T>
  static void put(std::vector<float> const& from, int heads, int len, int dim,
                  std::vector<tka::location> const& at, std::vector<int> const& tokens,
                  tensor<T>& to) {
    for (int h = 0; h < heads; ++h) {
      for (std::size_t n = 0; n < tokens.size(); ++n) {
        T* const row = to.at(at[n], h);
        float const* const source =
            from.data() + (std::int64_t{h} * len + tokens[n]) * std::int64_t{dim};
        for (int d = 0; d < dim; ++d) row[d] = static_cast<T>(source[d]);
      }
    }
  }
  static std::vector<int> all_tokens(int count) {
    std::vector<int> out(static_cast<std::size_t>(count));
    std::iota(out.begin(), out.end(), 0);
    return out;
  }

 private:
  void put_cache() {
    auto const& r = problem_.rules;
    k_ = tensor<key_type>(kv_places_, r.kv_heads, one_row ? 656 : r.qk_dim, how_.kv);
    bool const has_v = !how_.v_in_k && !one_row;
    if (has_v) v_ = tensor<value_type>(kv_places_, r.kv_heads, r.v_dim, how_.kv);
    if (scaled) {
      k_scales_ = tensor<float>(kv_places_, r.kv_heads, scale_blocks(r.qk_dim), order::hnd);
      v_scales_ = tensor<float>(kv_places_, r.kv_heads, scale_blocks(r.v_dim), order::hnd);
    }
    for (std::size_t b = 0; b < problem_.sequences.size(); ++b) {
      auto const& s = problem_.sequences[b];
      auto const& at = kv_places_.at[b];
      if constexpr (one_row) {
        for (std::size_t n = 0; n < local_[b].size(); ++n) {
          put_mla_656(s.k.data() + std::int64_t{local_[b][n]} * 576, k_.at(at[n], 0));
        }
      } else {
        put(s.k, r.kv_heads, s.kv_len, r.qk_dim, at, local_[b], k_);
        if (has_v) put(s.v, r.kv_heads, s.kv_len, r.v_dim, at, local_[b], v_);
      }
      if constexpr (scaled) {
        take_scales_out(at, r.kv_heads, k_, k_scales_);
        take_scales_out(at, r.kv_heads, v_, v_scales_);
      }
    }
  }

  bool gives_positions() const { return !q_positions_.empty(); }

  void find_local_keys() {
    auto const& part = how_.shard;
    for (auto const& s : problem_.sequences) {
      std::vector<int> own;
      for (int j = 0; j < s.kv_len; ++j) {
        if (j / part.block % part.count == part.index) own.push_back(j);
      }
      local_.push_back(std::move(own));
      kv_lengths_.push_back(s.kv_len);
    }
  }

  void place_queries() {
    std::int64_t token = ragged_queries ? 2 : 0;  // rows of no sequence lie in front
    std::int64_t longest = 0;
    for (std::size_t b = 0; b < problem_.sequences.size(); ++b) {
      auto const& s = problem_.sequences[b];
      q_cumulative_.push_back(static_cast<std::int32_t>(token));
      std::vector<tka::location> at;
      for (int i = 0; i < s.q_len; ++i) {
        at.push_back(ragged_queries ? tka::location{0, token + i}
                                    : tka::location{static_cast<std::int64_t>(b), i});
      }
      if (ragged_queries) token += s.q_len;
      longest = std::max<std::int64_t>(longest, s.q_len);
      q_places_.at.push_back(std::move(at));
    }
    q_cumulative_.push_back(static_cast<std::int32_t>(token));
    q_places_.outer_count =
        ragged_queries ? 1 : static_cast<std::int64_t>(problem_.sequences.size());
    q_places_.token_count = ragged_queries ? token + 1 : longest + 1;
    if (problem_.sequences.front().query_position.empty()) return;
    if (ragged_queries) q_positions_.assign(2, 0);
    for (auto const& s : problem_.sequences) {
      q_positions_.insert(q_positions_.end(), s.query_position.begin(), s.query_position.end());
    }
  }

  void place_keys() {
    if constexpr (paged_keys) {
      place_pages();
      return;
    }
    std::int64_t token = ragged_keys ? 3 : 0;
    std::int64_t longest = 0;
    for (std::size_t b = 0; b < problem_.sequences.size(); ++b) {
      kv_cumulative_.push_back(static_cast<std::int32_t>(token));
      std::vector<tka::location> at;
      auto const count = static_cast<std::int64_t>(local_[b].size());
      for (std::int64_t i = 0; i < count; ++i) {
        at.push_back(ragged_keys ? tka::location{0, token + i}
                                 : tka::location{static_cast<std::int64_t>(b), i});
      }
      if (ragged_keys) token += count;
      longest = std::max(longest, count);
      kv_places_.at.push_back(std::move(at));
    }
    kv_cumulative_.push_back(static_cast<std::int32_t>(token));
    kv_places_.outer_count = ragged_keys ? 1 : static_cast<std::int64_t>(problem_.sequences.size());
    kv_places_.token_count = (ragged_keys ? token : longest) + 2;
  }

  /// Pages in a random order, some of no sequence; table entries behind a sequence are garbage.
  void place_pages() {
    random_source random("page table");
    std::int64_t needed = 0;
    for (auto const& own : local_) {
      auto const pages = pages_of(static_cast<std::int64_t>(own.size()));
      needed += pages;
      table_stride_ = std::max(table_stride_, pages + 1);
    }
    std::vector<std::int32_t> free_pages(static_cast<std::size_t>(needed + 3));
    std::iota(free_pages.begin(), free_pages.end(), 0);
    for (std::size_t i = free_pages.size() - 1; i > 0; --i) {
      std::swap(free_pages[i], free_pages[random.below(i + 1)]);
    }
    table_.assign(static_cast<std::size_t>(table_stride_) * local_.size(), -7);
    for (std::size_t b = 0; b < local_.size(); ++b) {
      auto const count = static_cast<std::int64_t>(local_[b].size());
      auto const begin = static_cast<std::int64_t>(b) * table_stride_;
      for (std::int64_t page = 0; page < pages_of(count); ++page) {
        table_[static_cast<std::size_t>(begin + page)] = free_pages.back();
        free_pages.pop_back();
      }
      std::vector<tka::location> at;
      for (std::int64_t i = 0; i < count; ++i) {
        at.push_back(
            {table_[static_cast<std::size_t>(begin + i / how_.page_size)], i % how_.page_size});
      }
      kv_places_.at.push_back(std::move(at));
    }
    kv_places_.outer_count = needed + 3;
    kv_places_.token_count = how_.page_size;
  }
  std::int64_t pages_of(std::int64_t tokens) const {
    return (tokens + how_.page_size - 1) / how_.page_size;
  }

  oracle::problem problem_;
  arrangement how_;
  std::vector<std::vector<int>> local_;  // positions of the keys that are here
  places q_places_;
  places kv_places_;
  array<std::int32_t> q_cumulative_;
  array<std::int32_t> q_positions_;
  array<std::int32_t> kv_cumulative_;
  array<std::int32_t> kv_lengths_;
  array<std::int32_t> table_;
  std::int64_t table_stride_ = 0;
  array<std::int32_t> budgets_;
  array<float> sink_logits_;
  tensor<typename Precision::query_type> q_;
  tensor<key_type> k_;
  tensor<value_type> v_;
  tensor<float> k_scales_;  // only layout::scaled
  tensor<float> v_scales_;
};

}  // namespace support
