// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One call with all its arguments and options as numbers: what is drawn, printed and made simpler.

#pragma once

#include <oracle/oracle.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fuzz {

/// Element types of tensors.
enum class element { fp32, fp16, bf16, fp8 };

enum class task { attend, select, lists };
enum class keys { contiguous, ragged, paged };
enum class layout { plain, scaled, mla_656 };

/// What an instance fixes at compile time.
struct instance_traits {
  fuzz::task task = task::attend;
  oracle::score score = oracle::score::query_key;
  oracle::scope scope = oracle::scope::query_head;
  oracle::visibility visibility = oracle::visibility::causal;
  fuzz::keys keys = keys::contiguous;
  fuzz::layout layout = layout::plain;
  bool ragged_queries = false;
  bool bucketed = false;
  bool page_132 = false;
  element query{}, key{}, value{}, output{}, index_query{}, index_key{};
  element weight{};  ///< what the weights of values are rounded to
  bool on_cuda = false;
  std::string name{};
};

/// Orders of dimensions in memory. `expanded`: the stride of heads is 0, all heads read one.
enum order : std::int64_t { hnd, nhd, sliced, gaps, expanded };

/// A call. Every field is a number, and the first level of each (see `fields`) is the simplest.
struct scenario {
  std::int64_t seed = 0;  ///< of the contents, of lengths and of lists
  std::int64_t batch = 1;
  std::int64_t kv_heads = 1;
  std::int64_t group = 1;
  std::int64_t qk_dim = 16;
  std::int64_t v_dim = 16;
  std::int64_t index_heads = 1;
  std::int64_t index_dim = 16;
  std::int64_t q_len = 1;           ///< of the longest sequence
  std::int64_t q_lengths = 0;       ///< ragged queries: 0 equal, 1 any, 2 some are empty
  std::int64_t q_bound = 0;         ///< how much more the plan allows; only ragged queries
  std::int64_t kv_len = 16;         ///< of the longest sequence
  std::int64_t kv_lengths = 0;      ///< 0 equal, 1 any, 2 some are empty
  std::int64_t kv_bound = 0;        ///< how much more the plan allows
  std::int64_t no_lengths = 0;      ///< contiguous: the lengths are left to the bound
  std::int64_t broken_lengths = 0;  ///< some lengths in memory are out of their bounds
  std::int64_t positions = 0;       ///< 0 implied, 1 the implied ones given, 2 anywhere
  std::int64_t positions_gap = 0;
  std::int64_t page_size = 16;
  std::int64_t table = 0;       ///< 0 tight rows, 1 rows with gaps, 2 CSR out of order
  std::int64_t lost_pages = 0;  ///< pages per sequence with a number out of range
  std::int64_t shard_count = 1;
  std::int64_t shard_index = 0;
  std::int64_t shard_block = 1;
  std::int64_t window = 1000000;
  std::int64_t mask_first = 0;  ///< a first visible key for each sequence
  std::int64_t mask_rows = 0;   ///< of each row: bit 1 a beginning, bit 2 an end
  std::int64_t draft_keys = 0;  ///< a tree over the last keys
  std::int64_t sinks = 0;
  std::int64_t recent = 0;
  std::int64_t k = 4;
  std::int64_t numerator = 0;
  std::int64_t denominator = 0;  ///< 0: k counts
  std::int64_t k_min = 0;
  /// 0 none, 1 up to the capacity, 2 above the keys but planned for, 3 above the plan, 4 negative
  std::int64_t own_budgets = 0;
  std::int64_t combine = 0;
  std::int64_t visible_metrics = 0;
  std::int64_t soft_cap = 0;
  std::int64_t sink_logits = 0;
  std::int64_t buckets = 0;  ///< only bucketed; 0: a recall target of per_bucket / 10
  std::int64_t per_bucket = 1;
  std::int64_t given_threshold = 0;  ///< select: 1 of some visible key, 2 beyond them all
  std::int64_t lists = 0;     ///< lists: 0 valid, 1 with any entries, 2 with counts out of range
  std::int64_t contents = 0;  ///< 0 small integers, 1 with NaN and infinities, 2 real numbers
  std::int64_t q_order = hnd;
  std::int64_t k_order = hnd;
  std::int64_t v_order = hnd;
  std::int64_t no_q_k = 0;  ///< select by other scores: q and k are null
  std::int64_t v_in_k = 0;  ///< v is the front of k's rows
  std::int64_t o_order = hnd;
  std::int64_t row_order = hnd;  ///< of everything else that is written
  std::int64_t index_order = hnd;
  std::int64_t index_scales = 1;
  std::int64_t k_scales =
      1;  ///< layout::scaled: 0 none, else bits 1 tensor, 2 head, 4 token, 8 block
  std::int64_t v_scales = 1;
  std::int64_t no_lse = 0;
  std::int64_t no_entropy = 0;
  std::int64_t no_lse_visible = 0;
  std::int64_t no_entropy_visible = 0;
  std::int64_t no_retained_mass = 0;
  std::int64_t no_positions = 0;
  std::int64_t no_count = 0;
  std::int64_t no_scores = 0;
  std::int64_t no_threshold_score = 0;
  std::int64_t no_threshold_position = 0;
  std::int64_t no_error = 0;
  std::int64_t threads = 1;
  std::int64_t workers = 0;  ///< 0: the schedule is the plan's own
  std::int64_t query_tile = 1;
  std::int64_t splits = 1;
  std::int64_t scratch_limit = 0;  ///< 0: the default
  std::int64_t scratch = 0xff;     ///< bytes before the call
  std::int64_t poison = 0x5a;      ///< bytes of the outputs before the call

  bool operator==(scenario const&) const = default;
};

/// Numbers from low to high, both included.
struct level {
  std::int64_t low;
  std::int64_t high;
};

/// A field of a scenario and its levels, the simplest first.
struct field {
  char const* name;
  std::int64_t scenario::*value;
  std::vector<level> levels;
  int often_simple = 0;  ///< percent of draws that take the first level at once
};

std::vector<field> const& fields();

/// The level of a field that holds `value`; -1: none does.
int level_of(field const& f, std::int64_t value);

/// Makes a scenario valid for an instance: what does not apply takes its simplest value, and what
/// contradicts gives way. `max_work`: about how many products an oracle may compute.
scenario made_valid(scenario s, instance_traits const& t, double max_work);

/// The scenario as a C++ aggregate; fields of their simplest value are left out.
std::string text_of(scenario const& s);

}  // namespace fuzz
