// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The compile-time structure of a call beyond selection, precision and backend.

#pragma once

#include <tka/config.hpp>
#include <tka/source/contiguous.hpp>
#include <tka/source/paged.hpp>
#include <tka/source/ragged.hpp>

#include <type_traits>

namespace tka::inline TKA_ABI {

namespace form_part {
struct scope;
struct query_source;
struct kv_source;
struct visibility;
struct cache_layout;
struct unit;
}  // namespace form_part

// clang-format off
/// Who shares one selection.
namespace scope {
struct query_head { using part = form_part::scope; };  ///< each query head its own (the paper)
struct kv_group { using part = form_part::scope; };    ///< the query heads of one key head
struct all_heads { using part = form_part::scope; };   ///< all heads; needs an indexer
}  // namespace scope

/// Which keys a query token may see, given its position p.
namespace visibility {
struct all { using part = form_part::visibility; };             ///< every key of the sequence
struct causal { using part = form_part::visibility; };          ///< positions 0..p
struct sliding_window { using part = form_part::visibility; };  ///< p - window + 1..p, and sinks
}  // namespace visibility

/// What bytes stand at the address of a token.
namespace layout {
struct plain { using part = form_part::cache_layout; };   ///< rows of the precision's type
struct scaled { using part = form_part::cache_layout; };  ///< the same with dequantisation scales
/// DeepSeek's 656-byte MLA rows: 512 e4m3, 4 fp32 scales (one per 128), 64 bf16. One key head,
/// qk_dim 576; v is the first 512 dimensions of the same row.
struct mla_656 { using part = form_part::cache_layout; };
}  // namespace layout

/// What is selected.
namespace unit {
struct token { using part = form_part::unit; };
}  // namespace unit
// clang-format on

namespace detail {

template <class Part, class Default, class... Given>
struct pick {
  using type = Default;
};
template <class Part, class Default, class First, class... Rest>
struct pick<Part, Default, First, Rest...>
    : std::conditional_t<std::is_same_v<typename First::part, Part>, std::type_identity<First>,
                         pick<Part, Default, Rest...>> {};

template <class Part, class... Given>
inline constexpr int times_given = (0 + ... + (std::is_same_v<typename Given::part, Part> ? 1 : 0));

}  // namespace detail

template <class T>
concept form_component = requires { typename T::part; };

/// Parts by name, in any order, each at most once; those left out take the first choice of their
/// kind: scope::query_head, query::uniform, kv::contiguous, visibility::causal, layout::plain,
/// unit::token. (With an indexer the scope is scope::all_heads unless given.)
template <class... Parts>
struct form {
  static_assert((form_component<Parts> && ...),
                "tka::form: every argument must be a form part; use types of tka::scope, query, "
                "kv, visibility, layout or unit");
  static_assert(((detail::times_given<typename Parts::part, Parts...> == 1) && ...),
                "tka::form: a part is given twice; name each kind of part once");

  static constexpr bool scope_given = detail::times_given<form_part::scope, Parts...> > 0;
  using scope = typename detail::pick<form_part::scope, tka::scope::query_head, Parts...>::type;
  using query_source =
      typename detail::pick<form_part::query_source, tka::query::uniform, Parts...>::type;
  using kv_source =
      typename detail::pick<form_part::kv_source, tka::kv::contiguous, Parts...>::type;
  using visibility =
      typename detail::pick<form_part::visibility, tka::visibility::causal, Parts...>::type;
  using cache_layout =
      typename detail::pick<form_part::cache_layout, tka::layout::plain, Parts...>::type;
  using unit = typename detail::pick<form_part::unit, tka::unit::token, Parts...>::type;
};

}  // namespace tka::inline TKA_ABI
