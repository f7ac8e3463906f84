// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The same small call wherever this is included: keys 0..n-1 with rising scores, of which the last
/// three are kept. Plain data in and out.

#pragma once

#include <tka/backend/cuda.cuh>
#include <tka/select_top_k.hpp>

#include <cuda_runtime_api.h>

#include <vector>

namespace {

/// The positions kept of `n` keys, or nothing where a call failed.
inline std::vector<int> last_three(int n) {
  constexpr auto select = tka::select_top_k<tka::stored_scores<tka::exact_radix>, tka::fp32,
                                            tka::cuda, tka::form<tka::visibility::all>>;
  tka::plan const p =
      select.plan({.q_heads = 1, .kv_heads = 1, .kv_len = n, .qk_dim = 16, .v_dim = 16},
                  {.budget = tka::top_k(3)}, tka::cuda::query());
  if (p.status != tka::status::ok) return {};
  std::vector<float> scores;
  for (int i = 0; i < n; ++i) scores.push_back(static_cast<float>(i));
  float* in = nullptr;
  int* out = nullptr;
  void* scratch = nullptr;
  void* state = nullptr;
  std::vector<int> kept(3);
  bool ok = cudaMalloc(&in, scores.size() * sizeof(float)) == cudaSuccess &&
            cudaMalloc(&out, 4 * sizeof(int)) == cudaSuccess &&
            cudaMalloc(&scratch, p.scratch_bytes + 1) == cudaSuccess &&
            cudaMalloc(&state, p.state_bytes + 1) == cudaSuccess &&
            cudaMemcpy(in, scores.data(), scores.size() * sizeof(float), cudaMemcpyDefault) ==
                cudaSuccess;
  tka::workspace const w{.scratch = scratch,
                         .scratch_bytes = p.scratch_bytes,
                         .state = state,
                         .state_bytes = p.state_bytes};
  ok = ok && select.initialize(p, w) == tka::status::ok &&
       select(p,
              {.index = {.scores = {in, n, n, n}},
               .positions = {out, 3, 3, 3},
               .count = {out + 3, 1, 1, 1}},
              w, cudaStream_t{}) == tka::status::ok &&
       cudaMemcpy(kept.data(), out, 3 * sizeof(int), cudaMemcpyDefault) == cudaSuccess;
  for (void* const p_of : {static_cast<void*>(in), static_cast<void*>(out), scratch, state}) {
    (void)cudaFree(p_of);
  }
  return ok ? kept : std::vector<int>{};
}

}  // namespace
