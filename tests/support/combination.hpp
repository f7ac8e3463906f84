// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A problem for any combination of policies, read from their types: integers, so that every score
/// is exact, with forced keys, and small enough for fp64.

#pragma once

#include <tka/form.hpp>
#include <tka/select/bucketed.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/select/stored_scores.hpp>

#include <oracle/oracle.hpp>
#include <support/cases.hpp>
#include <support/oracle_names.hpp>
#include <support/seed.hpp>

#include <cstddef>
#include <type_traits>
#include <vector>

namespace support {

/// Which line of a list runs; captured by its checks.
inline int combination_number = 0;

template <class Selection, class Precision, class Form>
struct combination {
  static constexpr bool by_stored = requires(typename Selection::tensors t) { t.scores; };
  static constexpr bool by_index = requires(typename Selection::tensors t) { t.weights; };
  static constexpr bool latent = std::is_same_v<typename Form::cache_layout, tka::layout::mla_656>;

  static oracle::rules rules(int k) {
    oracle::rules r;
    r.kv_heads = latent ? 1 : 2;
    r.q_heads = 4;
    r.qk_dim = latent ? 576 : 160;
    r.v_dim = latent ? 512 : 144;
    r.score = by_index    ? oracle::score::index
              : by_stored ? oracle::score::stored
                          : oracle::score::query_key;
    r.scope = scope_of<Form>();
    r.visibility = visibility_of<Form>();
    r.window = 100;
    r.index_heads = by_index ? 3 : 0;
    r.index_dim = by_index ? 32 : 0;
    r.scale = exact_scale(r.qk_dim);
    r.sinks = 1;
    r.recent = 2;
    r.k = k;
    if (!Selection::is_exact) {
      r.buckets = 19;
      r.per_bucket = 2;
    }
    return r;
  }

  static oracle::problem problem(std::vector<lengths> const& sizes, int k, random_source& random) {
    auto p = make_problem(rules(k), sizes, contents::integers, random);
    for (oracle::sequence& s : p.sequences) {
      for (int j = 0; j < s.kv_len && latent; ++j) {
        auto const row = static_cast<std::size_t>(j);
        for (std::size_t d = 0; d < 512; ++d) s.v[row * 512 + d] = s.k[row * 576 + d];
      }
    }
    return p;
  }
};

}  // namespace support
