// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One query token against a long cache on the CPU: how near the score pass and the whole call
/// come to the memory bandwidth that is measured in the same run. K bytes / time counts K only.

#include "cpu/memory.hpp"

#include <tka/backend/cpu.hpp>
#include <tka/select_top_k.hpp>
#include <tka/sparse_attention.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace bench;

constexpr int head_dim = 128;
constexpr int kv_heads = 8;
constexpr std::int32_t kept = 2048;
constexpr std::int64_t rotated_bytes = 640'000'000;  // keys of all copies: far past any cache

/// Reads 1 GB with all threads; the best of the repetitions is the bandwidth of this run.
void read_bandwidth(benchmark::State& state) {
  static block<float> const memory = random_block<float>(stream_bytes / 4, 1);
  for (auto _ : state) benchmark::DoNotOptimize(read_stream(memory.get()));
  state.SetBytesProcessed(state.iterations() * stream_bytes);
}

/// Keys and values in as many copies as it takes to leave every cache.
template <class T>
struct caches {
  int copies;
  block<T> k;
  block<T> v;
  std::int64_t elements;

  explicit caches(std::int64_t kv_len)
      : copies(static_cast<int>(std::max<std::int64_t>(
            2, rotated_bytes / (kv_heads * kv_len * head_dim * std::int64_t{sizeof(T)})))),
        k(random_block<T>(copies * kv_heads * kv_len * head_dim, 2)),
        v(random_block<T>(copies * kv_heads * kv_len * head_dim, 3)),
        elements(kv_heads * kv_len * head_dim) {}
};

template <class T>
caches<T> const& caches_of(std::int64_t kv_len) {
  static std::int64_t held_len = 0;
  static std::unique_ptr<caches<T>> held;
  if (held_len != kv_len) {
    held.reset();
    held = std::make_unique<caches<T>>(kv_len);
    held_len = kv_len;
  }
  return *held;
}

enum class part { scores, call };

/// `group` query heads a key head; `k` = 0 is the score pass: every key scored, none kept.
template <class Precision, part What, class Form = tka::form<>>
void decode(benchmark::State& state) {
  using T = typename Precision::key_type;
  auto const kv_len = static_cast<std::int32_t>(state.range(0));
  auto const group = static_cast<std::int32_t>(state.range(1));
  caches<T> const& cache = caches_of<T>(kv_len);
  block<T> const q = random_block<T>(kv_heads * group * head_dim, 4);
  block<T> const o = random_block<T>(kv_heads * group * head_dim, 5);

  constexpr auto scores = tka::select_top_k<tka::exact_radix, Precision, tka::cpu, Form>;
  constexpr auto attend = tka::sparse_attention<tka::exact_radix, Precision, tka::cpu, Form>;
  tka::shape const shape{.q_heads = kv_heads * group,
                         .kv_heads = kv_heads,
                         .kv_len = kv_len,
                         .qk_dim = head_dim,
                         .v_dim = head_dim};
  tka::options const options{.budget = tka::top_k(What == part::scores ? 0 : kept),
                             .scale = 0.08838835f};
  tka::cpu::device const device{.threads = threads};
  tka::plan const plan = What == part::scores ? scores.plan(shape, options, device)
                                              : attend.plan(shape, options, device);
  block<std::byte> const scratch =
      random_block<std::byte>(static_cast<std::int64_t>(plan.scratch_bytes), 6);
  tka::workspace const workspace{.scratch = scratch.get(), .scratch_bytes = plan.scratch_bytes};

  int copy = 0;
  for (auto _ : state) {
    T const* const k = cache.k.get() + copy * cache.elements;
    T const* const v = cache.v.get() + copy * cache.elements;
    copy = (copy + 1) % cache.copies;
    tka::status status;
    auto const begin = std::chrono::steady_clock::now();
    if constexpr (What == part::scores) {
      status = scores(plan,
                      {.q = tka::hnd<T const>(q.get(), kv_heads * group, 1, head_dim),
                       .k = tka::hnd(k, kv_heads, kv_len, head_dim)},
                      workspace, team());
    } else {
      status = attend(plan,
                      {.q = tka::hnd<T const>(q.get(), kv_heads * group, 1, head_dim),
                       .k = tka::hnd(k, kv_heads, kv_len, head_dim),
                       .v = tka::hnd(v, kv_heads, kv_len, head_dim),
                       .o = tka::hnd(o.get(), kv_heads * group, 1, head_dim)},
                      workspace, team());
    }
    std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - begin;
    state.SetIterationTime(seconds.count());
    if (status != tka::status::ok) {
      state.SkipWithError(tka::to_string(status));
      break;
    }
  }
  state.SetBytesProcessed(state.iterations() * kv_heads * kv_len * head_dim *
                          static_cast<std::int64_t>(sizeof(T)));
}

