// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the device can do, measured in the run that is held against it.

#pragma once

#include "bench_abi.h"
#include "cuda/device.hpp"
#include "cuda/inputs.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace bench::cuda {

struct ceilings {
  double read_bytes_per_second = 0.0;
  double gather_bytes_per_second = 0.0;  // rows of 256 bytes
  double launch_us = 0.0;                // an empty kernel as a node of a graph

  void measure() {
    pool const& p = pool_of(element::bf16);
    std::int64_t const bytes = std::min<std::int64_t>(p.k.size(), std::int64_t{4} << 30);
    memory<std::uint32_t> const sink(1);
    std::vector<std::int32_t> rows(std::size_t{1} << 22);
    std::mt19937 random{9};
    std::uniform_int_distribution<std::int32_t> row(0, static_cast<std::int32_t>(bytes / 256 - 1));
    for (auto& r : rows) r = row(random);
    memory<std::int32_t> const at(rows);
    auto const count = static_cast<std::int64_t>(rows.size());
    graph read([&] { check_launch(tka_bench_read(p.k.get(), bytes, sink.get(), stream())); });
    graph gather(
        [&] { check_launch(tka_bench_gather(p.k.get(), at.get(), count, sink.get(), stream())); });
    constexpr int empties = 200;
    graph empty([&] {
      for (int i = 0; i < empties; ++i) check_launch(tka_bench_empty(stream()));
    });
    read_bytes_per_second = static_cast<double>(bytes) / median(read) * 1e6;
    gather_bytes_per_second = 256.0 * static_cast<double>(count) / median(gather) * 1e6;
    launch_us = median(empty) / empties;
  }

 private:
  static double median(graph& g) {
    std::vector<double> us(9);
    for (double& x : us) x = g.us();
    std::nth_element(us.begin(), us.begin() + 4, us.end());
    return us[4];
  }
};

}  // namespace bench::cuda
