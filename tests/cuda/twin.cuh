// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The same memory on the host and on the device, for calls that must write the same on both; and
/// the CPU's way of running rows without what else its backend is, since Eigen is for no .cu.

#pragma once

#include <tka/detail/cpu/run_rows.hpp>
#include <tka/status.hpp>

#include <support/seed.hpp>

#include <cuda_runtime_api.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace cuda_test {

/// What `append` and `merge` are on the CPU.
struct reference {
  using is_tka_backend = void;
  struct device {};
  template <class Work>
  [[nodiscard]] static tka::status run_rows(Work const& work) noexcept {
    tka::detail::cpu::run_rows(work);
    return tka::status::ok;
  }
};

inline bool no_gpu() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0;
}

inline void expect(cudaError_t e, char const* what) {
  if (e != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(e));
}

/// Not the default stream, and not synchronised with it.
inline cudaStream_t stream() {
  static cudaStream_t const made = [] {
    cudaStream_t s{};
    expect(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "cudaStreamCreate");
    return s;
  }();
  return made;
}

enum class place { host, device };

/// `count` elements, all bytes `fill` at first, with some bytes on both sides that are compared
/// too. `shift` bytes beside the alignment of an allocation.
template <class T>
class twin {
 public:
  explicit twin(std::size_t count = 0, unsigned char fill = 0x5a, std::size_t shift = 0)
      : count_(count), shift_(shift), host_(2 * side + shift + count * sizeof(T), 0xc7) {
    std::memset(static_cast<void*>(data()), fill, count * sizeof(T));
    expect(cudaMalloc(&device_, host_.size()), "cudaMalloc");
  }
  explicit twin(std::vector<T> const& values) : twin(values.size()) {
    if (!values.empty()) std::memcpy(data(), values.data(), values.size() * sizeof(T));
  }
  twin(twin const&) = delete;
  twin& operator=(twin const&) = delete;
  ~twin() { (void)cudaFree(device_); }

  [[nodiscard]] T* data() { return reinterpret_cast<T*>(host_.data() + side + shift_); }
  [[nodiscard]] T& operator[](std::size_t i) { return data()[i]; }
  [[nodiscard]] std::size_t size() const { return count_; }

  /// Makes the device's memory as the host's is now.
  void send() {
    expect(cudaMemcpyAsync(device_, host_.data(), host_.size(), cudaMemcpyDefault, stream()),
           "send");
    sent_ = host_;
  }
  /// Where the elements are. The device's are sent once, when first asked for.
  [[nodiscard]] T* at(place where) {
    if (where == place::host) return data();
    if (sent_.empty()) send();
    return reinterpret_cast<T*>(static_cast<unsigned char*>(device_) + side + shift_);
  }
  /// Every byte is the same on both.
  [[nodiscard]] bool same() const { return device_bytes() == host_; }
  /// The host's call wrote something.
  [[nodiscard]] bool changed() const { return host_ != sent_; }
  /// The device's elements.
  [[nodiscard]] std::vector<T> received() const {
    std::vector<T> values(count_);
    auto const bytes = device_bytes();
    std::memcpy(static_cast<void*>(values.data()), bytes.data() + side + shift_,
                count_ * sizeof(T));
    return values;
  }

 private:
  static constexpr std::size_t side = 256;

  [[nodiscard]] std::vector<unsigned char> device_bytes() const {
    std::vector<unsigned char> bytes(host_.size());
    expect(cudaMemcpyAsync(bytes.data(), device_, bytes.size(), cudaMemcpyDefault, stream()),
           "receive");
    expect(cudaStreamSynchronize(stream()), "the call");
    return bytes;
  }

  std::size_t count_;
  std::size_t shift_;
  std::vector<unsigned char> host_;
  std::vector<unsigned char> sent_;
  void* device_ = nullptr;
};

/// Numbers of all sizes; now and then a zero, a subnormal, an infinity or a NaN of either sign.
inline float any_float(support::random_source& random) {
  float const sign = random.below(2) == 0 ? 1.0f : -1.0f;
  switch (random.below(97)) {
    case 0: return sign * 0.0f;
    case 1: return sign * 1e-40f;
    case 2: return random.below(40) == 0 ? sign * std::numeric_limits<float>::infinity() : sign;
    case 3:
      return std::copysign(random.below(8) == 0 ? std::numeric_limits<float>::quiet_NaN() : 1.0f,
                           sign);
    default: break;
  }
  return static_cast<float>(std::ldexp(random.normal(), static_cast<int>(random.between(-14, 6))));
}

template <class T>
void fill_rows(twin<T>& rows, support::random_source& random) {
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<T>(any_float(random));
}

}  // namespace cuda_test
