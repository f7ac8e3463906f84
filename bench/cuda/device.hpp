// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Device memory, errors, and graphs that are replayed between two events.

#pragma once

#include "bench_abi.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bench::cuda {

inline constexpr double least_sample_us = 2000.0;

/// Why a point has no time.
struct failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check(cudaError_t error, char const* what) {
  if (error != cudaSuccess) throw failure(std::string(what) + ": " + cudaGetErrorName(error));
}

inline void check_status(std::int32_t status, char const* what) {
  if (status == 0) return;
  std::string const error = tka_bench_last_cuda_error();
  throw failure(std::string(what) + ": " + tka_bench_status_text(status) +
                (error == "cudaSuccess" ? "" : " [" + error + "]"));
}

/// Of a function of the benchmark library that launches a kernel of its own.
inline void check_launch(std::int32_t error) {
  check(static_cast<cudaError_t>(error), "benchmark kernel");
}

inline cudaStream_t stream() {
  static cudaStream_t const made = [] {
    cudaStream_t s{};
    check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "cudaStreamCreate");
    return s;
  }();
  return made;
}

inline void synchronize() { check(cudaStreamSynchronize(stream()), "kernel"); }

/// Device memory that is never zero before it is written.
template <class T>
class memory {
 public:
  memory() = default;
  explicit memory(std::int64_t count) : count_(count) {
    auto const bytes = std::max<std::size_t>(256, static_cast<std::size_t>(count) * sizeof(T));
    check(cudaMalloc(reinterpret_cast<void**>(&data_), bytes), "cudaMalloc");
    check(cudaMemsetAsync(data_, 0xa5, bytes, stream()), "cudaMemset");
  }
  explicit memory(std::vector<T> const& from) : memory(static_cast<std::int64_t>(from.size())) {
    check(cudaMemcpyAsync(data_, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice,
                          stream()),
          "cudaMemcpy");
    synchronize();
  }
  memory(memory&& other) noexcept { swap(other); }
  memory& operator=(memory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~memory() { cudaFree(data_); }

  [[nodiscard]] T* get() const { return data_; }
  [[nodiscard]] std::int64_t size() const { return count_; }
  [[nodiscard]] std::vector<T> host() const {
    std::vector<T> to(static_cast<std::size_t>(count_));
    check(
        cudaMemcpyAsync(to.data(), data_, to.size() * sizeof(T), cudaMemcpyDeviceToHost, stream()),
        "cudaMemcpy");
    synchronize();
    return to;
  }

 private:
  void swap(memory& other) {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }

  T* data_ = nullptr;
  std::int64_t count_ = 0;
};

/// What `enqueue` enqueues, ready to be replayed.
class graph {
 public:
  template <class Enqueue>
  explicit graph(Enqueue&& enqueue) {
    check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal), "capture");
    cudaGraph_t made{};
    try {
      enqueue();
    } catch (...) {
      cudaStreamEndCapture(stream(), &made);
      throw;
    }
    check(cudaStreamEndCapture(stream(), &made), "capture");
    std::size_t count = 0;
    check(cudaGraphGetNodes(made, nullptr, &count), "graph");
    std::vector<cudaGraphNode_t> nodes(count);
    check(cudaGraphGetNodes(made, nodes.data(), &count), "graph");
    for (cudaGraphNode_t const node : nodes) {
      cudaGraphNodeType type{};
      check(cudaGraphNodeGetType(node, &type), "graph");
      kernels_ += type == cudaGraphNodeTypeKernel;
    }
    check(cudaGraphInstantiate(&exec_, made, 0), "graph");
    cudaGraphDestroy(made);
    us(1);
    times_ =
        static_cast<int>(std::clamp(std::ceil(least_sample_us / std::max(us(1), 1.0)), 1.0, 500.0));
  }
  graph(graph const&) = delete;
  graph& operator=(graph const&) = delete;
  ~graph() { cudaGraphExecDestroy(exec_); }

  [[nodiscard]] int kernels() const { return kernels_; }
  /// Time of one replay among many.
  [[nodiscard]] double us() { return us(times_) / times_; }

 private:
  double us(int times) {
    static cudaEvent_t const begin = event();
    static cudaEvent_t const end = event();
    check_launch(
        tka_bench_spin(100'000, stream()));  // the device is busy while replays are enqueued
    check(cudaEventRecord(begin, stream()), "event");
    for (int i = 0; i < times; ++i) check(cudaGraphLaunch(exec_, stream()), "replay");
    check(cudaEventRecord(end, stream()), "event");
    check(cudaEventSynchronize(end), "replay");
    float milliseconds = 0.0f;
    check(cudaEventElapsedTime(&milliseconds, begin, end), "event");
    return double{milliseconds} * 1e3;
  }
  static cudaEvent_t event() {
    cudaEvent_t e{};
    check(cudaEventCreate(&e), "event");
    return e;
  }

  cudaGraphExec_t exec_{};
  int kernels_ = 0;
  int times_ = 1;
};

}  // namespace bench::cuda
