// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the policies must offer, as conjunctions of named atoms.

#pragma once

#include <tka/config.hpp>

#include <concepts>
#include <type_traits>

namespace tka::inline TKA_ABI {

template <class T>
concept names_selector = requires { typename T::selector; };
template <class T>
concept names_score_source = requires { typename T::score_source; };
template <class T>
concept names_tensors = requires { typename T::tensors; };
template <class T>
concept declares_exactness = requires {
  { T::is_exact } -> std::convertible_to<bool>;
};

/// A selection: says who selects, where scores come from, what tensors that takes, if it is exact.
template <class T>
concept selection_policy =
    names_selector<T> && names_score_source<T> && names_tensors<T> && declares_exactness<T>;

/// A selection that another policy may hold: it is its own selector.
template <class T>
concept selector_policy = selection_policy<T> && std::is_same_v<typename T::selector, T>;

template <class T>
concept names_query_type = requires { typename T::query_type; };
template <class T>
concept names_key_type = requires { typename T::key_type; };
template <class T>
concept names_value_type = requires { typename T::value_type; };
template <class T>
concept names_output_type = requires { typename T::output_type; };

/// A precision: the storage of q, k, v and o.
template <class T>
concept precision_policy =
    names_query_type<T> && names_key_type<T> && names_value_type<T> && names_output_type<T>;

template <class T>
concept names_device = requires { typename T::device; };
template <class T>
concept names_engine = requires { typename T::is_tka_backend; };

/// A backend: where the call runs.
template <class T>
concept backend_policy = names_device<T> && names_engine<T>;

template <class T>
concept form_type = requires {
  typename T::scope;
  typename T::query_source;
  typename T::kv_source;
  typename T::visibility;
  typename T::cache_layout;
  typename T::unit;
};

}  // namespace tka::inline TKA_ABI
