// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Draws what a scenario leaves open, and places everything in memory.

#include <fuzz/prepared.hpp>
#include <support/cache_layouts.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

namespace fuzz {

namespace {

constexpr int int_max = std::numeric_limits<std::int32_t>::max();
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::uint32_t bit(tka::data_error e) { return static_cast<std::uint32_t>(e); }

template <class List>
void shuffle(List& list, support::random_source& random) {
  for (std::size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[random.below(i)]);
}

std::vector<int> lengths(std::int64_t count, std::int64_t longest, std::int64_t how,
                         support::random_source& random) {
  std::vector<int> out;
  for (std::int64_t b = 0; b < count; ++b) {
    std::int64_t const own = how == 0   ? longest
                             : how == 1 ? random.between(0, longest)
                             : random.below(2) == 0 ? 0
                                                    : longest;
    out.push_back(static_cast<int>(own));
  }
  if (how != 0) out[random.below(out.size())] = static_cast<int>(longest);
  return out;
}

float content(std::int64_t contents, support::random_source& random) {
  return contents == 2 ? static_cast<float>(random.normal())
                       : static_cast<float>(random.between(-3, 3));
}

std::size_t row_index(std::int64_t head, std::int64_t len, std::int64_t token, std::int64_t dim) {
  return static_cast<std::size_t>((head * len + token) * dim);
}

}  // namespace

prepared::prepared(scenario const& s, instance_traits const& t) : what(s), traits(t) {
  support::random_source random("scenario", static_cast<std::uint64_t>(s.seed));
  draw_lengths(random);
  draw_rules(random);
  place_queries(random);
  place_keys(random);
  fill(random);
  put_cache(random);
  put_index();
  if (t.task != task::lists) draw_budgets(random);
  if (s.given_threshold != 0) draw_thresholds(random);
  error.assign(1, 0u);
}

void prepared::draw_lengths(support::random_source& random) {
  auto const q = lengths(what.batch, what.q_len, what.q_lengths, random);
  auto const kv = lengths(what.batch, what.kv_len, what.kv_lengths, random);
  for (std::size_t b = 0; b < q.size(); ++b) {
    oracle::sequence one;
    one.number = static_cast<int>(b);
    one.q_len = q[b];
    one.kv_len = kv[b];
    for (int i = 0; i < one.q_len && what.positions != 0; ++i) {
      int const implied = one.kv_len - one.q_len + i;
      one.query_position.push_back(
          what.positions == 1 ? implied : static_cast<int>(random.between(-3, one.kv_len + 5)));
    }
    problem.sequences.push_back(std::move(one));
  }
  shape.batch = static_cast<std::int32_t>(what.batch);
  shape.kv_heads = static_cast<std::int32_t>(what.kv_heads);
  shape.q_heads = static_cast<std::int32_t>(what.kv_heads * what.group);
  shape.q_len = static_cast<std::int32_t>(what.q_len + what.q_bound);
  shape.kv_len = static_cast<std::int32_t>(what.kv_len + what.kv_bound);
  shape.qk_dim = static_cast<std::int32_t>(what.qk_dim);
  shape.v_dim = static_cast<std::int32_t>(what.v_dim);
  if (traits.keys == keys::paged) shape.page_size = static_cast<std::int32_t>(what.page_size);
  if (traits.score == oracle::score::index) {
    shape.index_heads = static_cast<std::int32_t>(what.index_heads);
    shape.index_dim = static_cast<std::int32_t>(what.index_dim);
  }
}

void prepared::draw_rules(support::random_source& random) {
  auto const narrow = [](std::int64_t x) { return static_cast<int>(x); };
  auto& r = problem.rules;
  r.q_heads = shape.q_heads;
  r.kv_heads = shape.kv_heads;
  r.qk_dim = shape.qk_dim;
  r.v_dim = shape.v_dim;
  r.index_heads = shape.index_heads;
  r.index_dim = shape.index_dim;
  r.score = traits.score;
  r.scope = traits.scope;
  r.combine = static_cast<oracle::combine>(what.combine);
  r.visibility = traits.visibility;
  r.window = narrow(what.window);
  r.sinks = narrow(what.sinks);
  r.recent = narrow(what.recent);
  r.k = narrow(what.k);
  r.numerator = narrow(what.numerator);
  r.denominator = narrow(what.denominator);
  r.k_min = narrow(what.k_min);
  // A power of two near 1 / sqrt(dim): exact in fp32.
  r.scale = std::ldexp(1.0, static_cast<int>(random.between(-1, 1)) -
                                static_cast<int>(std::log2(static_cast<double>(r.qk_dim)) / 2.0));
  r.soft_cap = static_cast<double>(what.soft_cap);
  for (int h = 0; h < r.q_heads && what.sink_logits != 0; ++h) {
    double const logit = 0.5 * static_cast<double>(random.between(-16, 16));
    r.sink_logits.push_back(logit);
    sink_logits.push_back(static_cast<float>(logit));
  }
  r.shard_block = narrow(what.shard_block);
  r.shard_index = narrow(what.shard_index);
  r.shard_count = narrow(what.shard_count);

  options.budget = {.k = r.denominator > 0 ? 0 : r.k,
                    .numerator = r.numerator,
                    .denominator = r.denominator,
                    .k_min = r.k_min};
  // A selection alone needs no scale unless heads are combined by softmax.
  bool const no_scale = traits.task == task::select && what.combine != 2 && what.seed % 2 == 0;
  options.scale = no_scale ? 0.0f : static_cast<float>(r.scale);
  options.soft_cap = static_cast<float>(r.soft_cap);
  options.sinks = r.sinks;
  options.recent = r.recent;
  options.window = r.window;
  options.combine = static_cast<tka::combine>(what.combine);
  options.metrics = what.visible_metrics != 0 ? tka::metrics::visible : tka::metrics::selected;
  options.shard = {r.shard_block, r.shard_index, r.shard_count};
  if (traits.bucketed) {
    if (what.buckets > 0) {
      options.bucketing = {.buckets = narrow(what.buckets), .per_bucket = narrow(what.per_bucket)};
      r.buckets = narrow(what.buckets);
      r.per_bucket = narrow(what.per_bucket);
    } else {
      options.bucketing = {.recall_target = static_cast<float>(what.per_bucket) / 10.0f};
    }
  }
  if (what.scratch_limit > 0) options.scratch_limit = what.scratch_limit;
  std::int64_t most = r.k;
  if (r.denominator > 0) {
    most = (std::int64_t{r.numerator} * shape.kv_len + r.denominator - 1) / r.denominator;
    most = std::max<std::int64_t>(most, r.k_min);
  }
  if (traits.task != task::lists) {
    r.capacity = static_cast<int>(std::min<std::int64_t>(most, shape.kv_len));
  }
}

void prepared::place_queries(support::random_source&) {
  std::int64_t token = traits.ragged_queries ? 2 : 0;  // rows of no sequence lie in front
  if (traits.ragged_queries && what.positions != 0) q_positions.assign(2, int_max);
  for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
    auto const& s = problem.sequences[b];
    q_cumulative.push_back(static_cast<std::int32_t>(token));
    std::vector<tka::location> at;
    for (int i = 0; i < s.q_len; ++i) {
      at.push_back(traits.ragged_queries ? tka::location{0, token + i}
                                         : tka::location{static_cast<std::int64_t>(b), i});
    }
    if (traits.ragged_queries) token += s.q_len;
    queries.at.push_back(std::move(at));
    if (what.positions == 0) continue;
    q_positions.insert(q_positions.end(), s.query_position.begin(), s.query_position.end());
    for (std::int64_t n = 0; n < what.positions_gap; ++n) q_positions.push_back(-1000);
  }
  q_cumulative.push_back(static_cast<std::int32_t>(token));
  if (what.positions != 0 && q_positions.empty()) q_positions.push_back(0);
  queries.outer_count = traits.ragged_queries ? 1 : what.batch;
  queries.token_count = traits.ragged_queries ? token + 1 : what.q_len + 1;
}

