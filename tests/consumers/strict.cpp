// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Every public header and one call of each kind and precision, for a compiler with every warning:
/// what a user sees of the library under his own flags is nothing.

#include <tka/append.hpp>
#include <tka/attend_selected.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/form.hpp>
#include <tka/interop/eigen.hpp>
#include <tka/merge.hpp>
#include <tka/metrics/entropy.hpp>
#include <tka/metrics/recall.hpp>
#include <tka/metrics/retained_mass.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp32.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/quantize.hpp>
#include <tka/select/bucketed.hpp>
#include <tka/select/exact_radix.hpp>
#include <tka/select/lightning_indexer.hpp>
#include <tka/select/stored_scores.hpp>
#include <tka/select_top_k.hpp>
#include <tka/sparse_attention.hpp>

namespace {

/// Instantiates a call, and runs it on nothing.
template <class Call>
bool ran(Call const& call, tka::shape const& s) {
  tka::plan const p = call.plan(s, {.budget = tka::top_k(4), .scale = 1.0f}, tka::cpu::query());
  return call(p, {}, {}) == tka::status::ok;
}

}  // namespace

bool ran_all(tka::shape const& s);

bool ran_all(tka::shape const& s) {
  using paged = tka::form<tka::kv::paged, tka::scope::kv_group>;
  return ran(tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>, s) &&
         ran(tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu, paged>, s) &&
         ran(tka::sparse_attention<tka::bucketed, tka::fp16, tka::cpu>, s) &&
         ran(tka::sparse_attention<tka::lightning_indexer<tka::exact_radix>, tka::fp8, tka::cpu>,
             s) &&
         ran(tka::select_top_k<tka::exact_radix, tka::fp16, tka::cpu>, s) &&
         ran(tka::attend_selected<tka::bf16, tka::cpu>, s);
}
