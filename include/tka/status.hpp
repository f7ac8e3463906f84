// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The one error type of the library: what public calls return, and what each value means.

#pragma once

#include <tka/config.hpp>

#include <cstdint>
#include <stdexcept>

namespace tka::inline TKA_ABI {

/// What a public call found wrong. Anything but `ok`, `launch_failed` and `data_error` means that
/// no byte was written. `data_error` means that all was computed but what the data excludes; only a
/// backend that has seen the data when the call returns gives it (the CPU).
enum class status : std::int32_t {
  ok = 0,
  invalid_shape,
  invalid_group,
  unsupported_head_dim,
  invalid_budget,
  forced_exceeds_budget,
  invalid_scale,
  invalid_soft_cap,
  invalid_window,
  invalid_selection,
  invalid_rotation,
  metric_unavailable,
  threshold_unavailable,
  invalid_page_size,
  invalid_block_table,
  invalid_shard,
  invalid_mask,
  null_pointer,
  misaligned,
  invalid_stride,
  wrong_extent,
  wrong_element_type,
  workspace_too_small,
  plan_mismatch,
  invalid_worker,
  too_large,
  unsupported_precision,
  unsupported_device,
  unsupported_call,
  launch_failed,
  data_error
};

/// The name of the enumerator. Static storage.
[[nodiscard]] TKA_INLINE constexpr char const* name_of(status s) noexcept {
  switch (s) {
    case status::ok: return "ok";
    case status::invalid_shape: return "invalid_shape";
    case status::invalid_group: return "invalid_group";
    case status::unsupported_head_dim: return "unsupported_head_dim";
    case status::invalid_budget: return "invalid_budget";
    case status::forced_exceeds_budget: return "forced_exceeds_budget";
    case status::invalid_scale: return "invalid_scale";
    case status::invalid_soft_cap: return "invalid_soft_cap";
    case status::invalid_window: return "invalid_window";
    case status::invalid_selection: return "invalid_selection";
    case status::invalid_rotation: return "invalid_rotation";
    case status::metric_unavailable: return "metric_unavailable";
    case status::threshold_unavailable: return "threshold_unavailable";
    case status::invalid_page_size: return "invalid_page_size";
    case status::invalid_block_table: return "invalid_block_table";
    case status::invalid_shard: return "invalid_shard";
    case status::invalid_mask: return "invalid_mask";
    case status::null_pointer: return "null_pointer";
    case status::misaligned: return "misaligned";
    case status::invalid_stride: return "invalid_stride";
    case status::wrong_extent: return "wrong_extent";
    case status::wrong_element_type: return "wrong_element_type";
    case status::workspace_too_small: return "workspace_too_small";
    case status::plan_mismatch: return "plan_mismatch";
    case status::invalid_worker: return "invalid_worker";
    case status::too_large: return "too_large";
    case status::unsupported_precision: return "unsupported_precision";
    case status::unsupported_device: return "unsupported_device";
    case status::unsupported_call: return "unsupported_call";
    case status::launch_failed: return "launch_failed";
    case status::data_error: return "data_error";
  }
  return "unknown";
}

/// Says what is wrong and what would be right, in one sentence. Static storage.
[[nodiscard]] TKA_INLINE constexpr char const* to_string(status s) noexcept {
  switch (s) {
    case status::ok: return "ok";
    case status::invalid_shape:
      return "shape: an extent is negative, or batch, heads or a head_dim is zero; give positive "
             "batch, q_heads, kv_heads, qk_dim and v_dim, and q_len, kv_len >= 0";
    case status::invalid_group:
      return "shape: q_heads is not a multiple of kv_heads; every key head serves the same number "
             "of query heads";
    case status::unsupported_head_dim:
      return "shape: this head size is not served; use a multiple of 16, to 1024 on the CPU and "
             "576 (v_dim 512) on CUDA, or the sizes that the cache layout fixes";
    case status::invalid_budget:
      return "options.budget: not given, or out of range; give top_k(k) with k >= 0, or "
             "ratio(num, den, k_min) with 0 <= num <= den, den > 0 and k_min >= 0";
    case status::forced_exceeds_budget:
      return "options: sinks + recent exceed the budget; forced keys count inside it, so raise k "
             "or k_min, or force fewer keys";
    case status::invalid_scale:
      return "options.scale: must be > 0 and at most 2^60, so that scaled scores stay finite; "
             "1 / sqrt(qk_dim) is usual";
    case status::invalid_soft_cap: return "options.soft_cap: must be 0 (off) or in 2^-60..2^60";
    case status::invalid_window:
      return "options: window must be >= 1 for a sliding window; sinks and recent must be >= 0";
    case status::invalid_selection:
      return "selection: a number of the policy is out of range; bucketed takes recall_target in "
             "(0, 1), or buckets in 1..2^24 and per_bucket in 1..64; synthetic_fidelity takes "
             "precision in [0, 1]; a saved selection has the form that its call takes";
    case status::invalid_rotation:
      return "options.rotate: a Hadamard rotation needs an index_dim that is a power of two";
    case status::metric_unavailable:
      return "options.metrics: lse_visible, retained mass and visible entropy exist only with "
             "metrics::visible, and where the attention score of every visible key is computed "
             "(selection by q.k)";
    case status::threshold_unavailable:
      return "tensors: an approximate selection has no threshold; ask for none and give none, or "
             "select by exact_radix";
    case status::invalid_page_size:
      return "shape.page_size: a paged kv source needs page_size >= 1";
    case status::invalid_block_table:
      return "tensors.kv: a block_table needs pages >= 1, and with more than one sequence a "
             "table_stride that is not 0, or table_begin";
    case status::invalid_shard:
      return "options.shard: needs block >= 1, count >= 1 and 0 <= index < count, and no ragged "
             "keys";
    case status::invalid_mask:
      return "tensors.mask: draft_keys is in 0..64, and 0 where options.shard has several parts";
    case status::null_pointer:
      return "tensors: a required pointer is null; see the list of the call";
    case status::misaligned:
      return "tensors: bases and outer strides of q, k, v and o must be multiples of 16 bytes, "
             "pages of index_layout::page_132 on CUDA of 4, other bases of the element's size";
    case status::invalid_stride:
      return "tensors: a stride of an extent above 1 was never set, rows of an output lie over "
             "one another, or a row is not contiguous; give every stride (an input may repeat "
             "rows with a stride of 0)";
    case status::wrong_extent:
      return "tensors: a view's extents do not fit the plan; heads and rows must be equal, batch "
             "and tokens at least as many";
    case status::wrong_element_type:
      return "tensors: the elements are of another type than this tensor holds; choose the "
             "precision that they have";
    case status::workspace_too_small:
      return "workspace: smaller than plan.scratch_bytes / plan.state_bytes, or not aligned to "
             "64 bytes";
    case status::plan_mismatch:
      return "plan: made by another instance, or it carries an error; use the plan of the same "
             "call and check plan.status first";
    case status::invalid_worker:
      return "run_phase: needs 0 <= worker < workers <= plan.schedule.workers and "
             "0 <= phase < plan.schedule.phases";
    case status::too_large:
      return "shape: a product of extents overflows; split the batch, or plan for fewer workers";
    case status::unsupported_precision:
      return "precision: this backend does not multiply this pair of query and key types; with "
             "layout::mla_656 on CUDA use fp8 or fp8_with<fp32>";
    case status::unsupported_device:
      return "device: needs compute capability 8.0 or newer and the shared memory of one block; "
             "fill cuda::device from cuda::query()";
    case status::unsupported_call:
      return "call: this backend has it not, or not so; gradients, the indexer's loss and "
             "thresholds given to attend_selected are the CPU's, gradients of fp32, fp16 and bf16 "
             "in layout::plain over contiguous or ragged keys, and thresholds name sets of q.k "
             "scores that are not joined by softmax_sum";
    case status::launch_failed:
      return "cuda: the runtime refused the launch; its own last error says why";
    case status::data_error:
      return "data: a length, page, position, budget or border in memory broke a rule and was "
             "excluded; the rest is computed, and the error word says which rule";
  }
  return "unknown status";
}

/// Bits of the optional error word: device data that broke a rule was excluded, never read.
enum class data_error : std::uint32_t {
  none = 0,
  length_out_of_bounds = 1,
  page_out_of_range = 2,
  position_out_of_range = 4,
  budget_out_of_range = 8,
  query_range_invalid = 16
};

/// What one bit of an error word means. Static storage.
[[nodiscard]] TKA_INLINE constexpr char const* to_string(data_error bit) noexcept {
  switch (bit) {
    case data_error::none: return "no rule was broken";
    case data_error::length_out_of_bounds:
      return "a length or border of keys is outside 0..kv_len; its rows are empty";
    case data_error::page_out_of_range:
      return "a page number is outside 0..pages - 1; its tokens are invisible";
    case data_error::position_out_of_range:
      return "a position is outside its sequence; it is skipped";
    case data_error::budget_out_of_range:
      return "a budget or count is negative or above what was planned; it is clamped";
    case data_error::query_range_invalid:
      return "borders of query tokens fall or span too much; the sequence is skipped";
  }
  return "unknown bits";
}

#if defined(__cpp_exceptions)
/// Thrown by `throw_if`, and by nothing else in the library.
class error : public std::runtime_error {
 public:
  explicit error(status s) : std::runtime_error(to_string(s)), status_(s) {}
  [[nodiscard]] status code() const noexcept { return status_; }

 private:
  status status_;
};

/// For callers who want exceptions: throws `error` unless `s` is `ok`.
__attribute__((always_inline)) inline void throw_if(status s) {
  if (s != status::ok) throw error(s);
}
#endif

}  // namespace tka::inline TKA_ABI
