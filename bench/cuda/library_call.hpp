// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A call of the library at a point, with all its memory.

#pragma once

#include "bench_abi.h"
#include "cuda/device.hpp"
#include "cuda/inputs.hpp"
#include "cuda/subject.hpp"
#include "fidelity.hpp"
#include "point.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace bench::cuda {

/// task, selection, scope, precision, kv.
inline std::vector<std::string> parts_of(std::string const& combination) {
  std::vector<std::string> parts;
  std::istringstream in(combination);
  for (std::string part; std::getline(in, part, '/');) parts.push_back(part);
  return parts;
}

/// A call of the library.
class library_call final : public subject {
 public:
  library_call(point const& p, std::string const& combination, bool visible = false) : p_(p) {
    auto const parts = parts_of(combination);
    selects_alone_ = parts[0] == "select";
    indexed_ = parts[1].starts_with("lightning");
    stored_ = parts[1] == "stored_scores";
    type_ = element_of(parts[3]);
    paged_ = parts[4] == "paged";
    make_plan(combination, visible);
    make_inputs();
    make_memory();
    check_status(tka_bench_initialize(planned_.get(), &base_, stream()), "initialize");
    synchronize();
  }

  void enqueue(std::int64_t copy) override {
    tka_bench_tensors const t = at(copy, selects_alone_);
    check_status(tka_bench_run(planned_.get(), &t, stream()), "run");
  }
  [[nodiscard]] std::int64_t copies() const override { return copies_; }
  [[nodiscard]] tka_bench_plan const& plan() const { return plan_; }
  [[nodiscard]] bool indexed() const { return indexed_; }
  [[nodiscard]] bool stored() const { return stored_; }
  [[nodiscard]] double row_bytes() const { return head_dim * double(bytes_of(type_)); }

  /// What the call selects over the first set of inputs.
  [[nodiscard]] outcome selected(bool visible) {
    tka_bench_tensors t = at(0, true);
    memory<float> const lse(std::int64_t{p_.batch} * q_heads);
    memory<float> const lse_visible(visible ? lse.size() : 0);
    if (!selects_alone_) t.lse = lse.get();
    if (visible) t.lse_visible = lse_visible.get();
    check_status(tka_bench_run(planned_.get(), &t, stream()), "run");
    synchronize();
    if (error_.host()[0] != 0) throw failure("its error word is not 0");
    outcome out;
    out.capacity = plan_.capacity;
    out.scope_heads = plan_.scope_heads;
    out.positions = positions_.host();
    out.count = count_.host();
    if (!selects_alone_) out.lse = lse.host();
    if (visible) out.lse_visible = lse_visible.host();
    return out;
  }

 private:
  void make_plan(std::string const& combination, bool visible) {
    tka_bench_call const call{.batch = p_.batch,
                              .q_heads = q_heads,
                              .kv_heads = kv_heads,
                              .q_len = 1,
                              .kv_len = std::max(p_.kv_len, p_.bound),
                              .head_dim = head_dim,
                              .k = p_.k,
                              .page_size = paged_ ? page_size : 0,
                              .index_heads = indexed_ ? index_heads : 0,
                              .visible = visible ? 1 : 0,
                              .scale = scale,
                              .recall = p_.recall,
                              .workers = 0,
                              .query_tile = 0,
                              .stages = 0};
    planned_.reset(tka_bench_create(combination.c_str(), &call, &plan_));
    if (!planned_) throw failure("this build has no " + combination);
    check_status(plan_.status, "plan");
  }