void prepared::place_keys(support::random_source& random) {
  for (auto& s : problem.sequences) {
    std::vector<int> own;
    for (int j = 0; j < s.kv_len; ++j) {
      if (oracle::is_here(problem.rules, s, j)) own.push_back(j);
    }
    local.push_back(std::move(own));
    kv_lengths.push_back(s.kv_len);
  }
  if (traits.keys == keys::paged) {
    place_pages(random);
    return;
  }
  bool const ragged = traits.keys == keys::ragged;
  std::int64_t token = ragged ? 3 : 0;
  std::int64_t longest = 0;
  for (std::size_t b = 0; b < local.size(); ++b) {
    kv_cumulative.push_back(static_cast<std::int32_t>(token));
    std::vector<tka::location> at;
    auto const count = static_cast<std::int64_t>(local[b].size());
    for (std::int64_t i = 0; i < count; ++i) {
      at.push_back(ragged ? tka::location{0, token + i}
                          : tka::location{static_cast<std::int64_t>(b), i});
    }
    if (ragged) token += count;
    longest = std::max(longest, count);
    keys.at.push_back(std::move(at));
  }
  kv_cumulative.push_back(static_cast<std::int32_t>(token));
  keys.outer_count = ragged ? 1 : what.batch;
  keys.token_count = (ragged ? token : longest) + 2;
}

