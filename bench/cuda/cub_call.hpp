// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// CUB's ways to select at a point, over the scores that the library's stored_scores is given.

#pragma once

#include "cuda/cub_peers.hpp"
#include "cuda/device.hpp"
#include "cuda/inputs.hpp"
#include "cuda/library_call.hpp"
#include "cuda/subject.hpp"
#include "point.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench::cuda {

/// CUB over the same scores as the library's stored_scores.
class cub_call final : public subject {
 public:
  cub_call(point const& p, bool sorts)
      : p_(p), sorts_(sorts), rows_(p.batch * q_heads), items_(std::int64_t{rows_} * p.kv_len) {
    copies_ = copies_for(p, 4 * items_, score_pool().size() / items_);
    if (copies_ < 1 || items_ >= (std::int64_t{1} << 31))
      throw failure("infeasible: too many scores");
    std::int64_t const out = sorts ? items_ : std::int64_t{rows_} * p.k;
    values_ = memory<float>(out);
    positions_ = memory<std::int32_t>(out);
    if (sorts) {
      iota_ = memory<std::int32_t>(items_);
      fill_positions(iota_.get(), items_, p.kv_len, stream());
      std::vector<std::int32_t> offsets(static_cast<std::size_t>(rows_) + 1);
      for (std::size_t i = 0; i < offsets.size(); ++i) {
        offsets[i] = static_cast<std::int32_t>(i) * p.kv_len;
      }
      offsets_ = memory<std::int32_t>(offsets);
    }
    std::size_t bytes = 0;
    call(nullptr, bytes, 0);
    work_ = memory<std::byte>(static_cast<std::int64_t>(bytes));
  }

  void enqueue(std::int64_t copy) override {
    auto bytes = static_cast<std::size_t>(work_.size());
    call(work_.get(), bytes, copy);
  }
  [[nodiscard]] std::int64_t copies() const override { return copies_; }

  /// [rows, k] positions over the first scores, each row ascending.
  [[nodiscard]] std::vector<std::int32_t> selected() {
    enqueue(0);
    auto const all = positions_.host();
    std::vector<std::int32_t> kept;
    std::int64_t const stride = sorts_ ? p_.kv_len : p_.k;
    for (std::int64_t row = 0; row < rows_; ++row) {
      auto const from = all.begin() + row * stride;
      kept.insert(kept.end(), from, from + p_.k);
      std::sort(kept.end() - p_.k, kept.end());
    }
    return kept;
  }

 private:
  void call(void* work, std::size_t& bytes, std::int64_t copy) {
    rows_of_scores const in{score_pool().get() + copy * items_, rows_, p_.kv_len};
    cudaError_t const error =
        sorts_ ? sort_rows(work, bytes, in, iota_.get(), offsets_.get(), values_.get(),
                           positions_.get(), stream())
               : batched_topk(work, bytes, in, p_.k, values_.get(), positions_.get(), stream());
    if (error == cudaErrorNotSupported) {
      throw failure("CUB " + std::to_string(cub_version()) +
                    " has no cub::DeviceBatchedTopK for such rows");
    }
    check(error, "CUB");
  }

  point p_;
  bool sorts_;
  std::int32_t rows_;
  std::int64_t items_, copies_ = 0;
  memory<float> values_;
  memory<std::int32_t> positions_, iota_, offsets_;
  memory<std::byte> work_;
};

/// Throws where CUB and the library do not keep the same scores.
inline void compare_with_library(point const& p, cub_call& peer) {
  library_call ours(p, "select/stored_scores/query_head/bf16/contiguous");
  auto const expected = ours.selected(false).positions;
  auto const found = peer.selected();
  std::int64_t const items = std::int64_t{p.batch} * q_heads * p.kv_len;
  std::vector<float> scores(static_cast<std::size_t>(items));
  check(cudaMemcpy(scores.data(), score_pool().get(), scores.size() * 4, cudaMemcpyDeviceToHost),
        "cudaMemcpy");
  for (std::size_t row = 0; row < found.size() / static_cast<std::size_t>(p.k); ++row) {
    auto const sorted = [&](std::vector<std::int32_t> const& positions) {
      std::vector<float> kept;
      for (std::size_t i = 0; i < static_cast<std::size_t>(p.k); ++i) {
        auto const at =
            static_cast<std::size_t>(positions[row * static_cast<std::size_t>(p.k) + i]);
        kept.push_back(scores.at(row * static_cast<std::size_t>(p.kv_len) + at));
      }
      std::sort(kept.begin(), kept.end());
      return kept;
    };
    if (sorted(expected) != sorted(found)) throw failure("it keeps other scores than the library");
  }
}

}  // namespace bench::cuda