/// Causal prefill of a whole prompt: time, and scratch that does not grow with its square.
void prefill(benchmark::State& state) {
  using T = tka::bfloat16_t;
  auto const tokens = static_cast<std::int32_t>(state.range(0));
  constexpr std::int32_t heads = 8;
  constexpr std::int32_t keys = 2;
  constexpr std::int32_t dim = 64;
  block<T> const q = random_block<T>(std::int64_t{heads} * tokens * dim, 7);
  block<T> const k = random_block<T>(std::int64_t{keys} * tokens * dim, 8);
  block<T> const v = random_block<T>(std::int64_t{keys} * tokens * dim, 9);
  block<T> const o = random_block<T>(std::int64_t{heads} * tokens * dim, 10);
  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cpu>;
  tka::plan const plan =
      attend.plan({.q_heads = heads,
                   .kv_heads = keys,
                   .q_len = tokens,
                   .kv_len = tokens,
                   .qk_dim = dim,
                   .v_dim = dim},
                  {.budget = tka::top_k(256), .scale = 0.125f}, {.threads = threads});
  block<std::byte> const scratch =
      random_block<std::byte>(static_cast<std::int64_t>(plan.scratch_bytes), 11);
  for (auto _ : state) {
    auto const begin = std::chrono::steady_clock::now();
    tka::status const status =
        attend(plan,
               {.q = tka::hnd<T const>(q.get(), heads, tokens, dim),
                .k = tka::hnd<T const>(k.get(), keys, tokens, dim),
                .v = tka::hnd<T const>(v.get(), keys, tokens, dim),
                .o = tka::hnd(o.get(), heads, tokens, dim)},
               {.scratch = scratch.get(), .scratch_bytes = plan.scratch_bytes}, team());
    std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - begin;
    state.SetIterationTime(seconds.count());
    if (status != tka::status::ok) state.SkipWithError(tka::to_string(status));
  }
  state.counters["scratch_bytes"] = static_cast<double>(plan.scratch_bytes);
}

template <class Function>
void add(std::string const& name, Function function, std::vector<std::int64_t> const& groups) {
  for (std::int64_t const kv_len : {32768, 131072}) {
    for (std::int64_t const group : groups) {
      benchmark::RegisterBenchmark(name.c_str(), function)
          ->Args({kv_len, group})
          ->ArgNames({"kv_len", "group"})
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  using group_form = tka::form<tka::scope::kv_group>;
  benchmark::RegisterBenchmark("read_bandwidth", read_bandwidth)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  add("scores/bf16", decode<tka::bf16, part::scores>, {4, 1});
  add("call/bf16", decode<tka::bf16, part::call>, {4, 1});
  add("call_group_scope/bf16", decode<tka::bf16, part::call, group_form>, {4, 1});
  add("scores/fp16", decode<tka::fp16, part::scores>, {4});
  add("call/fp16", decode<tka::fp16, part::call>, {4});
  for (std::int64_t const tokens : {2048, 4096, 8192}) {
    benchmark::RegisterBenchmark("prefill/bf16", prefill)
        ->Arg(tokens)
        ->ArgName("tokens")
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
#if defined(__AVX512F__)
  benchmark::AddCustomContext("lanes", "AVX-512");
#elif defined(__AVX2__)
  benchmark::AddCustomContext("lanes", "AVX2");
#else
  benchmark::AddCustomContext("lanes", "SSE2");
#endif
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
