// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A whole call of sparse_attention over random numbers, every buffer exactly as large as promised
/// and beside a page that cannot be touched.

#pragma once

#include <tka/sparse_attention.hpp>

#include <support/backend.hpp>
#include <support/seed.hpp>

#include <memory/guarded.hpp>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <vector>

namespace support {

template <class Selection>
inline constexpr bool has_index =
    std::is_same_v<typename Selection::score_source, tka::detail::index_scores>;
template <class Selection>
inline constexpr bool has_given =
    std::is_same_v<typename Selection::score_source, tka::detail::given_scores>;

/// Real lengths; empty: the bounds of the shape.
struct lengths {
  std::vector<std::int32_t> kv{};
  std::vector<std::int32_t> q{};  ///< only query::ragged
};

template <class T>
void fill_normal(guarded<T>& memory, random_source& random) {
  for (T& x : memory) x = static_cast<T>(static_cast<float>(random.normal()));
}

template <class Selection, class Precision, class Form = tka::form<>>
struct guarded_call {
  static constexpr auto call = tka::sparse_attention<Selection, Precision, backend, Form>;
  using tensors = typename std::remove_const_t<decltype(call)>::tensors;
  using query_type = typename Precision::query_type;
  using key_type = typename Precision::key_type;
  using value_type = typename Precision::value_type;
  using output_type = typename Precision::output_type;
  static constexpr bool paged = std::is_same_v<typename Form::kv_source, tka::kv::paged>;
  static constexpr bool packed_kv = std::is_same_v<typename Form::kv_source, tka::kv::ragged>;
  static constexpr bool packed_q = std::is_same_v<typename Form::query_source, tka::query::ragged>;
  static constexpr bool scaled = std::is_same_v<typename Form::cache_layout, tka::layout::scaled>;
  static constexpr bool one_row = std::is_same_v<typename Form::cache_layout, tka::layout::mla_656>;
  static constexpr std::int64_t latent_row = 656;

  guarded_call(tka::shape const& with, tka::options const& numbers, lengths const& real = {},
               guard where = guard::behind, std::string_view stream = "guarded_call",
               int threads = 1)
      : s(with), side(where) {
    plan = call.plan(s, numbers, device_of(threads));
    random_source random(stream);
    std::vector<std::int32_t> kv = real.kv;
    kv.resize(static_cast<std::size_t>(s.batch), s.kv_len);
    std::vector<std::int32_t> queries = real.q;
    queries.resize(static_cast<std::size_t>(s.batch), s.q_len);
    make_sources(kv, queries, random);
    make_keys(kv, random);
    make_index(random);
    make_outputs();
    make_scratch(plan);
  }

