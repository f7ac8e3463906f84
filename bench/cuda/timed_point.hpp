// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A point of bench_matrix_cuda: its work and fidelity, and its time in replayed graphs.

#pragma once

#include "bench_abi.h"
#include "cuda/ceilings.hpp"
#include "cuda/cub_call.hpp"
#include "cuda/device.hpp"
#include "cuda/library_call.hpp"
#include "cuda/subject.hpp"
#include "fidelity.hpp"
#include "point.hpp"

#include <tka/select/bucket_recall.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>
#include <string_view>
#include <vector>

namespace bench::cuda {

/// Of a selection alone over stored scores.
inline counters work_of_scores(point const& p) {
  return {
      {"k_bytes", 4.0 * p.batch * q_heads * p.kv_len}, {"v_bytes", 0.0}, {"multiply_adds", 0.0}};
}

/// What all keys of each query head weigh, which an indexer does not score.
inline std::vector<float> mass_of_all(point const& p) {
  auto const parts = parts_of(p.combination);
  library_call all(p, "attend/exact_radix/query_head/" + parts[3] + "/" + parts[4], true);
  return all.selected(true).lse_visible;
}

/// Bytes, products and fidelity of a call of the library.
inline counters describe(point const& p) {
  library_call plain(p, p.combination);
  if (plain.stored()) {
    outcome const found = plain.selected(false);
    if (char const* const why = malformed(found, p)) throw failure(why);
    counters c = work_of_scores(p);
    c["recall"] = 1.0;
    return c;
  }
  bool const visible = !plain.indexed();
  library_call call(p, p.combination, visible);
  outcome found = call.selected(visible);
  if (char const* const why = malformed(found, p)) throw failure(why);
  if (!visible) found.lse_visible = mass_of_all(p);
  counters c = work_of(p, found, call.row_bytes(), call.indexed());
  c["recall"] = 1.0;  // of an exact one by definition: tests/ hold it
  c["retained_mass"] = mean_mass(found);
  if (*p.reference != '\0') {
    library_call reference(p, p.reference, visible);
    outcome exact = reference.selected(visible);
    c["recall"] = mean_recall(found, exact);
    if (!visible) exact.lse_visible = found.lse_visible;
    c["exact_retained_mass"] = mean_mass(exact);
    c["expected_recall"] =
        tka::expected_recall(p.kv_len, p.k, call.plan().buckets, call.plan().per_bucket);
  }
  return c;
}

/// How every point of a run is timed.
struct conditions {
  ceilings device;
  double delay_percent = 0.0;  // each call is made longer: what the guard must find
};

/// A point that is ready to be timed; kept from one repetition to the next.
class timed_point {
 public:
  timed_point(point const& p, conditions const& run) : run_(run) {
    std::fprintf(stderr, "%s\n", p.name);
    if (std::string_view(p.combination).starts_with("peer/")) {
      auto peer = std::make_unique<cub_call>(p, std::strstr(p.combination, "sort") != nullptr);
      compare_with_library(p, *peer);
      known_ = work_of_scores(p);
      subject_ = std::move(peer);
    } else {
      known_ = describe(p);
      subject_ = std::make_unique<library_call>(p, p.combination);
    }
    measure_enqueue();
    calls_ = p.warm ? 16 : subject_->copies();
    capture(0);
    known_["launches"] = double(graph_->kernels()) / static_cast<double>(calls_);
    if (run_.delay_percent > 0.0) {
      double const wanted = graph_->us() / static_cast<double>(calls_) * run_.delay_percent / 100.0;
      capture(std::max<std::int64_t>(1, std::llround(1e3 * (wanted - run_.device.launch_us))));
    }
    synchronize();
  }

  void time(benchmark::State& state) {
    constexpr int samples = 3;
    double us[samples];
    for (double& x : us) x = graph_->us() / static_cast<double>(calls_);
    std::sort(std::begin(us), std::end(us));
    double const middle = us[samples / 2];
    for (auto _ : state) state.SetIterationTime(middle * 1e-6);
    for (auto const& [name, value] : known_) state.counters[name] = value;
    double const bytes = known_.at("k_bytes") + known_.at("v_bytes");
    state.counters["median_ms"] = middle * 1e-3;
    state.counters["least_ms"] = us[0] * 1e-3;
    state.counters["read_share"] = bytes / middle * 1e6 / run_.device.read_bytes_per_second;
  }

 private:
  /// Host time of a call outside of a graph.
  void measure_enqueue() {
    constexpr int count = 20;
    for (int i = 0; i < 3; ++i) subject_->enqueue(i % subject_->copies());
    synchronize();
    auto const begin = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) subject_->enqueue(i % subject_->copies());
    std::chrono::duration<double, std::micro> const us = std::chrono::steady_clock::now() - begin;
    synchronize();
    known_["enqueue_us"] = us.count() / count;
  }

  void capture(std::int64_t delay_ns) {
    graph_ = std::make_unique<graph>([&] {
      for (std::int64_t i = 0; i < calls_; ++i) {
        subject_->enqueue(i % subject_->copies());
        if (delay_ns > 0) check_launch(tka_bench_spin(delay_ns, stream()));
      }
    });
  }

  conditions const& run_;
  counters known_;
  std::unique_ptr<subject> subject_;
  std::unique_ptr<graph> graph_;
  std::int64_t calls_ = 0;
};

}  // namespace bench::cuda
