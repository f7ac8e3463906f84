// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the CUDA examples need and no engine takes from here: device memory, a stream, and a way
/// out. The library itself allocates nothing.

#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

/// Ends the program where a call of the runtime failed.
inline void check(cudaError_t result) {
  if (result == cudaSuccess) return;
  std::fprintf(stderr, "CUDA: %s\n", cudaGetErrorString(result));
  std::exit(1);
}

/// Ends the program with 77, which means skipped, where there is no GPU.
inline void need_gpu() {
  int count = 0;
  cudaError_t const found = cudaGetDeviceCount(&count);
  if (found == cudaSuccess && count > 0) return;
  std::printf("skipped: no GPU (%s)\n", cudaGetErrorString(found));
  std::exit(77);
}

/// A stream that no other one waits for.
class stream {
 public:
  stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  stream(stream const&) = delete;
  stream& operator=(stream const&) = delete;
  ~stream() { (void)cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }
  void wait() const { check(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_{};
};

/// Device memory of `size` elements. Copies are enqueued on a stream, like the calls.
template <class T>
class device_array {
 public:
  explicit device_array(std::size_t size) : size_(size) {
    check(cudaMalloc(reinterpret_cast<void**>(&data_), (size > 0 ? size : 1) * sizeof(T)));
  }
  device_array(std::vector<T> const& host, cudaStream_t on) : device_array(host.size()) {
    upload(host, on);
  }
  device_array(device_array const&) = delete;
  device_array& operator=(device_array const&) = delete;
  ~device_array() { (void)cudaFree(data_); }

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return size_ * sizeof(T); }

  void upload(std::vector<T> const& host, cudaStream_t on) const {
    check(cudaMemcpyAsync(data_, host.data(), bytes(), cudaMemcpyHostToDevice, on));
  }
  /// What stands there when all that was enqueued before is done; waits for it.
  [[nodiscard]] std::vector<T> download(cudaStream_t on) const {
    std::vector<T> host(size_);
    check(cudaMemcpyAsync(host.data(), data_, bytes(), cudaMemcpyDeviceToHost, on));
    check(cudaStreamSynchronize(on));
    return host;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};
