// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The same memory on the host and on the device, for calls that must write the same on both; and
/// the CPU's way of running rows without what else its backend is, since Eigen is for no .cu.

#pragma once

#include <tka/detail/cpu/run_rows.hpp>
#include <tka/status.hpp>

#include <support/device_memory.cuh>
#include <support/seed.hpp>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
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

enum class place { host, device };

/// `count` elements, all bytes `fill` at first, `shift` bytes beside the alignment of an
/// allocation.
template <class T>
class twin {
 public:
  explicit twin(std::size_t count = 0, unsigned char fill = 0x5a, std::size_t shift = 0)
      : count_(count),
        shift_(shift),
        host_(shift + count * sizeof(T), fill),
        device_(host_.size()) {}
  explicit twin(std::vector<T> const& values) : twin(values.size()) {
    if (!values.empty()) std::memcpy(data(), values.data(), values.size() * sizeof(T));
  }

  [[nodiscard]] T* data() { return reinterpret_cast<T*>(host_.data() + shift_); }
  [[nodiscard]] T& operator[](std::size_t i) { return data()[i]; }
  [[nodiscard]] std::size_t size() const { return count_; }

  /// Makes the device's memory as the host's is now.
  void send() {
    if (!host_.empty()) device_.upload(host_.data());
    sent_ = host_;
    is_sent_ = true;
  }
  /// Where the elements are. The device's are sent once, when first asked for.
  [[nodiscard]] T* at(place where) {
    if (where == place::host) return data();
    if (!is_sent_) send();
    return reinterpret_cast<T*>(device_.data() + shift_);
  }
  /// Every byte is the same on both, and none beside was written. What no call was given is not
  /// on the device.
  [[nodiscard]] bool same() const {
    return !is_sent_ || (device_.intact() && device_bytes() == host_);
  }
  /// The host's call wrote something.
  [[nodiscard]] bool changed() const { return host_ != sent_; }
  /// The device's elements.
  [[nodiscard]] std::vector<T> received() const {
    std::vector<T> values(count_);
    auto const bytes = device_bytes();
    if (count_ != 0) {
      std::memcpy(static_cast<void*>(values.data()), bytes.data() + shift_, count_ * sizeof(T));
    }
    return values;
  }

 private:
  [[nodiscard]] std::vector<unsigned char> device_bytes() const {
    std::vector<unsigned char> bytes(host_.size());
    device_.download(bytes.data());
    return bytes;
  }

  std::size_t count_;
  std::size_t shift_;
  std::vector<unsigned char> host_;
  std::vector<unsigned char> sent_;
  bool is_sent_ = false;
  support::device_memory device_;
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
