// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Joining partial attentions over disjoint sets of keys.

#pragma once

#include <tka/backend/names.hpp>
#include <tka/concepts.hpp>
#include <tka/config.hpp>
#include <tka/detail/shared/crew.hpp>
#include <tka/detail/shared/merge_rows.hpp>
#include <tka/detail/shared/view_rule.hpp>
#include <tka/fault.hpp>
#include <tka/options.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp32.hpp>
#include <tka/shape.hpp>
#include <tka/status.hpp>
#include <tka/tensor_view.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI {

/// Tensors of `merge`: `parts` results, one after the other.
template <class Precision>
struct merge_tensors {
  using output_type = typename Precision::output_type;
  std::int32_t parts = 0;
  tensor_view<output_type const> part_o{};    ///< [parts][batch, q_heads, q_len, v_dim]
  std::int64_t part_o_stride = unset_stride;  ///< elements from one part to the next
  tensor_view<float const> part_lse{};        ///< [parts][batch, q_heads, q_len]
  std::int64_t part_lse_stride = unset_stride;
  tka::lse_base lse_base = tka::lse_base::e;  ///< of part_lse and lse
  tensor_view<output_type> o{};               ///< [batch, q_heads, q_len, v_dim], written
  tensor_view<float> lse{};                   ///< [batch, q_heads, q_len], written unless null
};

}  // namespace tka::inline TKA_ABI

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

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
    if (fault const f = diagnose(s, t); f.status != status::ok) return f.status;
    if constexpr (told_where) return Backend::run_rows(work{s, t}, where...);
    return status::ok;
  }

  /// What `operator()` would refuse, and which tensor it is about. Nothing runs.
  [[nodiscard]] fault diagnose(shape const& s, tensors const& t) const noexcept {
    if (s.batch < 1 || s.q_heads < 1 || s.q_len < 0 || s.v_dim < 1 || t.parts < 0) {
      return {status::invalid_shape};
    }
    fault first{};
    auto const view = [&](auto const& v, tensor_name name, std::int64_t last, access how,
                          bool required) {
      if (first.status != status::ok) return;
      first = check_view(v, {.name = name,
                             .space = {.outer = s.batch, .tokens = s.q_len},
                             .heads = s.q_heads,
                             .last = last,
                             .how = how,
                             .required = required,
                             .alignment = last > 1 ? 16 : 1});
    };
    auto const parts = [&](std::int64_t stride, tensor_name name) {
      bool const apart = t.parts < 2 || (stride != unset_stride && stride != 0);
      if (first.status == status::ok && !apart) first = {status::invalid_stride, name};
    };
    view(t.o, tensor_name::o, s.v_dim, access::written, true);
    view(t.lse, tensor_name::lse, 1, access::written, false);
    view(t.part_o, tensor_name::part_o, s.v_dim, access::read, t.parts > 0);
    view(t.part_lse, tensor_name::part_lse, 1, access::read, t.parts > 0);
    parts(t.part_o_stride, tensor_name::part_o_stride);
    parts(t.part_lse_stride, tensor_name::part_lse_stride);
    return first;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD

namespace tka::inline TKA_ABI::inline TKA_BUILD {

/// o and lse of the union of disjoint sets of keys from those of the parts:
/// lse = log sum e^lse_i, o = sum e^(lse_i - lse) * o_i, parts in order, in fp32. Parts without
/// keys (lse = -inf) do not count; all empty gives o = 0, lse = -inf. `shape` needs batch, q_heads,
/// q_len and v_dim. o may not overlap a part. Runs on the calling thread (cpu), or is enqueued on
/// the stream that is its last argument (cuda).
template <class Precision, class Backend>
inline constexpr detail::merge_call<Precision, Backend> merge{};

}  // namespace tka::inline TKA_ABI::inline TKA_BUILD