/// Pages in a random order, some of no sequence; what the table says beside them is garbage.
void prepared::place_pages(support::random_source& random) {
  std::int64_t const size = what.page_size;
  std::vector<std::int64_t> count;
  for (auto const& own : local) {
    count.push_back((static_cast<std::int64_t>(own.size()) + size - 1) / size);
  }
  std::int64_t const needed = std::accumulate(count.begin(), count.end(), std::int64_t{0});
  std::vector<std::int32_t> free_pages(static_cast<std::size_t>(needed + 3));
  std::iota(free_pages.begin(), free_pages.end(), 0);
  shuffle(free_pages, random);
  pages = static_cast<std::int32_t>(needed + 3);

  std::vector<std::size_t> sequence_order(local.size());
  std::iota(sequence_order.begin(), sequence_order.end(), 0u);
  std::vector<std::int64_t> begin(local.size());
  if (what.table == 2) {
    shuffle(sequence_order, random);
    std::int64_t next = 1;
    for (std::size_t const b : sequence_order) {
      begin[b] = next;
      next += count[b] + static_cast<std::int64_t>(random.below(3));
    }
    table.assign(static_cast<std::size_t>(next + 1), -7);
    for (auto const at : begin) table_begin.push_back(static_cast<std::int32_t>(at));
  } else {
    table_stride = std::max<std::int64_t>(1, *std::max_element(count.begin(), count.end()));
    if (what.table == 1) table_stride += 3;
    for (std::size_t b = 0; b < begin.size(); ++b) {
      begin[b] = static_cast<std::int64_t>(b) * table_stride;
    }
    table.assign(static_cast<std::size_t>(table_stride) * local.size(), -7);
  }
  for (std::size_t b = 0; b < local.size(); ++b) {
    auto& s = problem.sequences[b];
    std::vector<tka::location> at;
    for (std::int64_t page = 0; page < count[b]; ++page) {
      table[static_cast<std::size_t>(begin[b] + page)] = free_pages.back();
      free_pages.pop_back();
    }
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(local[b].size()); ++i) {
      at.push_back({table[static_cast<std::size_t>(begin[b] + i / size)], i % size});
    }
    keys.at.push_back(std::move(at));
    for (std::int64_t lost = 0; lost < what.lost_pages && count[b] > 0; ++lost) {
      auto const page = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(count[b])));
      std::int32_t const wrong[] = {-1, pages, int_max};
      table[static_cast<std::size_t>(begin[b] + page)] = wrong[random.below(3)];
      s.missing.resize(static_cast<std::size_t>(s.kv_len), 0);
      for (std::size_t i = static_cast<std::size_t>(page * size);
           i < std::min(local[b].size(), static_cast<std::size_t>((page + 1) * size)); ++i) {
        s.missing[static_cast<std::size_t>(local[b][i])] = 1;
      }
    }
  }
  keys.outer_count = pages;
  keys.token_count = size;
}

void prepared::fill(support::random_source& random) {
  auto const& r = problem.rules;
  for (auto& s : problem.sequences) {
    auto const draw = [&](std::vector<float>& to, std::int64_t count, std::int64_t contents) {
      to.resize(static_cast<std::size_t>(count));
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
      // Few values make many ties, many make few.
      std::int64_t const largest = random.below(2) == 0 ? 4 : 3000;
      for (float& x : s.stored) x = static_cast<float>(random.between(-largest, largest));
    }
  }
  if (what.contents == 1) put_specials(random);
}