  [[nodiscard]] tensors arguments() {
    std::int64_t const qs = s.q_heads;
    std::int64_t const ks = s.kv_heads;
    std::int64_t const outer = packed_q ? 0 : s.q_len;
    std::int64_t const slots = packed_kv ? 0 : paged ? s.page_size : s.kv_len;
    tensors t{};
    t.q = {q.data(), outer * qs * s.qk_dim, s.qk_dim, qs * s.qk_dim};
    if constexpr (one_row) {
      t.k = {k.data(), slots * latent_row, latent_row, latent_row};
    } else {
      t.k = {k.data(), slots * ks * s.qk_dim, s.qk_dim, ks * s.qk_dim};
      t.v = {v.data(), slots * ks * s.v_dim, s.v_dim, ks * s.v_dim};
    }
    t.o = {o.data(), outer * qs * s.v_dim, s.v_dim, qs * s.v_dim};
    if constexpr (paged) {
      t.kv = {.lengths = kv_lengths.data(),
              .block_table = table.data(),
              .table_stride = table_stride,
              .table_begin = nullptr,
              .pages = pages};
    } else if constexpr (packed_kv) {
      t.kv = {.cumulative = kv_lengths.data()};
    } else {
      t.kv = {.lengths = kv_lengths.data()};
    }
    if constexpr (packed_q) t.query.cumulative = q_borders.data();
    if constexpr (scaled) {
      t.scales.k = {k_scales.data(), slots * ks, 1, ks, 0};
      t.scales.v = {v_scales.data(), slots * ks, 1, ks, 0};
    }
    if constexpr (has_index<Selection>) {
      std::int64_t const heads = s.index_heads;
      t.index.q = {index_q.data(), outer * heads * s.index_dim, s.index_dim, heads * s.index_dim};
      t.index.k = {index_k.data(), slots * s.index_dim, 0, s.index_dim};
      t.index.k_scales = {index_scales.data(), slots, 0, 1};
      t.index.weights = {weights.data(), outer * heads, 1, heads};
    } else if constexpr (has_given<Selection>) {
      std::int64_t const heads = plan.scope_heads;
      t.index.scores = {scores_in.data(), outer * heads * s.kv_len, s.kv_len, heads * s.kv_len};
    }
    auto const per_q_head = [&](float* data) -> tka::tensor_view<float> {
      return {data, outer * qs, 1, qs};
    };
    std::int64_t const scopes = plan.scope_heads;
    t.lse = per_q_head(lse.data());
    t.entropy = per_q_head(entropy.data());
    if (plan.options.metrics == tka::metrics::visible) {
      t.lse_visible = per_q_head(lse_visible.data());
      t.entropy_visible = per_q_head(entropy_visible.data());
      t.retained_mass = per_q_head(retained_mass.data());
    }
    std::int64_t const c = plan.capacity;
    t.positions = {positions.data(), outer * scopes * c, c, scopes * c};
    t.scores = {scores.data(), outer * scopes * c, c, scopes * c};
    t.count = {count.data(), outer * scopes, 1, scopes};
    if constexpr (Selection::is_exact) {
      t.threshold_score = {threshold_score.data(), outer * scopes, 1, scopes};
      t.threshold_position = {threshold_position.data(), outer * scopes, 1, scopes};
    }
    t.error = error.data();
    return t;
  }
  [[nodiscard]] tka::workspace workspace() {
    return {.scratch = scratch.data(), .scratch_bytes = plan.scratch_bytes};
  }
  /// The same call under another schedule.
  void reschedule(tka::schedule const& wanted) {
    plan = call.reschedule(plan, wanted);
    make_scratch(plan);
  }
  template <class... Where>
  [[nodiscard]] tka::status run(Where&&... where) {
    return run_with(arguments(), where...);
  }
  /// On CUDA in scratch of the device.
  template <class... Where>
  [[nodiscard]] tka::status run_with(tensors const& t, Where&&... where) {
    if constexpr (on_cuda) {
      return support::run(call, plan, t, where...);
    } else {
      return call(plan, t, workspace(), where...);
    }
  }

  void clear(unsigned char byte) {
    each_output([&](auto& memory) { memory.fill_bytes(byte); });
    error[0] = 0;
  }
  [[nodiscard]] std::vector<unsigned char> output_bytes() {
    std::vector<unsigned char> all;
    each_output([&](auto const& memory) { memory.append_bytes_to(all); });
    return all;
  }
  [[nodiscard]] bool intact() {
    bool whole = scratch.intact() && error.intact() && q.intact() && k.intact() && v.intact() &&
                 kv_lengths.intact() && q_borders.intact() && table.intact();
    each_output([&](auto const& memory) { whole = whole && memory.intact(); });
    return whole;
  }

  tka::shape s;
  guard side;
  tka::plan plan{};
  std::int32_t pages = 0;
  std::int64_t table_stride = 0;
  std::int64_t q_tokens = 0;
  std::int64_t kv_tokens = 0;
  guarded<query_type> q{};
  guarded<key_type> k{};
  guarded<value_type> v{};
  guarded<float> k_scales{};
  guarded<float> v_scales{};
  guarded<tka::float8_e4m3_t> index_q{};
  guarded<tka::float8_e4m3_t> index_k{};
  guarded<float> index_scales{};
  guarded<float> weights{};
  guarded<float> scores_in{};
  guarded<std::int32_t> kv_lengths{};  ///< or borders
  guarded<std::int32_t> q_borders{};
  guarded<std::int32_t> table{};
  guarded<output_type> o{};
  guarded<float> lse{};
  guarded<float> entropy{};
  guarded<float> lse_visible{};
  guarded<float> entropy_visible{};
  guarded<float> retained_mass{};
  guarded<std::int32_t> positions{};
  guarded<float> scores{};
  guarded<std::int32_t> count{};
  guarded<float> threshold_score{};
  guarded<std::int32_t> threshold_position{};
  guarded<std::uint32_t> error{};
  guarded<std::byte> scratch{};

