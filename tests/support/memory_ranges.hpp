// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Which memory the tests hand to calls: a backend with memory of its own finds the whole buffer
/// behind any pointer into it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <new>
#include <stdexcept>
#include <vector>

namespace support {

struct memory_range {
  unsigned char* begin = nullptr;
  std::size_t bytes = 0;
};

/// All buffers that are alive. Made and freed by the thread that runs the test.
class memory_ranges {
 public:
  static void add(void const* begin, std::size_t bytes) { all()[address(begin)] = bytes; }
  static void remove(void const* begin) { all().erase(address(begin)); }

  /// The buffer that `pointer` points into, or right behind.
  static memory_range of(void const* pointer) {
    auto const next = all().upper_bound(address(pointer));
    if (next != all().begin()) {
      auto const [begin, bytes] = *std::prev(next);
      if (address(pointer) <= begin + bytes) {
        return {reinterpret_cast<unsigned char*>(begin), bytes};
      }
    }
    throw std::logic_error("a tensor points into memory that is no buffer of the tests");
  }

 private:
  static std::uintptr_t address(void const* p) { return reinterpret_cast<std::uintptr_t>(p); }
  static std::map<std::uintptr_t, std::size_t>& all() {
    static std::map<std::uintptr_t, std::size_t> ranges;
    return ranges;
  }
};

/// Allocates on 64 bytes, in the list of all buffers.
template <class T>
struct listed_allocator {
  using value_type = T;
  listed_allocator() = default;
  template <class U>
  listed_allocator(listed_allocator<U> const&) {}

  T* allocate(std::size_t n) {
    void* const p = std::aligned_alloc(64, (n * sizeof(T) + 127) / 64 * 64);
    if (p == nullptr) throw std::bad_alloc{};
    memory_ranges::add(p, n * sizeof(T));
    return static_cast<T*>(p);
  }
  void deallocate(T* p, std::size_t) {
    memory_ranges::remove(p);
    std::free(p);
  }
  template <class U>
  bool operator==(listed_allocator<U> const&) const {
    return true;
  }
};

/// A vector whose elements may be handed to a call.
template <class T>
using array = std::vector<T, listed_allocator<T>>;

}  // namespace support
