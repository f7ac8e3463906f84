// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The levels of every field, and the rules between fields.

#include <fuzz/scenario.hpp>

#include <algorithm>
#include <limits>

namespace fuzz {

namespace {

constexpr std::int64_t int_max = std::numeric_limits<std::int32_t>::max();

std::vector<level> each(std::initializer_list<std::int64_t> values) {
  std::vector<level> out;
  for (auto const x : values) out.push_back({x, x});
  return out;
}

}  // namespace

std::vector<field> const& fields() {
  using s = scenario;
  static std::vector<field> const all = {
      {"batch", &s::batch, each({1, 2, 3, 5})},
      {"kv_heads", &s::kv_heads, each({1, 2, 3})},
      {"group", &s::group, each({1, 2, 3, 4, 5, 7, 8, 12})},
      {"qk_dim", &s::qk_dim, each({16, 32, 48, 80, 128, 160, 256, 576, 1024})},
      {"v_dim", &s::v_dim, each({16, 32, 64, 112, 144, 512, 1024})},
      {"index_heads", &s::index_heads, each({1, 2, 3, 8})},
      {"index_dim", &s::index_dim, each({16, 32, 128})},
      {"q_len", &s::q_len, {{1, 1}, {2, 2}, {3, 9}, {0, 0}, {10, 33}, {63, 70}}},
      {"q_lengths", &s::q_lengths, each({0, 1, 2})},
      {"q_bound", &s::q_bound, {{0, 0}, {1, 20}}},
      {"kv_len",
       &s::kv_len,
       {{16, 16}, {1, 1}, {2, 15}, {0, 0}, {17, 128}, {129, 300}, {301, 900}, {901, 3000}}},
      {"kv_lengths", &s::kv_lengths, each({0, 1, 2})},
      {"kv_bound", &s::kv_bound, {{0, 0}, {1, 60}, {5000, 9000}}, 20},
      {"no_lengths", &s::no_lengths, each({0, 1})},
      {"broken_lengths", &s::broken_lengths, each({0, 1}), 70},
      {"positions", &s::positions, each({0, 1, 2})},
      {"positions_gap", &s::positions_gap, {{0, 0}, {1, 5}}},
      {"page_size", &s::page_size, each({16, 1, 7, 64, 256})},
      {"table", &s::table, each({0, 1, 2})},
      {"lost_pages", &s::lost_pages, each({0, 1, 2}), 60},
      {"shard_count", &s::shard_count, each({1, 2, 3}), 50},
      {"shard_index", &s::shard_index, each({0, 1, 2})},
      {"shard_block", &s::shard_block, {{1, 1}, {2, 9}, {64, 64}, {200, 300}}},
      {"window", &s::window, {{1000000, 1000000}, {1, 1}, {2, 60}, {61, 400}, {int_max, int_max}}},
      {"mask_first", &s::mask_first, each({0, 1}), 40},
      {"mask_rows", &s::mask_rows, each({0, 1, 2, 3}), 40},
      {"draft_keys", &s::draft_keys, {{0, 0}, {1, 1}, {2, 63}, {64, 64}}, 40},
      {"sinks", &s::sinks, {{0, 0}, {1, 1}, {2, 9}, {100, 200}}, 25},
      {"recent", &s::recent, {{0, 0}, {1, 1}, {2, 9}, {100, 200}}, 25},
      {"k", &s::k, {{4, 4}, {1, 1}, {0, 0}, {5, 63}, {64, 400}, {401, 4000}}},
      {"numerator",
       &s::numerator,
       {{0, 0}, {1, 1}, {2, 7}, {1000000, 2000000}, {int_max, int_max}}},
      {"denominator",
       &s::denominator,
       {{0, 0}, {1, 1}, {2, 9}, {2000000, 9000000}, {int_max, int_max}},
       50},
      {"k_min", &s::k_min, {{0, 0}, {1, 1}, {2, 40}, {1000, 4000}}},
      {"own_budgets", &s::own_budgets, each({0, 1, 2, 3, 4}), 50},
      {"combine", &s::combine, each({0, 1, 2})},
      {"visible_metrics", &s::visible_metrics, each({0, 1})},
      {"soft_cap", &s::soft_cap, each({0, 1, 5, 30})},
      {"sink_logits", &s::sink_logits, each({0, 1})},
      {"buckets", &s::buckets, {{0, 0}, {1, 1}, {2, 40}, {128, 500}}, 50},
      {"per_bucket", &s::per_bucket, {{1, 1}, {2, 3}, {4, 9}}},
      {"given_threshold", &s::given_threshold, each({0, 1, 2}), 30},
      {"lists", &s::lists, each({0, 1, 2}), 20},
      {"contents", &s::contents, each({0, 1, 2}), 40},
      {"q_order", &s::q_order, each({hnd, nhd, sliced, gaps, expanded})},
      {"k_order", &s::k_order, each({hnd, nhd, sliced, gaps, expanded}), 20},
      {"v_order", &s::v_order, each({hnd, nhd, sliced, gaps, expanded})},
      {"no_q_k", &s::no_q_k, each({0, 1})},
      {"v_in_k", &s::v_in_k, each({0, 1})},
      {"o_order", &s::o_order, each({hnd, nhd, sliced, gaps})},
      {"row_order", &s::row_order, each({hnd, nhd, sliced, gaps})},
      {"index_order", &s::index_order, each({hnd, nhd, sliced, gaps})},
      {"index_scales", &s::index_scales, each({1, 0})},
      {"k_scales", &s::k_scales, each({1, 0, 2, 4, 8, 6, 14})},
      {"v_scales", &s::v_scales, each({1, 0, 2, 4, 8, 6, 14})},
      {"no_lse", &s::no_lse, each({0, 1}), 50},
      {"no_entropy", &s::no_entropy, each({0, 1}), 50},
      {"no_lse_visible", &s::no_lse_visible, each({0, 1})},
      {"no_entropy_visible", &s::no_entropy_visible, each({0, 1})},
      {"no_retained_mass", &s::no_retained_mass, each({0, 1})},
      {"no_positions", &s::no_positions, each({0, 1}), 60},
      {"no_count", &s::no_count, each({0, 1}), 60},
      {"no_scores", &s::no_scores, each({0, 1}), 60},
      {"no_threshold_score", &s::no_threshold_score, each({0, 1}), 50},
      {"no_threshold_position", &s::no_threshold_position, each({0, 1}), 50},
      {"no_error", &s::no_error, each({0, 1}), 60},
      {"threads", &s::threads, each({1, 3, 8})},
      {"workers", &s::workers, {{0, 0}, {1, 1}, {2, 3}, {9, 16}}, 20},
      {"query_tile", &s::query_tile, {{1, 1}, {2, 7}, {64, 64}}},
      {"splits", &s::splits, {{1, 1}, {2, 3}, {8, 12}}},
      {"scratch_limit", &s::scratch_limit, each({0, 1, 100000})},
      {"scratch", &s::scratch, each({0xff, 0, 0x5a})},
      {"poison", &s::poison, each({0x5a, 0, 0xff})},
  };
  return all;
}

int level_of(field const& f, std::int64_t value) {
  for (std::size_t n = 0; n < f.levels.size(); ++n) {
    if (value >= f.levels[n].low && value <= f.levels[n].high) return static_cast<int>(n);
  }
  return -1;
}

namespace {

void drop_what_does_not_apply(scenario& s, instance_traits const& t) {
  scenario const simple;
  auto const drop = [&](auto... members) { ((s.*members = simple.*members), ...); };
  using c = scenario;
  bool const attends = t.task != task::select;
  bool const selects = t.task != task::lists;
  if (!attends) {
    drop(&c::v_dim, &c::v_order, &c::v_in_k, &c::o_order, &c::v_scales, &c::no_lse, &c::no_entropy,
         &c::sink_logits, &c::soft_cap);
  }
  if (!selects) {
    drop(&c::mask_first, &c::mask_rows, &c::draft_keys, &c::window, &c::sinks, &c::recent,
         &c::numerator, &c::denominator, &c::k_min, &c::own_budgets, &c::combine, &c::no_positions,
         &c::no_count, &c::no_scores, &c::no_threshold_score, &c::no_threshold_position,
         &c::positions, &c::splits);
  } else {
    drop(&c::lists);
  }
  if (t.task != task::select || t.score == oracle::score::query_key) drop(&c::no_q_k);
  if (t.visibility != oracle::visibility::sliding_window) drop(&c::window);
  if (t.task != task::select || t.bucketed) drop(&c::given_threshold);
  bool const group = t.scope == oracle::scope::kv_group && t.score == oracle::score::query_key;
  if (!group) drop(&c::combine);
  if (t.task != task::attend || t.score != oracle::score::query_key) drop(&c::visible_metrics);
  if (s.visible_metrics == 0) {
    drop(&c::no_lse_visible, &c::no_entropy_visible, &c::no_retained_mass);
  }
  if (t.score != oracle::score::index) {
    drop(&c::index_heads, &c::index_dim, &c::index_order, &c::index_scales);
  }
  if (t.page_132) drop(&c::index_scales);
  if (!t.bucketed) {
    drop(&c::buckets, &c::per_bucket);
  } else {
    s.no_threshold_score = s.no_threshold_position = 1;
  }
  if (!t.ragged_queries) drop(&c::q_lengths, &c::q_bound);
  if (s.positions == 0 || t.ragged_queries) drop(&c::positions_gap);
  if (t.keys != keys::paged) drop(&c::page_size, &c::table, &c::lost_pages);
  if (t.keys != keys::contiguous) drop(&c::no_lengths);
  if (t.keys == keys::ragged || s.no_lengths != 0) drop(&c::broken_lengths);
  if (t.keys == keys::ragged) drop(&c::shard_count);
  if (s.shard_count == 1) drop(&c::shard_index, &c::shard_block);
  if (t.layout != layout::scaled) drop(&c::k_scales, &c::v_scales);
  // Drafts are not dealt out; a recall target counts them whether they are visible or not.
  if (s.shard_count > 1 || (t.bucketed && s.buckets == 0)) drop(&c::draft_keys);
  if (s.workers == 0) drop(&c::query_tile, &c::splits);
  if (t.on_cuda) drop(&c::threads);
  if (!t.on_cuda) drop(&c::scratch_limit);
}

void settle_contradictions(scenario& s, instance_traits const& t) {
  bool const selects = t.task != task::lists;
  if (t.layout == layout::mla_656) {
    s.kv_heads = 1;
    s.qk_dim = 576;
    s.v_dim = 512;
    s.v_in_k = 0;
    s.v_order = hnd;
  }
  if (t.on_cuda) {
    s.qk_dim = std::min<std::int64_t>(s.qk_dim, 576);
    s.v_dim = std::min<std::int64_t>(s.v_dim, 512);
  }
  if (s.v_in_k != 0) {
    if (t.key != t.value || t.layout != layout::plain) s.v_in_k = 0;
    s.v_dim = std::min(s.v_dim, s.qk_dim);
    if (s.v_in_k != 0) s.v_order = hnd;
  }
  // v is told from k by its heads: with heads that share one row, both must.
  if (s.no_lengths != 0) {
    s.kv_lengths = 0;
    s.kv_bound = 0;
  }
  s.shard_index = std::min(s.shard_index, s.shard_count - 1);
  if (s.denominator > 0) {
    s.numerator = std::min(s.numerator, s.denominator);
    s.k = 4;
    if (s.numerator < s.denominator) s.k_min = std::max(s.k_min, s.sinks + s.recent);
  } else {
    s.numerator = 0;
    s.k_min = 0;
    if (selects) s.k = std::max(s.k, s.sinks + s.recent);
  }
  if (s.own_budgets == 2 && (s.denominator > 0 || s.k <= s.kv_len + s.kv_bound)) s.own_budgets = 1;
  // Scores that are not exact are judged by the lists that were made.
  bool const inexact = s.combine == 2 || s.contents == 2;
  if (s.combine == 2 && s.contents == 1) s.contents = 0;
  if (t.task == task::lists && s.contents == 1) s.contents = 0;
  if (inexact) {
    s.no_positions = s.no_count = 0;
    s.given_threshold = 0;
  }
  if (t.score != oracle::score::query_key && t.task == task::select && s.contents == 2) {
    s.contents = 0;
  }
}

}  // namespace

scenario made_valid(scenario s, instance_traits const& t, double max_work) {
  drop_what_does_not_apply(s, t);
  settle_contradictions(s, t);
  drop_what_does_not_apply(s, t);
  auto const work = [&s] {
    return static_cast<double>(s.batch * std::max<std::int64_t>(s.q_len, 1) * s.kv_heads *
                               s.group) *
           static_cast<double>(s.kv_len + 4) * static_cast<double>(s.qk_dim + s.v_dim / 4 + 16);
  };
  while (work() > max_work && s.batch > 1) --s.batch;
  while (work() > max_work && s.q_len > 1) s.q_len = (s.q_len + 1) / 2;
  while (work() > max_work && s.kv_len > 64) s.kv_len /= 2;
  while (work() > max_work && s.group > 1) --s.group;
  return s;
}

std::string text_of(scenario const& s) {
  std::string out = "{.seed = " + std::to_string(s.seed);
  for (field const& f : fields()) {
    if (s.*f.value == f.levels[0].low) continue;
    out += std::string(", .") + f.name + " = " + std::to_string(s.*f.value);
  }
  return out + "}";
}

}  // namespace fuzz
