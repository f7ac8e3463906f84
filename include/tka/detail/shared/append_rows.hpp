// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The rows of an append: where each comes from, where it goes.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/detail/shared/write_row.hpp>
#include <tka/form.hpp>
#include <tka/quantize.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/shape.hpp>
#include <tka/source/location.hpp>
#include <tka/status.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail {

template <class KvSource>
[[nodiscard]] constexpr status check_append(shape const& s, shard const& part,
                                            std::int32_t dim) noexcept {
  if (s.batch < 1 || s.q_len < 0 || s.kv_len < 0 || dim < 1) return status::invalid_shape;
  if (dim > max_row || s.v_dim > max_row) return status::unsupported_head_dim;
  if (KvSource::has_pages && s.page_size < 1) return status::invalid_page_size;
  if (part.block < 1 || part.count < 1 || part.index < 0 || part.index >= part.count) {
    return status::invalid_shard;
  }
  if (part.count > 1 && std::is_same_v<KvSource, kv::ragged>) {
    return status::invalid_shard;  // packed borders cannot tell the length of the whole sequence
  }
  return status::ok;
}

/// The rows of every sequence, a token's heads side by side. With `row` it is what a backend runs.
template <class Form, class Options, class Tensors>
struct new_rows {
  using query_source = typename Form::query_source;
  /// All sequences have as many rows; no data says so.
  static constexpr bool same_rows = std::is_same_v<query_source, query::uniform>;
  static constexpr std::int32_t buffered = max_row;  ///< floats that `row` takes as scratch

  tka::shape shape;
  Options options;
  Tensors tensors;
  std::int32_t heads;

  [[nodiscard]] TKA_HOST_DEVICE std::int32_t sequences() const noexcept { return shape.batch; }
  /// Of one sequence, at most.
  [[nodiscard]] std::int64_t most_rows() const noexcept {
    return std::int64_t{shape.q_len} * heads;
  }
  /// Of sequence b; negative: its range breaks a rule.
  [[nodiscard]] TKA_HOST_DEVICE std::int64_t rows(std::int32_t b) const noexcept {
    return std::int64_t{query_source::length(tensors.query, b, shape.q_len)} * heads;
  }
  [[nodiscard]] TKA_HOST_DEVICE std::uint32_t* error() const noexcept { return tensors.error; }

 protected:
  /// Where token i of sequence b goes. `outer` < 0: it has no place in this shard's cache.
  template <class Crew>
  [[nodiscard]] TKA_HOST_DEVICE location place(std::int32_t b, std::int64_t i,
                                               Crew const& crew) const noexcept {
    constexpr location nowhere{-1, 0};
    std::int64_t const room = Form::kv_source::room(tensors.kv, b, shape.kv_len);
    if (room < 0) {
      crew.report(error(), data_error::length_out_of_bounds);
      return nowhere;
    }
    std::int64_t const position = tensors.starts[b] + i;
    if (position < 0 || position >= room) {
      crew.report(error(), data_error::position_out_of_range);
      return nowhere;
    }
    std::int64_t const local = local_below(options.shard, position);
    if (local_below(options.shard, position + 1) == local) return nowhere;  // another shard's
    location const to =
        Form::kv_source::locate(tensors.kv, b, static_cast<std::int32_t>(local), shape.page_size);
    if (to.outer < 0) crew.report(error(), data_error::page_out_of_range);
    return to;
  }
};

/// Keys and values.
template <class Form, class Options, class Tensors>
struct append_rows : new_rows<Form, Options, Tensors> {
  using cache_layout = typename Form::cache_layout;
  static constexpr bool mla = std::is_same_v<cache_layout, layout::mla_656>;

  /// Only layout::scaled has any: reading in others does not ask for them.
  [[nodiscard]] TKA_HOST_DEVICE static mutable_scale_view scales(
      mutable_scale_view const& given) noexcept {
    return std::is_same_v<cache_layout, layout::scaled> ? given : mutable_scale_view{};
  }

  template <class Crew>
  TKA_HOST_DEVICE void row(std::int32_t b, std::int64_t index, Crew const& crew,
                           float* buffer) const noexcept {
    std::int64_t const i = index / this->heads;
    auto const h = static_cast<std::int32_t>(index % this->heads);
    location const to = this->place(b, i, crew);
    if (to.outer < 0) return;
    auto const& t = this->tensors;
    scale_rounding const rounding = this->options.rounding;
    location const from = Form::query_source::locate(t.query, b, static_cast<std::int32_t>(i));
    if constexpr (mla) {
      write_mla_656(t.new_k.at(from.outer, h, from.token), t.k.at(to.outer, h, to.token), rounding,
                    crew, buffer);
    } else {
      token_heads const k{t.new_k.at(from.outer, 0, from.token), t.new_k.head, this->heads};
      token_heads const v{t.new_v.at(from.outer, 0, from.token), t.new_v.head, this->heads};
      write_row(k, h, this->shape.qk_dim, t.k.at(to.outer, h, to.token), scales(t.k_scales), to,
                rounding, crew, buffer);
      write_row(v, h, this->shape.v_dim, t.v.at(to.outer, h, to.token), scales(t.v_scales), to,
                rounding, crew, buffer);
    }
  }
};

/// Keys of an indexer.
template <class Form, class Layout, class Options, class Tensors>
struct append_index_rows : new_rows<Form, Options, Tensors> {
  template <class Crew>
  TKA_HOST_DEVICE void row(std::int32_t b, std::int64_t i, Crew const& crew,
                           float* buffer) const noexcept {
    location const to = this->place(b, i, crew);
    if (to.outer < 0) return;
    auto const& t = this->tensors;
    location const from = Form::query_source::locate(t.query, b, static_cast<std::int32_t>(i));
    read_row(t.new_k.at(from.outer, 0, from.token), this->shape.index_dim, buffer, crew);
    write(to, crew, buffer);
  }

 private:
  template <class Crew>
  TKA_HOST_DEVICE void write(location to, Crew const& crew, float* row) const noexcept {
    auto const& t = this->tensors;
    auto const& o = this->options;
    std::int32_t const dim = this->shape.index_dim;
    using key = std::remove_pointer_t<decltype(t.k.data)>;
    if constexpr (sizeof(key) != 1) {
      if (o.rotate == rotation::hadamard) rotate_hadamard(row, dim, crew);
      key* const out = t.k.at(to.outer, 0, to.token);
      for (std::int32_t d = crew.rank(); d < dim; d += Crew::size) out[d] = key{row[d]};
    } else if constexpr (std::is_same_v<Layout, index_layout::page_132>) {
      key* const page = t.k.at(to.outer, 0, 0);
      float const scale =
          quantize_row_by(crew, row, dim, page + to.token * dim, o.rounding, o.rotate);
      key* const scales = page + std::int64_t{this->shape.page_size} * dim;
      if (crew.rank() == 0) store_bytes(scales + to.token * 4, scale);
    } else {
      float const scale =
          quantize_row_by(crew, row, dim, t.k.at(to.outer, 0, to.token), o.rounding, o.rotate);
      if (crew.rank() == 0) *t.k_scales.at(to.outer, 0, to.token) = scale;
    }
  }
};

}  // namespace tka::inline TKA_ABI::detail
