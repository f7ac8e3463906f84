// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What tensors hold: written to memory, and read back for the oracle.

#include <tka/precision/bf16.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/scale_view.hpp>

#include <support/cache_layouts.hpp>

#include <fuzz/prepared.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

namespace fuzz {

namespace {

float content(std::int64_t contents, support::random_source& random) {
  return contents == 2 ? static_cast<float>(random.normal())
                       : static_cast<float>(random.between(-3, 3));
}

std::size_t row_index(std::int64_t head, std::int64_t len, std::int64_t token, std::int64_t dim) {
  return static_cast<std::size_t>((head * len + token) * dim);
}

}  // namespace

void prepared::fill(support::random_source& random) {
  auto const& r = problem.rules;
  for (auto& s : problem.sequences) {
    auto const draw = [&](std::vector<float>& to, std::int64_t size, std::int64_t contents) {
      to.resize(static_cast<std::size_t>(size));
      for (float& x : to) x = content(contents, random);
    };
    auto const q_len = std::int64_t{s.q_len};
    auto const kv_len = std::int64_t{s.kv_len};
    draw(s.q, r.q_heads * q_len * r.qk_dim, what.contents);
    draw(s.k, r.kv_heads * kv_len * r.qk_dim, what.contents);
    draw(s.v, r.kv_heads * kv_len * r.v_dim, what.contents);
    if (r.score == oracle::score::index) {
      draw(s.index_q, r.index_heads * q_len * r.index_dim, 0);
      draw(s.index_k, kv_len * r.index_dim, 0);
      draw(s.index_weight, r.index_heads * q_len, 0);
      for (float& x : s.index_weight) x *= 0.5f;
      for (std::int64_t j = 0; j < kv_len; ++j) {
        auto const power = static_cast<int>(random.between(-1, 1));
        s.index_k_scale.push_back(what.index_scales != 0 ? std::ldexp(1.0f, power) : 1.0f);
      }
    }
    if (r.score == oracle::score::stored) {
      s.stored.resize(static_cast<std::size_t>(r.scope_heads() * q_len * kv_len));
      // Few values make many ties, many make few; in a long row the best lie everywhere.
      std::int64_t const some = random.below(2) == 0 ? 4 : 3000;
      std::int64_t const largest = kv_len > 100000 ? 1000000 : some;
      for (float& x : s.stored) x = static_cast<float>(random.between(-largest, largest));
    }
  }
  if (what.contents == 1) put_specials(random);
}

/// NaN, infinities, zeros of both signs and tiny numbers, where the selection's scores come from.
void prepared::put_specials(support::random_source& random) {
  auto const& r = problem.rules;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  float const all[] = {nan,   -nan,      infinity,   -infinity, -infinity,
                       -0.0f, 0x1p-149f, -0x1p-149f, 0.0f,      -infinity};
  for (auto& s : problem.sequences) {
    for (float& x : s.stored) {
      if (random.below(6) == 0) x = all[random.below(10)];
    }
    for (int j = 0; j < s.kv_len && r.score != oracle::score::stored; ++j) {
      if (random.below(20) != 0) continue;
      if (r.score == oracle::score::index) {
        s.index_k[row_index(0, s.kv_len, j, r.index_dim)] = nan;
      } else {
        auto const head = random.between(0, r.kv_heads - 1);
        s.k[row_index(head, s.kv_len, j, r.qk_dim) + 3] = nan;
      }
    }
  }
}

namespace {

/// Makes the scales of a cache: bits of `how` name the extents that have their own.
void make_scales(scales& to, space const& where, std::int64_t heads, std::int64_t dim,
                 std::int64_t how, support::random_source& random) {
  to.given = how != 0;
  if (!to.given) return;
  std::int64_t next = 1;
  auto const extent = [&next](bool own, std::int64_t count) {
    std::int64_t const stride = own ? next : 0;
    if (own) next *= count;
    return stride;
  };
  to.block = extent((how & 8) != 0, support::scale_blocks(dim));
  to.head = extent((how & 2) != 0, heads);
  to.token = extent((how & 4) != 0, where.token_count);
  to.batch = extent((how & 4) != 0, where.outer_count);
  to.values = support::buffer<float>(static_cast<std::size_t>(next));
  for (std::int64_t n = 0; n < next; ++n) {
    to.values.data()[n] = std::ldexp(1.0f, static_cast<int>(random.between(-1, 1)));
  }
}

/// Writes rows and reads back what memory holds of them, which the oracle then takes.
struct cache_writer {
  memory& to;
  fuzz::scales& scales;

