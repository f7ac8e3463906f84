// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CUDA engine: plans a call, checks it and has its kernels launched.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/dispatch/launches.cuh>
#include <tka/detail/cuda/kernel/attention_kernel.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/unit.cuh>
#include <tka/detail/cuda/warp/widen.cuh>
#include <tka/detail/shared/check.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>
#include <tka/workspace.hpp>

#include <cuda_runtime_api.h>

#include <cstdint>
#include <limits>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// Plans and launches one kind of call; stateless.
template <class Problem>
class engine {
  using precision = typename Problem::precision;
  static constexpr bool mla = std::is_same_v<typename Problem::cache_layout, layout::mla_656>;
  using attend_type = product_type_t<typename precision::query_type, typename precision::key_type>;
  /// Query and key types that are multiplied, and values of the same product type.
  static constexpr bool multiplies =
      !std::is_void_v<attend_type> &&
      !std::is_void_v<
          product_type_t<typename scored<Problem>::query, typename scored<Problem>::key>> &&
      std::is_same_v<product_type_t<attend_type, typename precision::value_type>, attend_type> &&
      !(mla && std::is_same_v<attend_type, float16_t>);

 public:
  template <class Device>
  [[nodiscard]] static plan make_plan(shape const& s, options const& o,
                                      Device const& device) noexcept {
    plan p{};
    p.shape = s;
    p.options = o;
    p.instance = instance_of<Problem>();
    p.status = check(s, o);
    if (p.status != status::ok) return p;
    if constexpr (multiplies) {
      p.capacity = capacity_of<Problem>(o, s);
      if (p.capacity > most_capacity) {
        p.status = status::too_large;
        return p;
      }
      p.scope_heads = Problem::scope_heads(s);
      if (std::is_same_v<typename Problem::selector, bucketed> && o.bucketing.buckets == 0) {
        p.bucket_rule = choose_bucket_rule(double{o.bucketing.recall_target});
      }
      p.schedule.phases = 1;
      p.schedule.query_tile = most_rows;
      p.schedule.stages = most_stages;
      auto const blocks = [&] {
        int const bytes = shares_bytes + shared_bytes<Problem>(p.schedule.stages);
        if (bytes > device.shared_bytes_per_block) return 0;
        return smaller(blocks_per_multiprocessor,
                       device.shared_bytes_per_multiprocessor /
                           static_cast<int>(round_up(bytes + reserved_shared_bytes, shared_grain)));
      };
      if (blocks() == 0) p.schedule.stages = least_stages;
      p.schedule.workers = blocks() * device.multiprocessors;
      p.multiprocessors = device.multiprocessors;
      p.select_blocks = most_select_blocks + 1;
      do {
        --p.select_blocks;
        p.select_bytes = smaller(
            device.shared_bytes_per_block,
            device.shared_bytes_per_multiprocessor / p.select_blocks / shared_grain * shared_grain -
                reserved_shared_bytes);
      } while (p.select_bytes < least_select_bytes<Problem> && p.select_blocks > 1);
      if (device.compute_capability < 80 || p.schedule.workers == 0 ||
          p.select_bytes < least_select_bytes<Problem>) {
        p.status = status::unsupported_device;
        return p;
      }
      p.scratch_bytes = scratch_bytes(p);
    }
    return p;
  }

  /// The same plan with another number of blocks, tokens a unit or slices in flight.
  [[nodiscard]] static plan reschedule(plan p, schedule const& wanted) noexcept {
    std::int32_t const workers = larger(1, smaller(wanted.workers, p.schedule.workers));
    p.multiprocessors = larger(1, p.multiprocessors * workers / larger(1, p.schedule.workers));
    p.schedule.workers = workers;
    p.schedule.query_tile = larger(1, smaller(wanted.query_tile, most_rows));
    if (wanted.stages == least_stages) p.schedule.stages = least_stages;
    if constexpr (multiplies) p.scratch_bytes = scratch_bytes(p);
    return p;
  }

  [[nodiscard]] static status check_call(plan const& p, arguments<Problem> const& a,
                                         workspace const& w) noexcept {
    if constexpr (Problem::by_index) {
      using selection = typename Problem::selection;
      // Pages of 132 bytes a token are copied by words.
      if (std::is_same_v<typename selection::cache_layout, index_layout::page_132> &&
          (reinterpret_cast<std::uintptr_t>(a.index.k.data) % 4 != 0 || a.index.k.batch % 4 != 0)) {
        return status::misaligned;
      }
    }
    return check_run<Problem>(p, a, w);
  }

  [[nodiscard]] static status launch(plan const& p, arguments<Problem> const& a, workspace const& w,
                                     cudaStream_t stream) noexcept {
    if (p.shape.q_len == 0) return status::ok;
    if constexpr (multiplies) return launches<Problem>{p, a, w, stream}.run();
    return status::unsupported_precision;
  }

 private:
  static constexpr int reserved_shared_bytes = 1024;  // that the system takes of each block's
  static constexpr int shared_grain = 128;            // in which a block is given them
  /// The end of a list's last part is counted in 32 bits.
  static constexpr std::int32_t most_capacity =
      std::numeric_limits<std::int32_t>::max() - part_keys;

  [[nodiscard]] static status check(shape const& s, options const& o) noexcept {
    if (status const st = check_shape<Problem>(s); st != status::ok) return st;
    auto const served = [](std::int32_t dim, std::int32_t most) {
      return dim >= 16 && dim <= most && dim % 16 == 0;
    };
    if (!served(s.qk_dim, most_qk_dim) || (Problem::attends && !served(s.v_dim, most_v_dim)) ||
        (Problem::by_index && !served(s.index_dim, most_qk_dim))) {
      return status::unsupported_head_dim;
    }
    if (status const st = check_options<Problem>(o); st != status::ok) return st;
    return multiplies ? status::ok : status::unsupported_precision;
  }

  /// As much as all rows could need at once, but at most the limit, and at least what the largest
  /// unit of one token needs.
  [[nodiscard]] static std::size_t scratch_bytes(plan const& p) noexcept {
    double const all = most_words_of_rows<Problem>(p);
    std::int64_t const before = scratch_layout_of<Problem>(p).rows;
    std::int64_t const most =
        p.options.scratch_limit / workspace_alignment * workspace_alignment / 4;
    auto const limit = static_cast<double>(most) - static_cast<double>(before);
    auto words = static_cast<std::int64_t>(all < limit ? all : limit);
    words = larger(words, words_of_smallest_unit<Problem>(p) + 32);
    return static_cast<std::size_t>(round_up((before + words) * 4, workspace_alignment));
  }
};

}  // namespace tka::inline TKA_ABI::detail::cuda