/// NaN, infinities, zeros of both signs and tiny numbers, where the selection's scores come from.
void prepared::put_specials(support::random_source& random) {
  auto const& r = problem.rules;
  float const all[] = {nan,   -nan,     infinity, -infinity, -infinity,
                       -0.0f, 0x1p-149f, -0x1p-149f, 0.0f,     -infinity};
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
          if (attends) std::copy(row, row + 512, s.v.data() + row_index(0, s.kv_len, local[b][n], 512));
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
    for (auto const& own : local) longest = std::max(longest, static_cast<std::int64_t>(own.size()));
    stored = memory(element::fp32, queries, r.scope_heads(), longest, what.row_order, 1);
    for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
      auto const& s = problem.sequences[b];
      for (int h = 0; h < r.scope_heads(); ++h) {
        for (int i = 0; i < s.q_len; ++i) {
          std::vector<float> row;
          for (int const j : local[b]) {
            row.push_back(s.stored[row_index(h, s.q_len, i, s.kv_len) + static_cast<std::size_t>(j)]);
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
    index_k = memory(traits.index_key, keys, 1, r.index_dim, what.index_order,
                     grain(traits.index_key));
    if (what.index_scales != 0) index_k_scales = memory(element::fp32, keys, 1, 1, what.row_order, 1);
  }
  for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
    auto& s = problem.sequences[b];
    auto const tokens = all_tokens(s.q_len);
    put_rows({index_q, none}, s.index_q, r.index_heads, s.q_len, r.index_dim, tokens, queries.at[b],
             false);
    put_rows({index_weights, none}, s.index_weight, r.index_heads, s.q_len, 1, tokens, queries.at[b],
             false);
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
      for (int d = 0; d < r.index_dim; ++d) page[at.token * r.index_dim + d] = tka::float8_e4m3_t(row[d]);
      std::memcpy(static_cast<void*>(page + what.page_size * r.index_dim + 4 * at.token),
                  &s.index_k_scale[static_cast<std::size_t>(local[b][n])], 4);
    }
  }
}

void prepared::draw_budgets(support::random_source& random) {
  auto const& r = problem.rules;
  std::int64_t const planned = std::max<std::int64_t>(options.budget.k, r.capacity);
  for (auto& s : problem.sequences) {
    // Lost pages are met where a row that keeps keys may see one.
    bool visible_lost = false;
    if (what.own_budgets != 0) {
      std::int64_t k = random.between(0, r.capacity);
      bool const breaks = what.own_budgets >= 3 && random.below(2) == 0;
      if (what.own_budgets == 2) k = random.between(shape.kv_len + 1, options.budget.k);
      if (breaks && what.own_budgets == 3) {
        k = random.below(2) == 0 ? int_max : planned + random.between(1, 1000);
      }
      if (breaks && what.own_budgets == 4) k = -random.between(1, 1000);
      budgets.push_back(static_cast<std::int32_t>(k));
      s.k_of_sequence = static_cast<int>(std::max<std::int64_t>(k, 0));
      if (breaks) may_report |= bit(tka::data_error::budget_out_of_range);
      if (breaks && s.q_len > 0) must_report |= bit(tka::data_error::budget_out_of_range);
    }
    for (int i = 0; i < s.q_len && !s.missing.empty(); ++i) {
      if (oracle::budget_of(r, s, i) == 0) continue;
      for (int const j : oracle::visible_positions(r, s, i)) {
        visible_lost = visible_lost || s.missing[static_cast<std::size_t>(j)] != 0;
      }
    }
    if (visible_lost) must_report |= bit(tka::data_error::page_out_of_range);
    if (!s.missing.empty()) may_report |= bit(tka::data_error::page_out_of_range);
  }
}

void prepared::draw_thresholds(support::random_source& random) {
  auto const& r = problem.rules;
  given_score = memory(element::fp32, queries, r.scope_heads(), 1, what.row_order, 1);
  given_position = memory(element::fp32, queries, r.scope_heads(), 1, what.row_order, 3);
  for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
    auto const& s = problem.sequences[b];
    limits.emplace_back();
    for (int h = 0; h < r.scope_heads(); ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        oracle::threshold limit{0.0, -1};
        auto const seen = oracle::scored_positions(r, s, i);
        if (what.given_threshold == 2) {
          double const ends[] = {double{nan}, double{infinity}, -double{infinity}};
          limit = {ends[random.below(3)], random.below(2) == 0 ? -1 : int_max};
        } else if (!seen.empty()) {
          int const at = seen[random.below(seen.size())];
          limit = {oracle::selection_scores(r, s, i, h, {at})[0],
                   static_cast<int>(random.between(at - 1, at))};
        }
        float const score = static_cast<float>(limit.score);
        tka::location const where = queries.at[b][static_cast<std::size_t>(i)];
        given_score.put(where, h, &score, 1);
        *given_position.words(where, h) = limit.position;
        limits.back().push_back(limit);
      }
    }
  }
}

