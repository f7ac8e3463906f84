// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Tensors whose element type and strides are chosen at run time. What no row covers is poison.

#pragma once

#include <tka/source/location.hpp>
#include <tka/tensor_view.hpp>

#include <support/buffers.hpp>

#include <fuzz/scenario.hpp>

#include <cstdint>
#include <vector>

namespace fuzz {

std::int64_t size_of(element e);

/// Where tokens lie: an outer index (sequence or page) and one inside it.
struct space {
  std::int64_t outer_count = 1;
  std::int64_t token_count = 0;
  std::vector<std::vector<tka::location>> at{};  ///< [sequence][token]
};

/// A tensor [outer][head][token][dim].
class memory {
 public:
  memory() = default;
  /// `grain`: gaps and slices are multiples of it, in elements.
  memory(element type, space const& where, std::int64_t heads, std::int64_t dim, std::int64_t order,
         std::int64_t grain, unsigned char poison = 0xff);

  explicit operator bool() const { return bytes_.bytes() > 0 || made_; }
  std::int64_t dim() const { return dim_; }
  element type() const { return type_; }

  /// The view of an instance's type; T must be of the element's size.
  template <class T>
  tka::tensor_view<T> view() {
    if (!made_) return {};
    return {reinterpret_cast<T*>(bytes_.data() + base_ * size_of(type_)), batch_, head_, token_};
  }
  std::int64_t batch() const { return batch_; }
  std::int64_t head() const { return head_; }
  std::int64_t token() const { return token_; }

  unsigned char* at(tka::location where, std::int64_t head);
  void put(tka::location where, std::int64_t head, float const* values, std::int64_t count);
  void get(tka::location where, std::int64_t head, float* values, std::int64_t count);
  std::int32_t* words(tka::location where, std::int64_t head) {
    return reinterpret_cast<std::int32_t*>(at(where, head));
  }

  /// Makes a row poison again: when every row was taken only stray writes are left.
  void forget(tka::location where, std::int64_t head);
  bool all_poison() const { return bytes_.all_poison(); }
  /// A digest of all bytes.
  std::uint64_t digest() const;

 private:
  support::buffer<unsigned char> bytes_;
  bool made_ = false;
  element type_{};
  std::int64_t dim_ = 0;
  std::int64_t base_ = 0, batch_ = 0, head_ = 0, token_ = 0;
};

}  // namespace fuzz
