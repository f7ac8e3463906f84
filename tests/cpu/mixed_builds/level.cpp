// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One of the files: compiled once for each set of flags, under the name MIXED_LEVEL.

#include "cpu/mixed_builds/level.hpp"

#include <tka/backend/cpu.hpp>
#include <tka/quantize.hpp>

namespace mixed {

level const& MIXED_LEVEL();

namespace {

constexpr auto exact = tka::sparse_attention<tka::exact_radix, tka::fp16, tka::cpu, exact_form>;
constexpr auto index = tka::sparse_attention<index_selection, tka::bf16, tka::cpu, index_form>;

#define MIXED_TEXT(x) MIXED_STRING(x)
#define MIXED_STRING(x) #x

level const own{
    .name = MIXED_TEXT(MIXED_LEVEL),
    .processor_has = [] { return MIXED_PROCESSOR_HAS; },
    .plan_exact = [](tka::shape const& s, tka::options const& o,
                     tka::cpu_device const& d) { return exact.plan(s, o, d); },
    .run_exact = [](tka::plan const& p, exact_tensors const& t,
                    tka::workspace const& w) { return exact(p, t, w); },
    .plan_index = [](tka::shape const& s, tka::options const& o,
                     tka::cpu_device const& d) { return index.plan(s, o, d); },
    .run_index = [](tka::plan const& p, index_tensors const& t,
                    tka::workspace const& w) { return index(p, t, w); },
    .quantize = [](float* row, std::int32_t dim,
                   tka::float8_e4m3_t* out) { return tka::quantize_row(row, dim, out); },
};

}  // namespace

level const& MIXED_LEVEL() { return own; }

}  // namespace mixed
