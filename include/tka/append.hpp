// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Writing new keys and values into a cache, in the cache's own layout.

#pragma once

#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/detail/shared/append_rows.hpp>
#include <tka/detail/shared/crew.hpp>
#include <tka/form.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp32.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/quantize.hpp>
#include <tka/scale_view.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/shape.hpp>
#include <tka/status.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI {

/// The numbers of an append.
struct append_options {
  scale_rounding rounding = scale_rounding::nearest;  ///< only 8-bit caches with own scales
  rotation rotate = rotation::none;                   ///< only `append_index_keys`
  tka::shard shard{};                                 ///< tokens of other shards are passed over
};

/// Tensors of `append`. New tokens come by the form's query source (uniform: q_len a sequence;
/// ragged: cumulative borders), the cache by its kv source.
template <class Precision, class Form>
struct append_tensors {
  using source_type = typename Precision::query_type;
  tensor_view<source_type const> new_k{};           ///< [batch, kv_heads, q_len, qk_dim] read
  tensor_view<source_type const> new_v{};           ///< [batch, kv_heads, q_len, v_dim] read
  tensor_view<typename Precision::key_type> k{};    ///< the cache, written
  tensor_view<typename Precision::value_type> v{};  ///< the cache, written; not for mla_656
  /// Only layout::scaled. Scales of their own for each token (token stride not 0) are chosen and
  /// written, one for all heads where the head stride is 0; shared ones are read.
  mutable_scale_view k_scales{};
  mutable_scale_view v_scales{};
  typename Form::kv_source::tensors kv{};        ///< lengths are not read, but borders are
  typename Form::query_source::tensors query{};  ///< positions are not read
  std::int32_t const* starts = nullptr;  ///< [batch] position of each sequence's first new token
  std::uint32_t* error = nullptr;        ///< bits of `data_error` are or-ed in
};

/// Tensors of `append_index_keys`.
template <class IndexPrecision, class Form>
struct append_index_tensors {
  tensor_view<float const> new_k{};                    ///< [batch, 1, q_len, index_dim] read
  tensor_view<typename IndexPrecision::key_type> k{};  ///< the cache, written
  tensor_view<float> k_scales{};  ///< one a token, written; only 8-bit keys and not page_132
  typename Form::kv_source::tensors kv{};
  typename Form::query_source::tensors query{};
  std::int32_t const* starts = nullptr;
  std::uint32_t* error = nullptr;
};

namespace detail {

template <class Precision, class Backend, class Form>
struct append_call {
  static_assert(precision_policy<Precision>,
                "tka::append: the first argument must be a precision policy; use fp32, fp16, bf16 "
                "or fp8");
  static_assert(backend_policy<Backend>,
                "tka::append: the second argument must be a backend; use cpu (include "
                "tka/backend/cpu.hpp) or cuda (include tka/backend/cuda.cuh)");
  static_assert(form_type<Form>, "tka::append: the third argument must be a form; use form<...>");
  using tensors = append_tensors<Precision, Form>;

  template <class... Where>
  [[nodiscard]] status operator()(shape const& s, append_options const& o, tensors const& t,
                                  Where const&... where) const noexcept {
    using work = append_rows<Form, append_options, tensors>;
    constexpr bool told_where = runs_rows<Backend, work, Where...>;
    static_assert(told_where || !backend_policy<Backend>,
                  "tka::append: the last argument says where to run; give one stream (cuda) or "
                  "none (cpu: the calling thread)");
    if (status const st = check_append<typename Form::kv_source>(s, o.shard, s.qk_dim);
        st != status::ok) {
      return st;
    }
    if (s.kv_heads < 1) return status::invalid_shape;
    constexpr bool mla = std::is_same_v<typename Form::cache_layout, layout::mla_656>;
    if (mla && (s.kv_heads != 1 || s.qk_dim != mla_656_dim)) return status::unsupported_head_dim;
    if (!t.new_k || !t.k || t.starts == nullptr || (!mla && (!t.new_v || !t.v)) ||
        !Form::kv_source::complete(t.kv) || !Form::query_source::complete(t.query)) {
      return status::null_pointer;
    }
    if (!mla && s.v_dim < 1) return status::invalid_shape;
    if constexpr (told_where) return Backend::run_rows(work{{s, o, t, s.kv_heads}}, where...);
    return status::ok;
  }
};

template <class IndexPrecision, class Backend, class Form, class Layout>
struct append_index_call {
  using key = typename IndexPrecision::key_type;
  static constexpr bool paged_scales = std::is_same_v<Layout, index_layout::page_132>;
  static_assert(backend_policy<Backend>,
                "tka::append_index_keys: the second argument must be a backend; use cpu (include "
                "tka/backend/cpu.hpp) or cuda (include tka/backend/cuda.cuh)");
  static_assert(
      !paged_scales || Form::kv_source::has_pages,
      "tka::append_index_keys: index_layout::page_132 lies in pages; use form<kv::paged>");
  using tensors = append_index_tensors<IndexPrecision, Form>;

  template <class... Where>
  [[nodiscard]] status operator()(shape const& s, append_options const& o, tensors const& t,
                                  Where const&... where) const noexcept {
    using work = append_index_rows<Form, Layout, append_options, tensors>;
    constexpr bool told_where = runs_rows<Backend, work, Where...>;
    static_assert(told_where || !backend_policy<Backend>,
                  "tka::append_index_keys: the last argument says where to run; give one stream "
                  "(cuda) or none (cpu: the calling thread)");
    if (status const st = check_append<typename Form::kv_source>(s, o.shard, s.index_dim);
        st != status::ok) {
      return st;
    }
    bool const rotates = o.rotate == rotation::hadamard;
    if (s.index_dim > max_row || (rotates && (s.index_dim & (s.index_dim - 1)) != 0)) {
      return status::unsupported_head_dim;
    }
    if (!t.new_k || !t.k || t.starts == nullptr || !Form::kv_source::complete(t.kv) ||
        !Form::query_source::complete(t.query) ||
        (sizeof(key) == 1 && !paged_scales && !t.k_scales)) {
      return status::null_pointer;
    }
    if constexpr (told_where) return Backend::run_rows(work{{s, o, t, 1}}, where...);
    return status::ok;
  }
};

}  // namespace detail

/// Writes new keys and values behind those that a cache holds: converted, or quantised with the
/// scales of the form's cache layout. Token i of sequence b goes to position starts[b] + i; one
/// that has no place (a page out of range, a position >= shape.kv_len, with kv::ragged one outside
/// the borders of its sequence) is passed over and reported. `shape` needs batch, kv_heads, q_len
/// (new tokens), kv_len, qk_dim, v_dim, page_size. No alignment is asked for. Runs on the
/// calling thread (cpu), or is enqueued on the stream that is its last argument (cuda, the same
/// bytes).
template <class Precision, class Backend, class Form = form<>>
inline constexpr detail::append_call<Precision, Backend, Form> append{};

/// The same for the keys of a lightning indexer. `shape` needs batch, q_len, kv_len, index_dim,
/// page_size. With rotation::hadamard index queries must be rotated too (`quantize_row`).
template <class IndexPrecision, class Backend, class Form = form<>,
          class Layout = index_layout::plain>
inline constexpr detail::append_index_call<IndexPrecision, Backend, Form, Layout>
    append_index_keys{};

}  // namespace tka::inline TKA_ABI
