// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Joining partial attentions over disjoint sets of keys.

#pragma once

#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/detail/shared/check.hpp>
#include <tka/detail/shared/crew.hpp>
#include <tka/detail/shared/merge_rows.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp32.hpp>
#include <tka/shape.hpp>
#include <tka/status.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// Tensors of `merge`: `parts` results, one behind the other.
template <class Precision>
struct merge_tensors {
  using output_type = typename Precision::output_type;
  std::int32_t parts = 0;
  tensor_view<output_type const> part_o{};  ///< [parts][batch, q_heads, q_len, v_dim]
  std::int64_t part_o_stride = 0;           ///< elements from one part to the next
  tensor_view<float const> part_lse{};      ///< [parts][batch, q_heads, q_len]
  std::int64_t part_lse_stride = 0;
  tensor_view<output_type> o{};  ///< [batch, q_heads, q_len, v_dim], written
  tensor_view<float> lse{};      ///< [batch, q_heads, q_len], written unless null
};

namespace detail {

template <class Precision, class Backend>
struct merge_call {
  static_assert(precision_policy<Precision>,
                "tka::merge: the first argument must be a precision policy; use fp32, fp16 or "
                "bf16");
  static_assert(backend_policy<Backend>,
                "tka::merge: the second argument must be a backend; use cpu (include "
                "tka/backend/cpu.hpp) or cuda (include tka/backend/cuda.cuh)");
  using tensors = merge_tensors<Precision>;

  template <class... Where>
  [[nodiscard]] status operator()(shape const& s, tensors const& t,
                                  Where const&... where) const noexcept {
    using work = merge_rows<tensors>;
    constexpr bool told_where = runs_rows<Backend, work, Where...>;
    static_assert(told_where || !backend_policy<Backend>,
                  "tka::merge: the last argument says where to run; give one stream (cuda) or none "
                  "(cpu: the calling thread)");
    if (s.batch < 1 || s.q_heads < 1 || s.q_len < 0 || s.v_dim < 1 || t.parts < 0) {
      return status::invalid_shape;
    }
    if (!t.o || (t.parts > 0 && (!t.part_o || !t.part_lse))) return status::null_pointer;
    if (!aligned(t.o) || !aligned(t.part_o)) return status::misaligned;
    if constexpr (told_where) return Backend::run_rows(work{s, t}, where...);
    return status::ok;
  }
};

}  // namespace detail

/// o and lse of the union of disjoint sets of keys from those of the parts:
/// lse = log sum e^lse_i, o = sum e^(lse_i - lse) * o_i, parts in order, in fp32. Parts without
/// keys (lse = -inf) do not count; all empty gives o = 0, lse = -inf. `shape` needs batch, q_heads,
/// q_len and v_dim. o may not overlap a part. Runs on the calling thread (cpu), or is enqueued on
/// the stream that is its last argument (cuda).
template <class Precision, class Backend>
inline constexpr detail::merge_call<Precision, Backend> merge{};

}  // namespace tka::inline TKA_ABI