 private:
  template <class T>
  [[nodiscard]] guarded<T> memory_of(std::int64_t count_of, std::size_t alignment = alignof(T)) {
    return guarded<T>(static_cast<std::size_t>(count_of), side, alignment);
  }
  template <class Function>
  void each_output(Function&& function) {
    function(o);
    function(lse);
    function(entropy);
    function(lse_visible);
    function(entropy_visible);
    function(retained_mass);
    function(positions);
    function(scores);
    function(count);
    function(threshold_score);
    function(threshold_position);
  }

  void make_sources(std::vector<std::int32_t> const& kv, std::vector<std::int32_t> const& queries,
                    random_source& random) {
    kv_lengths = memory_of<std::int32_t>(s.batch + (packed_kv ? 1 : 0));
    q_borders = memory_of<std::int32_t>(s.batch + 1);
    if constexpr (packed_kv) kv_lengths[0] = 0;
    q_borders[0] = 0;
    for (std::int32_t b = 0; b < s.batch; ++b) {
      auto const i = static_cast<std::size_t>(b);
      if constexpr (packed_kv) {
        kv_lengths[i + 1] = kv_lengths[i] + kv[i];
      } else {
        kv_lengths[i] = kv[i];
      }
      q_borders[i + 1] = q_borders[i] + queries[i];
      if constexpr (paged) pages += (kv[i] + s.page_size - 1) / s.page_size;
    }
    auto const last = static_cast<std::size_t>(s.batch) - 1;
    q_tokens = packed_q ? q_borders[last + 1] : std::int64_t{s.batch} * s.q_len;
    // A contiguous cache ends behind the last real key: what lies further may not be read.
    kv_tokens = paged       ? std::int64_t{pages} * s.page_size
                : packed_kv ? kv_lengths[last + 1]
                            : std::int64_t{s.batch - 1} * s.kv_len + kv[last];
    if constexpr (paged) make_table(kv, random);
  }
  void make_table(std::vector<std::int32_t> const& kv, random_source& random) {
    table_stride = (s.kv_len + s.page_size - 1) / s.page_size;
    std::vector<std::int32_t> order(static_cast<std::size_t>(pages));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    std::int64_t const used = (kv.back() + s.page_size - 1) / s.page_size;
    table = memory_of<std::int32_t>((s.batch - 1) * table_stride + used);
    std::size_t next = 0;
    for (std::int32_t b = 0; b < s.batch; ++b) {
      auto const row = static_cast<std::size_t>(b * table_stride);
      auto const n = static_cast<std::size_t>((kv[static_cast<std::size_t>(b)] + s.page_size - 1) /
                                              s.page_size);
      for (std::size_t i = 0; i < n; ++i) table[row + i] = order[next++];
    }
  }

