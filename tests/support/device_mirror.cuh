// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The tensors of a call, copied buffer by buffer to the device and back.

#pragma once

#include <support/device_memory.cuh>
#include <support/memory_ranges.hpp>
#include <support/tensor_pointers.hpp>

#include <cstring>
#include <map>
#include <type_traits>
#include <vector>

namespace support {

class device_mirror {
 public:
  /// `t` with every pointer replaced by one to the same place in a copy on the device.
  template <class Tensors>
  Tensors to_device(Tensors t) {
    each_pointer(t, [this](auto*& pointer) { pointer = place(pointer); });
    return t;
  }

  /// Makes the device's copies what the buffers of the host are now.
  void upload() {
    for (auto& [host, copy] : copies_) copy.memory.upload(host);
  }

  /// Brings the written buffers back.
  void download() {
    for (auto& [host, copy] : copies_) {
      if (copy.written) copy.memory.download(host);
    }
  }

  /// No canary died, and no buffer changed that is only read.
  bool intact() const {
    for (auto const& [host, copy] : copies_) {
      if (!copy.memory.intact()) return false;
      if (copy.written) continue;
      std::vector<unsigned char> now(copy.memory.bytes());
      copy.memory.download(now.data());
      if (!now.empty() && std::memcmp(now.data(), host, now.size()) != 0) return false;
    }
    return true;
  }

 private:
  struct one_buffer {
    device_memory memory;
    bool written = false;
  };

  template <class T>
  T* place(T* pointer) {
    if (pointer == nullptr) return nullptr;
    memory_range const range = memory_ranges::of(pointer);
    auto const [at, is_new] = copies_.try_emplace(range.begin);
    one_buffer& copy = at->second;
    if (is_new) {
      copy.memory = device_memory(range.bytes);
      copy.memory.upload(range.begin);
    }
    copy.written = copy.written || !std::is_const_v<T>;
    auto const offset = reinterpret_cast<unsigned char const*>(pointer) - range.begin;
    return reinterpret_cast<T*>(copy.memory.data() + offset);
  }

  std::map<unsigned char*, one_buffer> copies_;
};

}  // namespace support
