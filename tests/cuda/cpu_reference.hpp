// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CPU backend as a second oracle, in plain data: types of the library differ between the two
/// compilers.

#pragma once

#include <oracle/oracle.hpp>

#include <vector>

namespace cpu_reference {

/// Which instance; its types stand in cpu_reference.cpp and cpu_reference_test.cu.
enum class instance { exact_fp32, exact_bf16, bucketed_bf16, exact_fp16_groups, indexer_pages };

struct sequence_result {
  std::vector<int> positions;
  std::vector<int> count;
  std::vector<float> scores;
  std::vector<int> threshold_position;
  std::vector<float> o;
  std::vector<float> lse;
};

/// sparse_attention on the CPU; empty where it does not run.
[[gnu::visibility("default")]] std::vector<sequence_result> attend(instance which,
                                                                   oracle::problem const& p);

}  // namespace cpu_reference
