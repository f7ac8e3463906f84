// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Aligned memory that begins as poison, and tensors placed in it in any order of dimensions.

#pragma once

#include <tka/source/location.hpp>
#include <tka/tensor_view.hpp>

#include <support/memory_ranges.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

namespace support {

/// Bytes of which every floating type makes a NaN.
inline constexpr unsigned char nan_poison = 0xff;
/// Bytes that are neither -1 nor a small integer.
inline constexpr unsigned char int_poison = 0x5a;

template <class T>
constexpr unsigned char poison_of() {
  return std::is_integral_v<T> ? int_poison : nan_poison;
}

/// `count` elements, aligned to 64 bytes, every byte set to `poison`.
template <class T>
class buffer {
 public:
  buffer() = default;
  explicit buffer(std::size_t count, unsigned char poison = poison_of<T>())
      : bytes_(count * sizeof(T)), poison_(poison) {
    std::size_t const whole = (bytes_ + 127) / 64 * 64;
    memory_.reset(static_cast<unsigned char*>(std::aligned_alloc(64, whole)));
    if (memory_ == nullptr) throw std::bad_alloc{};
    std::memset(memory_.get(), poison_, whole);
    memory_ranges::add(memory_.get(), bytes_);
  }
  T* data() { return reinterpret_cast<T*>(memory_.get()); }
  T const* data() const { return reinterpret_cast<T const*>(memory_.get()); }
  std::size_t bytes() const { return bytes_; }

  void poison_again(T* from, std::size_t count) {
    std::memset(static_cast<void*>(from), poison_, count * sizeof(T));
  }
  bool all_poison() const {
    for (std::size_t i = 0; i < bytes_; ++i) {
      if (memory_.get()[i] != poison_) return false;
    }
    return true;
  }

 private:
  struct release {
    void operator()(unsigned char* p) const {
      memory_ranges::remove(p);
      std::free(p);
    }
  };
  std::size_t bytes_ = 0;
  unsigned char poison_ = 0;
  std::unique_ptr<unsigned char, release> memory_;
};

/// How the dimensions of a tensor lie in memory. `sliced`: a slice of a larger buffer, with more
/// heads, longer rows and a base inside of it.
enum class order { hnd, nhd, sliced };

/// Where the tokens of each sequence lie, and in how large a space.
struct places {
  std::int64_t outer_count = 1;
  std::int64_t token_count = 0;
  std::vector<std::vector<tka::location>> at;  ///< [sequence][token]
};

/// A tensor [outer][head][token][dim] of poison.
template <class T>
class tensor {
 public:
  tensor() = default;
  tensor(places const& where, std::int64_t heads, std::int64_t dim, order how) : dim_(dim) {
    std::int64_t const slack = how == order::sliced ? 16 : 0;
    std::int64_t const row = dim + slack;
    std::int64_t const all_heads = heads + (how == order::sliced ? 1 : 0);
    std::int64_t const outer = all_heads * where.token_count * row;
    memory_ = buffer<T>(static_cast<std::size_t>(where.outer_count * outer + slack));
    view_.data = memory_.data() + slack;
    view_.batch = outer;
    view_.head = how == order::hnd ? where.token_count * row : row;
    view_.token = how == order::hnd ? row : all_heads * row;
  }
  tka::tensor_view<T> view() const { return view_; }
  T* at(tka::location where, std::int64_t head) const {
    return view_.at(where.outer, head, where.token);
  }
  std::int64_t dim() const { return dim_; }

  /// Takes a row out and leaves poison: when every row is out, only stray writes are left.
  void take(tka::location where, std::int64_t head, std::vector<T>& out) {
    T* const row = at(where, head);
    out.insert(out.end(), row, row + dim_);
    memory_.poison_again(row, static_cast<std::size_t>(dim_));
  }
  bool all_poison() const { return memory_.all_poison(); }

 private:
  std::int64_t dim_ = 0;
  buffer<T> memory_;
  tka::tensor_view<T> view_;
};

}  // namespace support