  /// Rows that no sequence holds stay all ones: NaN in every storage type.
  template <class Function>
  void each_row(std::vector<std::int32_t> const& kv, Function&& function) {
    for (std::int32_t b = 0; b < s.batch; ++b) {
      for (std::int32_t i = 0; i < kv[static_cast<std::size_t>(b)]; ++i) {
        std::int64_t row = std::int64_t{b} * s.kv_len + i;
        if constexpr (packed_kv) row = kv_lengths[static_cast<std::size_t>(b)] + i;
        if constexpr (paged) {
          auto const entry = static_cast<std::size_t>(b * table_stride + i / s.page_size);
          row = std::int64_t{table[entry]} * s.page_size + i % s.page_size;
        }
        function(static_cast<std::size_t>(row));
      }
    }
  }
  template <class T>
  void fill_row(guarded<T>& memory, std::size_t row, std::int64_t width, random_source& random) {
    auto const n = static_cast<std::size_t>(width);
    for (std::size_t i = row * n; i < (row + 1) * n; ++i) {
      memory[i] = static_cast<T>(static_cast<float>(random.normal()));
    }
  }
  void make_keys(std::vector<std::int32_t> const& kv, random_source& random) {
    q = memory_of<query_type>(q_tokens * s.q_heads * s.qk_dim, 16);
    fill_normal(q, random);
    std::int64_t const k_width = one_row ? latent_row : std::int64_t{s.kv_heads} * s.qk_dim;
    std::int64_t const v_width = std::int64_t{s.kv_heads} * s.v_dim;
    k = memory_of<key_type>(kv_tokens * k_width, 16);
    v = memory_of<value_type>(one_row ? 0 : kv_tokens * v_width, 16);
    k_scales = memory_of<float>(scaled ? kv_tokens * s.kv_heads : 0);
    v_scales = memory_of<float>(scaled ? kv_tokens * s.kv_heads : 0);
    each_row(kv, [&](std::size_t row) {
      fill_row(k, row, one_row ? 512 : k_width, random);
      if constexpr (one_row) {
        float const scale[4] = {0.5f, 1.0f, 2.0f, 0.25f};
        tka::bfloat16_t rope[64];
        for (auto& x : rope) x = tka::bfloat16_t{static_cast<float>(random.normal())};
        std::memcpy(static_cast<void*>(k.data() + row * 656 + 512), scale, sizeof(scale));
        std::memcpy(static_cast<void*>(k.data() + row * 656 + 528), rope, sizeof(rope));
      } else {
        fill_row(v, row, v_width, random);
      }
      if constexpr (scaled) {
        auto const heads = static_cast<std::size_t>(s.kv_heads);
        for (std::size_t h = 0; h < heads; ++h) {
          k_scales[row * heads + h] = static_cast<float>(0.5 + random.uniform());
          v_scales[row * heads + h] = static_cast<float>(0.5 + random.uniform());
        }
      }
    });
    if constexpr (has_index<Selection>) {
      index_k = memory_of<tka::float8_e4m3_t>(kv_tokens * s.index_dim, 16);
      index_scales = memory_of<float>(kv_tokens);
      each_row(kv, [&](std::size_t row) {
        fill_row(index_k, row, s.index_dim, random);
        index_scales[row] = static_cast<float>(0.5 + random.uniform());
      });
    }
  }
  void make_index(random_source& random) {
    if constexpr (has_index<Selection>) {
      index_q = memory_of<tka::float8_e4m3_t>(q_tokens * s.index_heads * s.index_dim, 16);
      weights = memory_of<float>(q_tokens * s.index_heads);
      fill_normal(index_q, random);
      fill_normal(weights, random);
    } else if constexpr (has_given<Selection>) {
      scores_in = memory_of<float>(q_tokens * plan.scope_heads * s.kv_len);
      fill_normal(scores_in, random);
    }
  }
  void make_outputs() {
    std::int64_t const rows = q_tokens * s.q_heads;
    std::int64_t const lists = q_tokens * plan.scope_heads;
    o = memory_of<output_type>(rows * s.v_dim, 16);
    lse = memory_of<float>(rows);
    entropy = memory_of<float>(rows);
    lse_visible = memory_of<float>(rows);
    entropy_visible = memory_of<float>(rows);
    retained_mass = memory_of<float>(rows);
    positions = memory_of<std::int32_t>(lists * plan.capacity);
    scores = memory_of<float>(lists * plan.capacity);
    count = memory_of<std::int32_t>(lists);
    threshold_score = memory_of<float>(lists);
    threshold_position = memory_of<std::int32_t>(lists);
    error = memory_of<std::uint32_t>(1);
    error[0] = 0;
  }
  void make_scratch(tka::plan const& p) {
    scratch = guarded<std::byte>(on_cuda ? 0 : p.scratch_bytes, side, 64);
  }
};

}  // namespace support
