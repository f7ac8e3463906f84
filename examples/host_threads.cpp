// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A host that brings its own threads. The library starts none: a plan says how many workers may
/// run each phase, and the host lets its threads be those workers. Here three threads live for a
/// whole decode loop and meet at a barrier between phases; a single thread must give the same
/// bits.

#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace {

constexpr int q_heads = 8, kv_heads = 2, keys = 16384, dim = 64, steps = 8, threads = 3;
constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;

struct alignas(tka::workspace_alignment) line {
  std::byte bytes[tka::workspace_alignment];
};

struct decode {
  std::vector<float> q = std::vector<float>(steps * q_heads * dim);
  std::vector<float> k = std::vector<float>(kv_heads * keys * dim);
  std::vector<float> v = std::vector<float>(kv_heads * keys * dim);

  [[nodiscard]] static tka::plan plan_for(int workers) {
    return attend.plan(
        {.q_heads = q_heads, .kv_heads = kv_heads, .kv_len = keys, .qk_dim = dim, .v_dim = dim},
        {.budget = tka::top_k(512), .scale = 1 / std::sqrt(float{dim})}, {.threads = workers});
  }
  /// Step i attends over the keys that are there by then.
  [[nodiscard]] auto tensors(int i, std::int32_t const& length, std::vector<float>& o) const {
    auto const at = std::ptrdiff_t{i} * q_heads * dim;
    return decltype(attend)::tensors{.q = tka::hnd(q.data() + at, q_heads, 1, dim),
                                     .k = tka::hnd(k.data(), kv_heads, keys, dim),
                                     .v = tka::hnd(v.data(), kv_heads, keys, dim),
                                     .o = tka::hnd(o.data() + at, q_heads, 1, dim),
                                     .kv = {.lengths = &length}};
  }
};

}  // namespace

int main() {
  decode d;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (auto* const tensor : {&d.q, &d.k, &d.v}) {
    for (float& x : *tensor) x = normal(random);
  }
  std::int32_t lengths[steps];
  for (int i = 0; i < steps; ++i) lengths[i] = keys - steps + i + 1;

  // One worker: the ordinary call.
  std::vector<float> alone(d.q.size());
  {
    tka::plan const plan = decode::plan_for(1);
    std::vector<line> scratch(plan.scratch_bytes / sizeof(line) + 1);
    for (int i = 0; i < steps; ++i) {
      tka::throw_if(attend(plan, d.tensors(i, lengths[i], alone),
                           {scratch.data(), scratch.size() * sizeof(line)}));
    }
  }

  // Several: every thread does its share of every phase, and none begins a phase before all have
  // ended the one before.
  std::vector<float> together(d.q.size());
  tka::plan const plan = decode::plan_for(threads);
  std::vector<line> scratch(plan.scratch_bytes / sizeof(line) + 1);
  tka::workspace const workspace{scratch.data(), scratch.size() * sizeof(line)};
  std::barrier phase_end(threads);
  tka::status failed[threads] = {};
  {
    std::vector<std::jthread> team;
    for (int worker = 0; worker < threads; ++worker) {
      team.emplace_back([&, worker] {
        for (int i = 0; i < steps; ++i) {
          auto const tensors = d.tensors(i, lengths[i], together);
          for (int phase = 0; phase < plan.schedule.phases; ++phase) {
            tka::status const s =
                attend.run_phase(plan, tensors, workspace, phase, worker, threads);
            if (s != tka::status::ok) failed[worker] = s;
            phase_end.arrive_and_wait();
          }
        }
      });
    }
  }

  bool good = std::memcmp(alone.data(), together.data(), alone.size() * sizeof(float)) == 0;
  for (tka::status const s : failed) good = good && s == tka::status::ok;
  std::printf("%d decode steps, %d threads, %d phases a call, rows cut in %d parts\n", steps,
              threads, plan.schedule.phases, plan.schedule.splits);
  std::printf("the same bits as one thread: %s\n", good ? "yes" : "no");
  return good ? 0 : 1;
}
