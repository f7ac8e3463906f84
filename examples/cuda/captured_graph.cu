// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A call in a CUDA graph: captured while each sequence holds one key, replayed when they hold
/// thousands. Only the lengths on the device change between the replays; plan, workspace and graph
/// are made once, for the longest. Each query looks for one key of its sequence: with that key in
/// sight, its value must come out; with a single key in sight, the value of that one.

#include "device.cuh"

#include <tka/backend/cuda.cuh>
#include <tka/sparse_attention.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

namespace {

constexpr int batch = 2, q_heads = 4, longest = 8192, dim = 128;

/// Each head of sequence b must hold value `position[b]` of v [batch, 1, longest, dim].
bool holds(std::vector<tka::bfloat16_t> const& o, std::vector<tka::bfloat16_t> const& v,
           std::vector<int> const& position) {
  for (int b = 0; b < batch; ++b) {
    for (int i = 0; i < q_heads * dim; ++i) {
      float const got = static_cast<float>(o[b * q_heads * dim + i]);
      float const value = static_cast<float>(v[(b * longest + position[b]) * dim + i % dim]);
      if (!(std::fabs(got - value) < 1e-3f)) return false;
    }
  }
  return true;
}

}  // namespace

int main() {
  need_gpu();
  std::vector<int> const wanted = {7000, 123};
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<tka::bfloat16_t> q(batch * q_heads * dim), k(batch * longest * dim), v(k.size());
  for (auto& x : k) x = tka::bfloat16_t{normal(random)};
  for (auto& x : v) x = tka::bfloat16_t{normal(random)};
  for (int i = 0; i < batch * q_heads * dim; ++i) {
    int const b = i / (q_heads * dim);
    float const key = static_cast<float>(k[(b * longest + wanted[b]) * dim + i % dim]);
    q[i] = tka::bfloat16_t{4.0f * key};
  }

  stream const on;
  device_array<tka::bfloat16_t> const q_there(q, on), k_there(k, on), v_there(v, on);
  device_array<tka::bfloat16_t> const o_there(q.size());
  device_array<std::int32_t> const lengths({1, 1}, on);

  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>;
  tka::plan const plan =
      attend.plan({.batch = batch,
                   .q_heads = q_heads,
                   .kv_heads = 1,
                   .kv_len = longest,
                   .qk_dim = dim,
                   .v_dim = dim},
                  {.budget = tka::top_k(256), .scale = 0.0883883f}, tka::cuda::query());
  device_array<std::byte> const scratch(plan.scratch_bytes);
  auto const enqueue = [&] {
    return attend(plan,
                  {.q = tka::hnd(q_there.data(), q_heads, 1, dim),
                   .k = tka::hnd(k_there.data(), 1, longest, dim),
                   .v = tka::hnd(v_there.data(), 1, longest, dim),
                   .o = tka::hnd(o_there.data(), q_heads, 1, dim),
                   .kv = {.lengths = lengths.data()}},
                  {scratch.data(), scratch.bytes()}, on);
  };

  // The first call of a process loads its kernel: make it before the capture.
  if (tka::status const s = enqueue(); s != tka::status::ok) {
    std::printf("%s\n", to_string(s));
    return 1;
  }
  on.wait();

  cudaGraph_t graph{};
  cudaGraphExec_t replay{};
  check(cudaStreamBeginCapture(on, cudaStreamCaptureModeThreadLocal));
  tka::status const captured = enqueue();
  check(cudaStreamEndCapture(on, &graph));
  if (captured != tka::status::ok) {
    std::printf("%s\n", to_string(captured));
    return 1;
  }
  check(cudaGraphInstantiate(&replay, graph, 0));
  check(cudaGraphDestroy(graph));

  bool right = true;
  struct step {
    std::vector<std::int32_t> lengths;
    std::vector<int> positions;  // whose values must come out
  };
  for (step const& s : {step{{1, 1}, {0, 0}}, step{{longest, 124}, wanted},
                        step{{7001, longest}, wanted}, step{{1, longest}, {0, wanted[1]}}}) {
    lengths.upload(s.lengths, on);
    check(cudaGraphLaunch(replay, on));
    bool const holds_them = holds(o_there.download(on), v, s.positions);
    std::printf("lengths %5d %5d: %s\n", s.lengths[0], s.lengths[1],
                holds_them ? "as expected" : "WRONG");
    right = right && holds_them;
  }
  check(cudaGraphExecDestroy(replay));
  return right ? 0 : 1;
}
