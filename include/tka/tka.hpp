// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Everything but the backends: add tka/backend/cpu.hpp, tka/backend/cuda.cuh, or both.

#pragma once

// IWYU pragma: begin_exports
#include <tka/append.hpp>
#include <tka/attend_selected.hpp>
#include <tka/cache_views.hpp>
#include <tka/device.hpp>
#include <tka/fault.hpp>
#include <tka/form.hpp>
#include <tka/interop/dlpack.hpp>
#include <tka/merge.hpp>
#include <tka/metrics/entropy.hpp>
#include <tka/metrics/recall.hpp>
#include <tka/metrics/retained_mass.hpp>
#include <tka/options.hpp>
#include <tka/plan.hpp>
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
#include <tka/shape.hpp>
#include <tka/sparse_attention.hpp>
#include <tka/status.hpp>
#include <tka/tensor_view.hpp>
#include <tka/top_k_of_scores.hpp>
#include <tka/version.hpp>
#include <tka/workspace.hpp>
// IWYU pragma: end_exports
