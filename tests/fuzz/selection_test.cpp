// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// select_top_k and attend_selected with every argument and option drawn together, and selection
/// over more keys than 22 bits count.

#include <doctest/doctest.h>
#include <fuzz/instance.hpp>

#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

using fuzz::lists_instance;
using fuzz::select_instance;
using tka::bf16;
using tka::exact_radix;
using tka::form;
using tka::fp16;
using tka::fp32;
using tka::stored_scores;
using all_keys = tka::visibility::all;
using sliding_window = tka::visibility::sliding_window;
using by_group = tka::scope::kv_group;
using for_all_heads = tka::scope::all_heads;

std::vector<fuzz::instance> selections() {
  std::vector<fuzz::instance> all = {
      select_instance<stored_scores<exact_radix>, fp32, form<>>("select stored fp32"),
      select_instance<stored_scores<exact_radix>, fp32, form<all_keys>>("select stored fp32 all"),
      select_instance<stored_scores<exact_radix>, fp32, form<sliding_window>>(
          "select stored fp32 sliding_window"),
      select_instance<exact_radix, fp32, form<>>("select fp32"),
      select_instance<exact_radix, fp32, form<by_group>>("select fp32 kv_group"),
      select_instance<exact_radix, fp32, form<sliding_window>>("select fp32 sliding_window"),
      select_instance<exact_radix, bf16, form<>>("select bf16"),
  };
  if constexpr (!support::on_cuda) {
    using query_ragged = tka::query::ragged;
    using page_132 =
        tka::lightning_indexer<exact_radix, tka::index_fp8, tka::index_layout::page_132>;
    using pages = tka::kv::paged;
    all.push_back(select_instance<stored_scores<tka::bucketed>, fp32,
                                  form<for_all_heads, query_ragged, pages>>(
        "select stored bucketed fp32 all_heads ragged paged"));
    all.push_back(select_instance<stored_scores<exact_radix>, fp16,
                                  form<by_group, tka::kv::ragged, query_ragged, all_keys>>(
        "select stored fp16 kv_group ragged"));
    all.push_back(select_instance<page_132, bf16, form<pages, sliding_window>>(
        "select page_132 bf16 paged sliding_window"));
    all.push_back(select_instance<tka::lightning_indexer<exact_radix, bf16>, bf16,
                                  form<query_ragged, all_keys>>("select indexer bf16 ragged all"));
    all.push_back(select_instance<exact_radix, tka::fp8,
                                  form<by_group, pages, sliding_window, tka::layout::mla_656>>(
        "select fp8 mla_656 kv_group paged sliding_window"));
    all.push_back(select_instance<tka::bucketed, tka::fp8, form<query_ragged, tka::layout::scaled>>(
        "select bucketed fp8 ragged scaled"));
  }
  return all;
}

std::vector<fuzz::instance> given_lists() {
  std::vector<fuzz::instance> all = {
      lists_instance<fp32, form<>>("lists fp32"),
      lists_instance<bf16, form<>>("lists bf16"),
  };
  if constexpr (!support::on_cuda) {
    using pages = tka::kv::paged;
    all.push_back(lists_instance<fp16, form<pages, by_group, tka::query::ragged>>(
        "lists fp16 paged kv_group ragged"));
    all.push_back(lists_instance<tka::fp8, form<pages, for_all_heads, tka::layout::mla_656>>(
        "lists fp8 paged all_heads mla_656"));
    all.push_back(
        lists_instance<tka::fp8_with<fp32>, form<tka::kv::ragged, by_group, tka::layout::scaled>>(
            "lists fp8 with fp32 ragged kv_group scaled"));
  }
  return all;
}

TEST_CASE("[tka.exact] [tka.threshold] select_top_k, all arguments drawn") {
  auto const ran = fuzz::run_campaign("selection", selections(), fuzz::effort_of(500));
  for (auto const& fault : ran.faults) FAIL_CHECK(fault);
  CHECK(ran.of.rows.size() >= ran.of.pairwise_rows);
}

TEST_CASE("[tka.attend_selected] [tka.attention] attend_selected, all arguments drawn") {
  auto const ran = fuzz::run_campaign("lists", given_lists(), fuzz::effort_of(300));
  for (auto const& fault : ran.faults) FAIL_CHECK(fault);
  CHECK(ran.of.rows.size() >= ran.of.pairwise_rows);
}

/// One row over more than 2^22 keys.
fuzz::scenario long_row(std::int64_t seed) {
  fuzz::scenario s;
  s.seed = seed;
  s.kv_len = (std::int64_t{1} << 22) + 70000;
  s.k = 3000;
  s.sinks = 2;
  s.recent = 3;
  s.buckets = 2500;
  s.per_bucket = 2;
  s.no_q_k = 1;
  return s;
}

TEST_CASE("[tka.exact] [tka.approximate] rows of more than 2^22 keys") {
  char const* const slow = std::getenv("TKA_TEST_SLOW");
  bool const more = slow != nullptr && std::string_view(slow) == "1";
  auto const all = selections();
  for (fuzz::instance const& one : all) {
    bool const chosen = one.traits.score == oracle::score::stored &&
                        (more || one.traits.bucketed || one.traits.keys == fuzz::keys::ragged);
    if (!chosen || support::fast()) continue;
    for (std::int64_t seed = 1; seed <= (more ? 4 : 1); ++seed) {
      fuzz::scenario s = long_row(seed);
      if (seed > 1) s.splits = s.workers = seed;
      if (seed > 2) s.batch = s.contents = s.positions = 2;
      s = fuzz::made_valid(s, one.traits, 1e18);
      CAPTURE(one.traits.name);
      CAPTURE(fuzz::text_of(s));
      CHECK(one.run(s) == "");
    }
  }
  CHECK(!all.empty());
}

}  // namespace
