// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Device memory of the tests: one allocation for each buffer, between canaries, filled on the
/// stream that the tests run on.

#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace support {

inline void check_cuda(cudaError_t e, char const* what) {
  if (e == cudaSuccess) return;
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(e));
}

/// Not the default stream, and not synchronised with it.
inline cudaStream_t test_stream() {
  static cudaStream_t const stream = [] {
    cudaStream_t made{};
    check_cuda(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "cudaStreamCreate");
    return made;
  }();
  return stream;
}

/// Bytes before and behind each buffer. None under TKA_TEST_NO_CANARIES: memcheck then sees the
/// first byte beside.
inline std::size_t canary_bytes() {
  static std::size_t const bytes = std::getenv("TKA_TEST_NO_CANARIES") == nullptr ? 256 : 0;
  return bytes;
}

class device_memory {
 public:
  static constexpr unsigned char canary = 0xc7;

  device_memory() = default;
  explicit device_memory(std::size_t bytes) : bytes_(bytes) {
    std::size_t const side = canary_bytes();
    std::size_t const whole = std::max<std::size_t>(bytes + 2 * side, 1);
    check_cuda(cudaMalloc(&base_, whole), "cudaMalloc");
    if (side == 0) return;
    check_cuda(cudaMemsetAsync(base_, canary, side, test_stream()), "canary");
    check_cuda(cudaMemsetAsync(data() + bytes_, canary, side, test_stream()), "canary");
  }
  device_memory(device_memory&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  device_memory& operator=(device_memory&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~device_memory() { (void)cudaFree(base_); }

  unsigned char* data() const { return static_cast<unsigned char*>(base_) + canary_bytes(); }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }
  std::size_t bytes() const { return bytes_; }

  void fill(unsigned char value) {
    check_cuda(cudaMemsetAsync(data(), value, bytes_, test_stream()), "cudaMemset");
  }
  void upload(void const* from) {
    check_cuda(cudaMemcpyAsync(data(), from, bytes_, cudaMemcpyDefault, test_stream()), "upload");
  }
  void download(void* to) const { copy_out(to, data(), bytes_); }

  /// Whether the canaries on both sides live.
  bool intact() const {
    std::vector<unsigned char> sides(2 * canary_bytes());
    copy_out(sides.data(), base_, canary_bytes());
    copy_out(sides.data() + canary_bytes(), data() + bytes_, canary_bytes());
    return std::all_of(sides.begin(), sides.end(), [](unsigned char x) { return x == canary; });
  }

 private:
  static void copy_out(void* to, void const* from, std::size_t bytes) {
    if (bytes == 0) return;
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, test_stream()), "download");
    check_cuda(cudaStreamSynchronize(test_stream()), "download");
  }

  void* base_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace support