  void put(tka::location at, std::int64_t head, std::vector<float> const& row) {
    std::vector<float> stored = row;
    each_scaled(at, head, stored, [](float& x, float scale) { x /= scale; });
    to.put(at, head, stored.data(), static_cast<std::int64_t>(stored.size()));
  }
  void get(tka::location at, std::int64_t head, std::vector<float>& row) {
    to.get(at, head, row.data(), static_cast<std::int64_t>(row.size()));
    each_scaled(at, head, row, [](float& x, float scale) { x *= scale; });
  }
  template <class Function>
  void each_scaled(tka::location at, std::int64_t head, std::vector<float>& row,
                   Function const& function) {
    for (std::size_t d = 0; d < row.size() && scales.given; ++d) {
      function(row[d], scales.at(at, head, static_cast<std::int64_t>(d) / tka::scale_block));
    }
  }
};

/// Rows of one sequence, into memory and back.
void put_rows(cache_writer writer, std::vector<float>& values, std::int64_t heads, std::int64_t len,
              std::int64_t dim, std::vector<int> const& tokens,
              std::vector<tka::location> const& at, bool back) {
  std::vector<float> row(static_cast<std::size_t>(dim));
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::size_t n = 0; n < tokens.size(); ++n) {
      float* const first = values.data() + row_index(h, len, tokens[n], dim);
      if (back) {
        writer.get(at[n], h, row);
        std::copy(row.begin(), row.end(), first);
      } else {
        std::copy(first, first + dim, row.begin());
        writer.put(at[n], h, row);
      }
    }
  }
}

std::vector<int> all_tokens(int count) {
  std::vector<int> out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

}  // namespace

void prepared::put_cache(support::random_source& random) {
  auto const& r = problem.rules;
  fuzz::scales none;
  bool const one_row = traits.layout == layout::mla_656;
  bool const attends = traits.task != task::select;
  if (what.no_q_k != 0) return;
  q = memory(traits.query, queries, r.q_heads, r.qk_dim, what.q_order, grain(traits.query));
  k = memory(traits.key, keys, r.kv_heads, one_row ? 656 : r.qk_dim, what.k_order,
             grain(traits.key));
  bool const has_v = attends && !one_row && what.v_in_k == 0;
  if (has_v) {
    v = memory(traits.value, keys, r.kv_heads, r.v_dim, what.v_order, grain(traits.value));
  }
  if (traits.layout == layout::scaled) {
    make_scales(k_scales, keys, r.kv_heads, r.qk_dim, what.k_scales, random);
    if (attends) make_scales(v_scales, keys, r.kv_heads, r.v_dim, what.v_scales, random);
  }
  for (bool const back : {false, true}) {
    for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
      auto& s = problem.sequences[b];
      auto const& at = keys.at[b];
      put_rows({q, none}, s.q, r.q_heads, s.q_len, r.qk_dim, all_tokens(s.q_len), queries.at[b],
               back);
      if (one_row) {
        for (std::size_t n = 0; n < local[b].size(); ++n) {
          float* const row = s.k.data() + row_index(0, s.kv_len, local[b][n], 576);
          auto* const bytes = reinterpret_cast<tka::float8_e4m3_t*>(k.at(at[n], 0));
          if (!back) {
            support::put_mla_656(row, bytes);
            continue;
          }
          for (int d = 0; d < 512; ++d) {
            float scale;
            std::memcpy(&scale, bytes + 512 + 4 * (d / 128), 4);
            row[d] = static_cast<float>(bytes[d]) * scale;
          }
          for (int d = 0; d < 64; ++d) {
            tka::bfloat16_t rope;
            std::memcpy(static_cast<void*>(&rope), bytes + 528 + 2 * d, 2);
            row[512 + d] = static_cast<float>(rope);
          }
          if (attends)
            std::copy(row, row + 512, s.v.data() + row_index(0, s.kv_len, local[b][n], 512));
        }
        continue;
      }
      put_rows({k, k_scales}, s.k, r.kv_heads, s.kv_len, r.qk_dim, local[b], at, back);
      if (has_v) put_rows({v, v_scales}, s.v, r.kv_heads, s.kv_len, r.v_dim, local[b], at, back);
      if (what.v_in_k != 0 && back) {
        put_rows({k, none}, s.v, r.kv_heads, s.kv_len, r.v_dim, local[b], at, true);
      }
    }
  }
}

