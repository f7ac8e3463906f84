// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The one error type of the library: what public calls return, and what each value means.

#pragma once

#include <tka/config.hpp>

#include <cstdint>
#include <stdexcept>

namespace tka::inline TKA_ABI {

/// What a public call found wrong. Anything but `ok` and `launch_failed` means that no byte was
/// written.
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
  invalid_bucketing,
  metric_unavailable,
  invalid_page_size,
  invalid_shard,
  null_pointer,
  misaligned,
  workspace_too_small,
  plan_mismatch,
  invalid_worker,
  too_large,
  unsupported_precision,
  unsupported_device,
  launch_failed
};

/// Says what is wrong and what would be right, in one sentence. Static storage.
[[nodiscard]] constexpr char const* to_string(status s) noexcept {
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
      return "options.budget: give top_k(k) with k >= 0, or ratio(num, den, k_min) with "
             "0 <= num <= den, den > 0 and k_min >= 0";
    case status::forced_exceeds_budget:
      return "options: sinks + recent exceed the budget; forced keys count inside it, so raise k "
             "or k_min, or force fewer keys";
    case status::invalid_scale:
      return "options.scale: must be finite and > 0; 1 / sqrt(qk_dim) is usual";
    case status::invalid_soft_cap:
      return "options.soft_cap: must be finite and >= 0; 0 turns it off";
    case status::invalid_window:
      return "options: window must be >= 1 for a sliding window; sinks and recent must be >= 0";
    case status::invalid_bucketing:
      return "options.bucketing: give recall_target in (0, 1), or buckets >= 1 and per_bucket in "
             "1..64";
    case status::metric_unavailable:
      return "options.metrics: lse_visible, retained mass and visible entropy exist only where "
             "the attention score of every visible key is computed (selection by q.k)";
    case status::invalid_page_size:
      return "shape.page_size: a paged kv source needs page_size >= 1";
    case status::invalid_shard:
      return "options.shard: needs block >= 1, count >= 1 and 0 <= index < count";
    case status::null_pointer:
      return "tensors: a required pointer is null, or an output is asked for that the plan does "
             "not make; see the list of the call";
    case status::misaligned:
      return "tensors: bases and outer strides of q, k, v and o must be multiples of 16 bytes";
    case status::workspace_too_small:
      return "workspace: smaller than plan.scratch_bytes / plan.state_bytes, or not aligned to "
             "64 bytes";
    case status::plan_mismatch:
      return "plan: made by another instance, or it carries an error; use the plan of the same "
             "sparse_attention<> and check plan.status first";
    case status::invalid_worker:
      return "run_phase: needs 0 <= worker < workers <= plan.workers and 0 <= phase < plan.phases";
    case status::too_large: return "shape: a product of extents overflows; split the batch";
    case status::unsupported_precision:
      return "precision: this backend does not multiply this pair of query and key types; with "
             "layout::mla_656 on CUDA use fp8 or fp8_with<fp32>";
    case status::unsupported_device:
      return "device: needs compute capability 8.0 or newer and the shared memory of one block; "
             "fill cuda::device from cuda::query()";
    case status::launch_failed:
      return "cuda: the runtime refused the launch; its own last error says why";
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

/// Thrown by `throw_if`, and by nothing else in the library.
class error : public std::runtime_error {
 public:
  explicit error(status s) : std::runtime_error(to_string(s)), status_(s) {}
  [[nodiscard]] status code() const noexcept { return status_; }

 private:
  status status_;
};

/// For callers who want exceptions: throws `error` unless `s` is `ok`.
inline void throw_if(status s) {
  if (s != status::ok) throw error(s);
}

}  // namespace tka::inline TKA_ABI
