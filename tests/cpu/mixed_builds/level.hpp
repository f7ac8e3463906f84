// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the files of one program say to each other, each compiled for another processor: plans,
/// shapes, options, tensors, statuses.

#pragma once

#include <tka/device.hpp>
#include <tka/sparse_attention.hpp>

namespace mixed {

using exact_form = tka::form<tka::scope::kv_group>;
using exact_tensors = tka::attention_tensors<tka::exact_radix, tka::fp16, exact_form>;

using index_selection = tka::lightning_indexer<tka::bucketed>;
using index_form = tka::form<tka::kv::paged>;
using index_tensors = tka::attention_tensors<index_selection, tka::bf16, index_form>;

/// The calls of one file.
struct level {
  char const* name;
  bool (*processor_has)();
  tka::plan (*plan_exact)(tka::shape const&, tka::options const&, tka::cpu_device const&);
  tka::status (*run_exact)(tka::plan const&, exact_tensors const&, tka::workspace const&);
  tka::plan (*plan_index)(tka::shape const&, tka::options const&, tka::cpu_device const&);
  tka::status (*run_index)(tka::plan const&, index_tensors const&, tka::workspace const&);
  float (*quantize)(float* row, std::int32_t dim, tka::float8_e4m3_t* out);
};

/// The files, by their flags. CMakeLists.txt has the same list.
#define MIXED_LEVELS(x) x(baseline) x(avx) x(avx2) x(avx2_fma) x(native)
#define MIXED_DECLARE(flags) level const& level_##flags();
MIXED_LEVELS(MIXED_DECLARE)
#undef MIXED_DECLARE

}  // namespace mixed
