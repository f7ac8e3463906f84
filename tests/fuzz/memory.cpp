// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Strides of every order, and conversions of elements.

#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp8.hpp>

#include <fuzz/memory.hpp>

#include <cstring>

namespace fuzz {

std::int64_t size_of(element e) { return e == element::fp32 ? 4 : e == element::fp8 ? 1 : 2; }

memory::memory(element type, space const& where, std::int64_t heads, std::int64_t dim,
               std::int64_t order, std::int64_t grain, unsigned char poison)
    : made_(true), type_(type), dim_(dim) {
  std::int64_t const tokens = where.token_count;
  // Rows of `gaps` are a little longer, and so are heads and sequences; `sliced` rows stand inside
  // of longer ones, beside the rows of one more head.
  std::int64_t const slack = order == sliced ? grain : 0;
  std::int64_t const gap = order == gaps ? grain : 0;
  std::int64_t const row = (dim + grain - 1) / grain * grain + slack + gap;
  std::int64_t const all_heads = heads + (order == sliced ? 1 : 0);
  if (order == nhd || order == sliced) {
    token_ = all_heads * row;
    head_ = row;
    batch_ = tokens * token_;
  } else {
    token_ = row;
    head_ = tokens * row + gap;
    batch_ = (order == expanded ? 1 : heads) * head_ + 3 * gap;
    if (order == expanded) head_ = 0;
  }
  base_ = slack;
  std::int64_t const count = where.outer_count * batch_ + slack;
  bytes_ = support::buffer<unsigned char>(static_cast<std::size_t>(count * size_of(type)), poison);
}

unsigned char* memory::at(tka::location where, std::int64_t head) {
  return bytes_.data() +
         (base_ + where.outer * batch_ + head * head_ + where.token * token_) * size_of(type_);
}

namespace {

template <class T>
void convert_to(float const* from, std::int64_t count, unsigned char* to) {
  for (std::int64_t i = 0; i < count; ++i) reinterpret_cast<T*>(to)[i] = T(from[i]);
}
template <class T>
void convert_from(unsigned char const* from, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; ++i) {
    to[i] = static_cast<float>(reinterpret_cast<T const*>(from)[i]);
  }
}

}  // namespace

void memory::put(tka::location where, std::int64_t head, float const* values, std::int64_t count) {
  unsigned char* const row = at(where, head);
  switch (type_) {
    case element::fp32: convert_to<float>(values, count, row); break;
    case element::fp16: convert_to<tka::float16_t>(values, count, row); break;
    case element::bf16: convert_to<tka::bfloat16_t>(values, count, row); break;
    case element::fp8: convert_to<tka::float8_e4m3_t>(values, count, row); break;
  }
}

void memory::get(tka::location where, std::int64_t head, float* values, std::int64_t count) {
  unsigned char const* const row = at(where, head);
  switch (type_) {
    case element::fp32: convert_from<float>(row, count, values); break;
    case element::fp16: convert_from<tka::float16_t>(row, count, values); break;
    case element::bf16: convert_from<tka::bfloat16_t>(row, count, values); break;
    case element::fp8: convert_from<tka::float8_e4m3_t>(row, count, values); break;
  }
}

void memory::forget(tka::location where, std::int64_t head) {
  bytes_.poison_again(at(where, head), static_cast<std::size_t>(dim_ * size_of(type_)));
}

std::uint64_t memory::digest() const {
  std::uint64_t hash = 0xcbf29ce484222325u;
  std::size_t const n = bytes_.bytes();
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes_.data() + i, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  }
  for (; i < n; ++i) hash = (hash ^ bytes_.data()[i]) * 0x100000001b3u;
  return hash;
}

}  // namespace fuzz