  void make_inputs() {
    std::int64_t const tokens = std::int64_t{p_.batch} * p_.kv_len;
    elements_ = tokens * kv_heads * head_dim;
    if (stored_) {
      scores_ = std::int64_t{p_.batch} * plan_.scope_heads * p_.kv_len;
      copies_ = copies_for(p_, 4 * scores_, score_pool().size() / scores_);
    } else {
      std::int64_t const bytes = 2 * elements_ * bytes_of(type_);
      // Before the pool is made: what fits nothing must not cost memory.
      if (bytes / 2 > pool_bytes(type_) || elements_ > pool_of(type_).elements) {
        throw failure("infeasible: its keys and values take " + std::to_string(bytes >> 30) +
                      " GB, more than is set aside for them");
      }
      std::int64_t const index_bytes = tokens * head_dim + std::int64_t{2} * p_.batch * p_.k *
                                                               kv_heads * head_dim *
                                                               bytes_of(type_);
      copies_ = copies_for(p_, indexed_ ? index_bytes : bytes, pool_of(type_).elements / elements_);
    }
    if (copies_ < 1) throw failure("infeasible: its scores are more than are set aside");
    // With fp8 keys queries are bf16.
    q_ = queries(type_ == element::fp8 ? element::bf16 : type_, p_.scores,
                 std::int64_t{p_.batch} * q_heads);
    lengths_ = memory<std::int32_t>(
        std::vector<std::int32_t>(static_cast<std::size_t>(p_.batch), p_.kv_len));
    if (paged_) {
      std::vector<std::int32_t> table(static_cast<std::size_t>(tokens / page_size));
      std::iota(table.begin(), table.end(), 0);
      std::shuffle(table.begin(), table.end(), std::mt19937{7});
      table_ = memory<std::int32_t>(table);
    }
    if (indexed_) {
      index_q_ = queries(element::fp8, "normal", std::int64_t{p_.batch} * index_heads);
      weights_ = memory<float>(
          std::vector<float>(static_cast<std::size_t>(p_.batch) * index_heads, 0.125f));
      index_copies_ = pool_of(element::fp8).elements / (tokens * head_dim);
    }
  }

  void make_memory() {
    scratch_ = memory<std::byte>(plan_.scratch_bytes);
    state_ = memory<std::byte>(plan_.state_bytes);
    o_ = memory<float>(std::int64_t{p_.batch} * q_heads * head_dim);
    std::int64_t const rows = std::int64_t{p_.batch} * plan_.scope_heads;
    positions_ = memory<std::int32_t>(rows * plan_.capacity);
    count_ = memory<std::int32_t>(rows);
    error_ = memory<std::uint32_t>(std::vector<std::uint32_t>(1, 0u));
    std::int64_t const tokens = paged_ ? page_size : p_.kv_len;
    base_ = {.q = q_.get(),
             .k = nullptr,
             .v = nullptr,
             .o = o_.get(),
             .lengths = lengths_.get(),
             .batch_stride = kv_heads * tokens * head_dim,
             .head_stride = tokens * head_dim,
             .positions = nullptr,
             .count = nullptr,
             .lse = nullptr,
             .lse_visible = nullptr,
             .error = error_.get(),
             .scratch = scratch_.get(),
             .state = state_.get(),
             .block_table = table_.get(),
             .table_stride = p_.kv_len / page_size,
             .pages = table_.size(),
             .index_q = index_q_.get(),
             .index_k = nullptr,
             .index_weights = weights_.get(),
             .index_stride = std::int64_t{p_.kv_len} * head_dim,
             .scores = nullptr,
             .scores_stride = p_.kv_len};
  }

  /// All tensors with the keys and values, or scores, that stand at `copy`.
  [[nodiscard]] tka_bench_tensors at(std::int64_t copy, bool with_positions) const {
    tka_bench_tensors t = base_;
    if (stored_) {
      t.scores = score_pool().get() + copy * scores_;
    } else {
      t.k = pool_of(type_).key(copy * elements_);
      t.v = pool_of(type_).value(copy * elements_);
    }
    if (indexed_) {
      std::int64_t const keys = std::int64_t{p_.batch} * p_.kv_len * head_dim;
      t.index_k = pool_of(element::fp8).key(copy % index_copies_ * keys);
    }
    if (with_positions) {
      t.positions = positions_.get();
      t.count = count_.get();
    }
    return t;
  }

  struct destroy {
    void operator()(void* planned) const { tka_bench_destroy(planned); }
  };

  point p_;
  bool selects_alone_ = false, indexed_ = false, stored_ = false, paged_ = false;
  element type_ = element::bf16;
  std::unique_ptr<void, destroy> planned_;
  tka_bench_plan plan_{};
  std::int64_t elements_ = 0, scores_ = 0, copies_ = 0, index_copies_ = 1;
  memory<std::byte> q_, index_q_, scratch_, state_;
  memory<float> o_, weights_;
  memory<std::int32_t> lengths_, table_, positions_, count_;
  memory<std::uint32_t> error_;
  tka_bench_tensors base_{};
};

}  // namespace bench::cuda
