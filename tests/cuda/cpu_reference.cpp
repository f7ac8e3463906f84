// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A shared library of its own, all but one function hidden: the helpers of the tests exist once
/// more in the program, for the other backend.

#include <support/cases.hpp>
#include <support/run.hpp>

#include <cuda/cpu_reference.hpp>

namespace cpu_reference {

namespace {

template <class Selection, class Precision, class Form>
std::vector<sequence_result> run(oracle::problem const& p) {
  support::arranged<Precision, Form> const a(p, {.page_size = 7});
  auto const got = support::attend<Selection>(a, support::options_of(p.rules));
  std::vector<sequence_result> out;
  if (got.status != tka::status::ok) return out;
  for (auto const& s : got.sequences) {
    out.push_back({s.positions, s.count, s.scores, s.threshold_position, s.o, s.lse});
  }
  return out;
}

}  // namespace

std::vector<sequence_result> attend(instance which, oracle::problem const& p) {
  using indexer =
      tka::lightning_indexer<tka::exact_radix, tka::index_fp8, tka::index_layout::page_132>;
  using groups = tka::form<tka::kv::paged, tka::query::ragged, tka::scope::kv_group>;
  using pages =
      tka::form<tka::kv::paged, tka::query::ragged, tka::scope::all_heads, tka::visibility::all>;
  switch (which) {
    case instance::exact_fp32: return run<tka::exact_radix, tka::fp32, tka::form<>>(p);
    case instance::exact_bf16: return run<tka::exact_radix, tka::bf16, tka::form<>>(p);
    case instance::bucketed_bf16: return run<tka::bucketed, tka::bf16, tka::form<>>(p);
    case instance::exact_fp16_groups: return run<tka::exact_radix, tka::fp16, groups>(p);
    case instance::indexer_pages: return run<indexer, tka::bf16, pages>(p);
  }
  return {};
}

}  // namespace cpu_reference