void prepared::put_index() {
  auto const& r = problem.rules;
  if (r.score == oracle::score::stored) {
    std::int64_t longest = 1;
    for (auto const& own : local)
      longest = std::max(longest, static_cast<std::int64_t>(own.size()));
    stored = memory(element::fp32, queries, r.scope_heads(), longest, what.row_order, 1);
    for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
      auto const& s = problem.sequences[b];
      for (int h = 0; h < r.scope_heads(); ++h) {
        for (int i = 0; i < s.q_len; ++i) {
          std::vector<float> row;
          for (int const j : local[b]) {
            row.push_back(
                s.stored[row_index(h, s.q_len, i, s.kv_len) + static_cast<std::size_t>(j)]);
          }
          stored.put(queries.at[b][static_cast<std::size_t>(i)], h, row.data(),
                     static_cast<std::int64_t>(row.size()));
        }
      }
    }
  }
  if (r.score != oracle::score::index) return;
  fuzz::scales none;
  std::int64_t const page_bytes = what.page_size * (r.index_dim + 4);
  index_q = memory(traits.index_query, queries, r.index_heads, r.index_dim, what.index_order,
                   grain(traits.index_query));
  index_weights = memory(element::fp32, queries, r.index_heads, 1, what.row_order, 1);
  if (traits.page_132) {
    space const whole_pages{.outer_count = pages, .token_count = 1};
    index_k = memory(element::fp8, whole_pages, 1, page_bytes, hnd, 16);
  } else {
    index_k =
        memory(traits.index_key, keys, 1, r.index_dim, what.index_order, grain(traits.index_key));
    if (what.index_scales != 0)
      index_k_scales = memory(element::fp32, keys, 1, 1, what.row_order, 1);
  }
  for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
    auto& s = problem.sequences[b];
    auto const tokens = all_tokens(s.q_len);
    put_rows({index_q, none}, s.index_q, r.index_heads, s.q_len, r.index_dim, tokens, queries.at[b],
             false);
    put_rows({index_weights, none}, s.index_weight, r.index_heads, s.q_len, 1, tokens,
             queries.at[b], false);
    if (!traits.page_132) {
      put_rows({index_k, none}, s.index_k, 1, s.kv_len, r.index_dim, local[b], keys.at[b], false);
      if (index_k_scales) {
        put_rows({index_k_scales, none}, s.index_k_scale, 1, s.kv_len, 1, local[b], keys.at[b],
                 false);
      }
      continue;
    }
    for (std::size_t n = 0; n < local[b].size(); ++n) {
      tka::location const at = keys.at[b][n];
      auto* const page = reinterpret_cast<tka::float8_e4m3_t*>(index_k.at({at.outer, 0}, 0));
      float const* const row = s.index_k.data() + row_index(0, s.kv_len, local[b][n], r.index_dim);
      for (int d = 0; d < r.index_dim; ++d)
        page[at.token * r.index_dim + d] = tka::float8_e4m3_t(row[d]);
      std::memcpy(static_cast<void*>(page + what.page_size * r.index_dim + 4 * at.token),
                  &s.index_k_scale[static_cast<std::size_t>(local[b][n])], 4);
    }
  }
}

}  // namespace fuzz
