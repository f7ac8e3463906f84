// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Writing new keys and values into a cache, in the cache's own layout.

#pragma once

#include <tka/backend/names.hpp>
#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/detail/shared/append_rows.hpp>
#include <tka/detail/shared/check_tensors.hpp>
#include <tka/detail/shared/crew.hpp>
#include <tka/detail/shared/error_word.hpp>
#include <tka/detail/shared/view_rule.hpp>
#include <tka/fault.hpp>
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

}  // namespace tka::inline TKA_ABI

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// Starts, borders and tables of an append.
template <class Form, class Tensors>
[[nodiscard]] fault check_append_sources(shape const& s, Tensors const& t) noexcept {
  if (t.starts == nullptr) return {status::null_pointer, tensor_name::starts};
  fault const f = Form::query_source::check_places(t.query, s);
  return f.status != status::ok ? f : Form::kv_source::check_places(t.kv, s);
}

/// A backend that returns when the rows are written also says what it found in the data.
template <class Backend, class Work, class... Where>
[[nodiscard]] status run_append(Work work, Where const&... where) noexcept {
  if constexpr (waits<Backend>) {
    std::uint32_t* const word = work.tensors.error;
    std::uint32_t found = 0;
    work.tensors.error = &found;
    status const s = Backend::run_rows(work, where...);
    return s == status::ok ? told(found, word) : s;
  } else {
    return Backend::run_rows(work, where...);
  }
}

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
    if (fault const f = diagnose(s, o, t); f.status != status::ok) return f.status;
    if constexpr (told_where) return run_append<Backend>(work{{s, o, t, s.kv_heads}}, where...);
    return status::ok;
  }

  /// What `operator()` would refuse, and which tensor it is about. Nothing runs.
  [[nodiscard]] fault diagnose(shape const& s, append_options const& o,
                               tensors const& t) const noexcept {
    constexpr bool mla = std::is_same_v<typename Form::cache_layout, layout::mla_656>;
    if (status const st = check_append<typename Form::kv_source>(s, o.shard, s.qk_dim);
        st != status::ok) {
      return {st};
    }
    if (s.kv_heads < 1 || (!mla && s.v_dim < 1)) return {status::invalid_shape};
    if (mla && (s.kv_heads != 1 || s.qk_dim != mla_656_dim)) return {status::unsupported_head_dim};
    fault first = check_append_sources<Form>(s, t);
    auto const view = [&first](auto const& v, view_rule const& r) {
      if (first.status == status::ok) first = check_view(v, r);
    };
    token_space const tokens = query_space<typename Form::query_source>(s);
    token_space const cache = key_space<typename Form::kv_source>(s, t.kv);
    std::int64_t const heads = s.kv_heads;
    auto const pair = [&](auto const& from, tensor_name new_rows, auto const& to, tensor_name rows,
                          std::int64_t dim, std::int64_t row) {
      view(from,
           {.name = new_rows, .space = tokens, .heads = heads, .last = dim, .required = true});
      view(to, {.name = rows,
                .space = cache,
                .heads = heads,
                .last = row,
                .how = access::written,
                .required = true});
    };
    pair(t.new_k, tensor_name::new_k, t.k, tensor_name::k, s.qk_dim,
         mla ? mla_656_bytes : s.qk_dim);
    if (!mla) pair(t.new_v, tensor_name::new_v, t.v, tensor_name::v, s.v_dim, s.v_dim);
    return first;
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
    if (fault const f = diagnose(s, o, t); f.status != status::ok) return f.status;
    if constexpr (told_where) return run_append<Backend>(work{{s, o, t, 1}}, where...);
    return status::ok;
  }

  /// What `operator()` would refuse, and which tensor it is about. Nothing runs.
  [[nodiscard]] fault diagnose(shape const& s, append_options const& o,
                               tensors const& t) const noexcept {
    if (status const st = check_append<typename Form::kv_source>(s, o.shard, s.index_dim);
        st != status::ok) {
      return {st};
    }
    if (o.rotate == rotation::hadamard && !is_power_of_two(s.index_dim)) {
      return {status::invalid_rotation};
    }
    fault first = check_append_sources<Form>(s, t);
    auto const view = [&first](auto const& v, view_rule const& r) {
      if (first.status == status::ok) first = check_view(v, r);
    };
    token_space const cache = key_space<typename Form::kv_source>(s, t.kv);
    view(t.new_k, {.name = tensor_name::new_k,
                   .space = query_space<typename Form::query_source>(s),
                   .last = s.index_dim,
                   .required = true});
    view(t.k, {.name = tensor_name::k,
               .space = cache,
               .last = s.index_dim,
               .how = access::written,
               .required = true});
    if constexpr (sizeof(key) == 1 && !paged_scales) {
      view(t.k_scales, {.name = tensor_name::k_scales,
                        .space = cache,
                        .how = access::written,
                        .required = true});
    }
    return first;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD

namespace tka::inline TKA_ABI::inline TKA_BUILD {

/// Writes new keys and values behind those that a cache holds: converted, or quantised with the
/// scales of the form's cache layout. Token i of sequence b goes to position starts[b] + i; one
/// that has no place (a page out of range, a position >= shape.kv_len, with kv::ragged one outside
/// the borders of its sequence) is passed over and reported. `shape` needs batch, kv_heads, q_len
/// (new tokens), kv_len, qk_dim, v_dim, page_size. No alignment is asked for. Runs on the
/// calling thread (cpu), or is enqueued on the stream that is its last argument (cuda, the same
/// bytes). What was passed over gives `status::data_error` on the CPU.
template <class Precision, class Backend, class Form = form<>>
inline constexpr detail::append_call<Precision, Backend, Form> append{};

/// The same for the keys of a lightning indexer. `shape` needs batch, q_len, kv_len, index_dim,
/// page_size. With rotation::hadamard index queries must be rotated too (`quantize_row`).
template <class IndexPrecision, class Backend, class Form = form<>,
          class Layout = index_layout::plain>
inline constexpr detail::append_index_call<IndexPrecision, Backend, Form, Layout>
    append_index_keys{};

}  // namespace tka::inline TKA_ABI::inline TKA_BUILD
