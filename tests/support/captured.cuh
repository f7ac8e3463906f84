// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Streams, and what was enqueued on one as a graph that can be launched again.

#pragma once

#include <tka/status.hpp>

#include <support/device_memory.cuh>

#include <cuda_runtime_api.h>

namespace support {

class stream {
 public:
  stream() { check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "stream"); }
  stream(stream const&) = delete;
  ~stream() { (void)cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_{};
};

/// What `enqueue` enqueues, as a graph.
class graph {
 public:
  template <class Enqueue>
  explicit graph(cudaStream_t on, Enqueue const& enqueue) {
    cudaGraph_t captured{};
    check_cuda(cudaStreamBeginCapture(on, cudaStreamCaptureModeGlobal), "capture");
    status = enqueue();
    check_cuda(cudaStreamEndCapture(on, &captured), "capture");
    check_cuda(cudaGraphInstantiate(&instance_, captured, 0), "instantiate");
    check_cuda(cudaGraphDestroy(captured), "destroy");
  }
  graph(graph const&) = delete;
  ~graph() { (void)cudaGraphExecDestroy(instance_); }
  void launch(cudaStream_t on) const { check_cuda(cudaGraphLaunch(instance_, on), "launch"); }

  tka::status status{};

 private:
  cudaGraphExec_t instance_{};
};

}  // namespace support
