// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Compiles a kernel of the installed package and links it; what it calls needs no GPU.

#include <tka/backend/cuda.cuh>
#include <tka/merge.hpp>
#include <tka/sparse_attention.hpp>

int main() {
  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>;
  tka::plan const plan =
      attend.plan({.q_heads = 2, .kv_heads = 1, .kv_len = 100, .qk_dim = 64, .v_dim = 64},
                  {.budget = tka::top_k(8), .scale = 1.0f}, tka::cuda::device{});
  tka::status const merged =
      tka::merge<tka::bf16, tka::cuda>({.q_heads = 2, .v_dim = 64}, {.parts = 1}, cudaStream_t{});
  bool const right =
      plan.status == tka::status::unsupported_device && merged == tka::status::null_pointer;
  return right ? 0 : 1;
}
