// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One decode step on a GPU at every point that bench/matrix.py lists, and beside it CUB's ways to
/// select. A repetition is one benchmark: three times of replayed graphs between two events.
/// `bench_matrix_cuda [--delay=PERCENT] [Google Benchmark's options]`.

#include "bench_abi.h"
#include "cuda/cub_peers.hpp"
#include "cuda/device.hpp"
#include "cuda/timed_point.hpp"
#include "point.hpp"

#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>

namespace {

using namespace bench;
using namespace bench::cuda;

void run(benchmark::State& state, point const& p, conditions const& with) {
  static std::map<std::string, std::unique_ptr<timed_point>> ready;
  static std::map<std::string, std::string> refused;
  if (auto const why = refused.find(p.name); why != refused.end()) {
    state.SkipWithError(why->second.c_str());
    return;
  }
  try {
    auto& found = ready[p.name];
    if (!found) found = std::make_unique<timed_point>(p, with);
    found->time(state);
  } catch (std::exception const& problem) {
    (void)cudaGetLastError();
    refused[p.name] = problem.what();
    std::fprintf(stderr, "  %s\n", problem.what());
    state.SkipWithError(refused[p.name].c_str());
  }
}

constexpr point points[] = {
#include "points.inc"
};

void add_points(conditions const& with) {
  for (point const& p : points) {
    benchmark::RegisterBenchmark(p.name, [&](benchmark::State& state) { run(state, p, with); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  }
}

/// Takes `--delay=PERCENT` off the command line.
double read_delay(int& argc, char** argv) {
  double percent = 0.0;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--delay=", 8) == 0) {
      percent = std::atof(argv[i] + 8);
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  return percent;
}

void describe_run(conditions const& with) {
  cudaDeviceProp properties{};
  int runtime = 0;
  check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  auto const say = [](char const* name, auto value) {
    benchmark::AddCustomContext(name, std::to_string(value));
  };
  benchmark::AddCustomContext("device", properties.name);
  say("multiprocessors", properties.multiProcessorCount);
  say("cuda", runtime);
  say("cub", cub_version());
  say("read_bytes_per_second", with.device.read_bytes_per_second);
  say("gather_bytes_per_second", with.device.gather_bytes_per_second);
  say("launch_us", with.device.launch_us);
  say("delay_percent", with.delay_percent);
}

}  // namespace

int main(int argc, char** argv) {
  conditions with;
  with.delay_percent = read_delay(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  try {
    if (tka_bench_abi() != TKA_BENCH_ABI) throw failure("libtka_bench.so is of another build");
    with.device.measure();
    describe_run(with);
  } catch (std::exception const& problem) {
    std::fprintf(stderr, "bench_matrix_cuda: %s\n", problem.what());
    return 1;
  }
  add_points(with);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
