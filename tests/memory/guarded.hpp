// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Memory that ends (or begins) at a page which cannot be touched, with canaries in what is left.

#pragma once

#include <support/memory_ranges.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace support {

/// Where the forbidden page touches the memory. The other side has one too, but not as near.
enum class guard { behind, before };

/// `count` elements of mapped memory, all bytes `fill` at first.
template <class T>
class guarded {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  guarded() = default;
  explicit guarded(std::size_t count, guard where = guard::behind,
                   std::size_t alignment = alignof(T), unsigned char fill = 0xff)
      : count_(count) {
    std::size_t const page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    std::size_t const inside = (count * sizeof(T) + page - 1) / page * page;
    mapped_ = inside + 2 * page;
    void* const base =
        ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc{};
    base_ = static_cast<unsigned char*>(base);
    first_ = base_ + page;
    last_ = first_ + inside;
    if (::mprotect(base_, page, PROT_NONE) != 0 || ::mprotect(last_, page, PROT_NONE) != 0) {
      throw std::bad_alloc{};
    }
    std::size_t const slack = (inside - count * sizeof(T)) / alignment * alignment;
    data_ = first_ + (where == guard::behind ? slack : 0);
    std::memset(first_, canary, inside);
    std::memset(data_, fill, count * sizeof(T));
    memory_ranges::add(data_, count * sizeof(T));
  }
  guarded(guarded&& other) noexcept { swap(other); }
  guarded& operator=(guarded&& other) noexcept {
    swap(other);
    return *this;
  }
  ~guarded() {
    if (base_ == nullptr) return;
    memory_ranges::remove(data_);
    ::munmap(base_, mapped_);
  }

  [[nodiscard]] T* data() noexcept { return reinterpret_cast<T*>(data_); }
  [[nodiscard]] T const* data() const noexcept { return reinterpret_cast<T const*>(data_); }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return data()[i]; }
  [[nodiscard]] T const& operator[](std::size_t i) const noexcept { return data()[i]; }
  [[nodiscard]] T* begin() noexcept { return data(); }
  [[nodiscard]] T* end() noexcept { return data() + count_; }

  void fill_bytes(unsigned char value) noexcept { std::memset(data_, value, count_ * sizeof(T)); }
  /// The bytes around the elements are as they were made.
  [[nodiscard]] bool intact() const noexcept {
    for (unsigned char const* p = first_; p < data_; ++p) {
      if (*p != canary) return false;
    }
    for (unsigned char const* p = data_ + count_ * sizeof(T); p < last_; ++p) {
      if (*p != canary) return false;
    }
    return true;
  }
  void append_bytes_to(std::vector<unsigned char>& out) const {
    // Byte by byte: g++ 12 sees a null pointer in vector::insert where there is none.
    for (std::size_t i = 0; i < count_ * sizeof(T); ++i) out.push_back(data_[i]);
  }

 private:
  static constexpr unsigned char canary = 0xc7;
  void swap(guarded& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(mapped_, other.mapped_);
    std::swap(first_, other.first_);
    std::swap(last_, other.last_);
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }

  unsigned char* base_ = nullptr;
  std::size_t mapped_ = 0;
  unsigned char* first_ = nullptr;
  unsigned char* last_ = nullptr;
  unsigned char* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace support