void prepared::make_lists(std::int32_t capacity) {
  support::random_source random("lists", static_cast<std::uint64_t>(what.seed) + 1);
  auto const& r = problem.rules;
  positions = memory(element::fp32, queries, r.scope_heads(), capacity, what.row_order, 1, 0x5a);
  count = memory(element::fp32, queries, r.scope_heads(), 1, what.row_order, 1, 0x5a);
  for (std::size_t b = 0; b < problem.sequences.size(); ++b) {
    auto const& s = problem.sequences[b];
    lists.emplace_back();
    for (int h = 0; h < r.scope_heads(); ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        std::vector<std::int32_t> list(static_cast<std::size_t>(random.between(0, capacity)));
        bool const broken = what.lists == 2 && random.below(3) == 0;
        auto length = static_cast<std::int32_t>(list.size());
        if (broken && random.below(2) == 0) {
          length = -static_cast<std::int32_t>(random.between(1, 100));
          list.clear();
        } else if (broken) {
          length = capacity + static_cast<std::int32_t>(random.between(1, 100));
          list.resize(static_cast<std::size_t>(capacity));
        }
        for (auto& j : list) {
          bool const valid = what.lists == 0 && s.kv_len > 0;
          j = static_cast<std::int32_t>(valid ? random.between(0, s.kv_len - 1)
                                              : random.between(-3, s.kv_len + 3));
          if (what.lists == 0 && s.kv_len == 0) j = -1;
        }
        tka::location const where = queries.at[b][static_cast<std::size_t>(i)];
        std::copy(list.begin(), list.end(), positions.words(where, h));
        *count.words(where, h) = length;
        if (broken) must_report |= bit(tka::data_error::budget_out_of_range);
        std::vector<std::int32_t> met;
        for (auto const j : list) {
          if (j == -1) continue;
          if (j < 0 || j >= s.kv_len) {
            must_report |= bit(tka::data_error::position_out_of_range);
          } else if (oracle::is_here(r, s, j)) {
            met.push_back(j);
          } else if (j / r.shard_block % r.shard_count == r.shard_index) {
            must_report |= bit(tka::data_error::page_out_of_range);
          }
        }
        lists.back().push_back(std::move(met));
      }
    }
  }
  may_report |= must_report;
}

void prepared::make_outputs(std::int32_t capacity) {
  auto const& r = problem.rules;
  auto const poison = static_cast<unsigned char>(what.poison);
  bool const attends = traits.task != task::select;
  if (attends) {
    o = memory(traits.output, queries, r.q_heads, r.v_dim, what.o_order, grain(traits.output),
               poison);
  }
  auto const make = [&](memory& m, bool wanted, int heads, std::int64_t dim, std::int64_t odd) {
    if (wanted) m = memory(element::fp32, queries, heads, dim, what.row_order, odd, poison);
  };
  bool const metric = what.visible_metrics != 0;
  make(lse, attends && what.no_lse == 0, r.q_heads, 1, 1);
  make(entropy, attends && what.no_entropy == 0, r.q_heads, 1, 3);
  make(lse_visible, metric && what.no_lse_visible == 0, r.q_heads, 1, 1);
  make(entropy_visible, metric && what.no_entropy_visible == 0, r.q_heads, 1, 5);
  make(retained_mass, metric && what.no_retained_mass == 0, r.q_heads, 1, 1);
  if (traits.task == task::lists) return;
  make(positions, what.no_positions == 0, r.scope_heads(), capacity, 1);
  make(count, what.no_count == 0, r.scope_heads(), 1, 3);
  make(scores, what.no_scores == 0, r.scope_heads(), capacity, 7);
  make(threshold_score, what.no_threshold_score == 0, r.scope_heads(), 1, 1);
  make(threshold_position, what.no_threshold_position == 0, r.scope_heads(), 1, 5);
}

std::uint64_t prepared::digest_of_inputs() const {
  std::uint64_t all = 0;
  auto const add = [&all](std::uint64_t x) { all = all * 0x9e3779b97f4a7c15u + x; };
  for (memory const* m : {&q, &k, &v, &index_q, &index_k, &index_k_scales, &index_weights, &stored,
                          &given_score, &given_position}) {
    add(m->digest());
  }
  if (traits.task == task::lists) {
    add(positions.digest());
    add(count.digest());
  }
  for (auto const* list : {&q_cumulative, &q_positions, &kv_cumulative, &kv_lengths, &table,
                           &table_begin, &budgets}) {
    for (auto const x : *list) add(static_cast<std::uint64_t>(static_cast<std::uint32_t>(x)));
  }
  return all;
}

}  // namespace fuzz
