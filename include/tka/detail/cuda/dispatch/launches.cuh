// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The launches of one run, the same sequence whatever the device's data: they can be captured.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/kernel/attention_kernel.cuh>
#include <tka/detail/cuda/kernel/launch_order.cuh>
#include <tka/detail/cuda/kernel/stage_kernels.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/unit.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>
#include <tka/select/bucketed.hpp>
#include <tka/status.hpp>
#include <tka/workspace.hpp>

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// What cudaFuncSetAttribute does; of all calls of the runtime here only that one clears an error
/// that the host has pending.
[[nodiscard]] inline bool set_most_shared(void const* function, int bytes, int device) noexcept {
  cudaKernel_t kernel{};
  return cudaGetKernel(&kernel, function) == cudaSuccess &&
         cudaKernelSetAttributeForDevice(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes,
                                         device) == cudaSuccess;
}

template <class Problem>
class launches {
 public:
  launches(plan const& p, arguments<Problem> const& a, workspace const& w,
           cudaStream_t stream) noexcept
      : l_{p,
           a,
           geometry<Problem>{p},
           scratch_layout_of<Problem>(p),
           static_cast<std::uint32_t*>(w.scratch),
           static_cast<std::int64_t>(p.scratch_bytes / 4),
           p.schedule.stages,
           blocks_of(p, resident_scan_blocks(p)),
           blocks_of(p, p.select_blocks),
           a.positions || a.scores || a.count || a.threshold_score || a.threshold_position,
           false},
        stream_(stream) {}

  /// The stages of the first wave as kernels of their own, then one kernel for all other waves,
  /// which usually finds none. What needs more stages is one kernel from the start.
  [[nodiscard]] status run() noexcept {
    bool done = true;
    if constexpr (has_stages) {
      if (!keeps_raw<Problem>(l_.p.options)) {
        done = run_stages();
        l_.first_wave_done = true;
        if (one_wave()) return done ? status::ok : status::launch_failed;
      }
    }
    done =
        done && launch(attention_kernel<Problem>, shares_bytes + shared_bytes<Problem>(l_.stages),
                       l_.p.schedule.workers, grid::cooperative);
    return done ? status::ok : status::launch_failed;
  }

 private:
  enum class grid { independent, cooperative };

  static constexpr bool has_stages = Problem::selects;
  static constexpr bool has_buckets = std::is_same_v<typename Problem::selector, bucketed>;

  /// Blocks of a stage.
  [[nodiscard]] static int blocks_of(plan const& p, int resident) noexcept {
    return p.multiprocessors * resident;
  }
  [[nodiscard]] int blocks(int resident) const noexcept { return blocks_of(l_.p, resident); }

  /// Whatever the lengths are, scratch holds all rows at once.
  [[nodiscard]] bool one_wave() const noexcept {
    return most_words_of_rows<Problem>(l_.p) <=
           static_cast<double>(l_.scratch_words - l_.layout.rows);
  }

  /// The first stage has a kernel for many rows and one for few, if its warps cannot work alone.
  enum class scoring { by_warps, few, many };
  [[nodiscard]] static scoring scoring_of(plan const& p) noexcept {
    if constexpr (scans<Problem>) return may_scan<Problem>(p) ? scoring::by_warps : scoring::many;
    return geometry<Problem>{p}.rows(p.shape.q_len) <= few_rows ? scoring::few : scoring::many;
  }
  [[nodiscard]] static int resident_scan_blocks(plan const& p) noexcept {
    switch (scoring_of(p)) {
      case scoring::by_warps: return warps_blocks;
      case scoring::few: return score_blocks<few_rows>;
      case scoring::many: break;
    }
    return score_blocks<most_rows>;
  }

  [[nodiscard]] bool score() noexcept {
    plan const& p = l_.p;
    int const stages = Problem::by_given ? 0 : l_.stages;
    scoring const way = scoring_of(p);
    if constexpr (scans<Problem>) {
      if (way == scoring::by_warps) {
        return launch(scan_kernel<Problem>, shares_bytes + scan<Problem>::bytes(p.shape.qk_dim),
                      l_.scan_blocks, grid::independent, warps_threads);
      }
    } else if (way == scoring::few) {
      return launch(score_kernel<Problem, few_rows>,
                    shares_bytes + score_memory<few_rows>::bytes(stages), l_.scan_blocks,
                    grid::independent);
    }
    return launch(score_kernel<Problem, most_rows>,
                  shares_bytes + score_memory<most_rows>::bytes(stages), l_.scan_blocks,
                  grid::independent);
  }

  [[nodiscard]] bool run_stages() noexcept {
    plan const& p = l_.p;
    bool done = launch(prepare_kernel<Problem>, 0, 1, grid::independent);
    done = done && score();
    if constexpr (has_buckets) {
      done = done &&
             launch(bucket_kernel<Problem>, shares_bytes, blocks(bucket_blocks), grid::independent);
    }
    done =
        done && launch(select_kernel<Problem>, p.select_bytes, l_.select_blocks, grid::cooperative);
    // What attends also finishes rows.
    if constexpr (sums_values_alone<Problem>) {
      return done && launch(sum_values_kernel<Problem>, shares_bytes + sum_values<Problem>::bytes,
                            blocks(warps_blocks), grid::independent, warps_threads);
    } else if constexpr (Problem::attends) {
      using agent = attend_agent<Problem>;
      return done && launch(attend_kernel<Problem>,
                            shares_bytes + agent::bytes(agent::stages_of(l_.stages)),
                            blocks(agent::resident_blocks), grid::independent);
    } else {
      return done &&
             launch(finish_kernel<Problem>, shares_bytes, blocks(finish_blocks), grid::independent);
    }
  }

  [[nodiscard]] bool launch(void (*kernel)(launch_arguments<Problem>), int bytes, int blocks,
                            grid kind, int threads = block_threads) noexcept {
    auto const* const function = reinterpret_cast<void const*>(kernel);
    cudaFuncAttributes now{};
    if (cudaFuncGetAttributes(&now, function) != cudaSuccess) return false;
    if (!allow_shared(function, now, bytes)) return false;
    cudaLaunchAttribute attributes[2] = {};
    unsigned count = 0;
    if (kind == grid::cooperative) {
      attributes[count].id = cudaLaunchAttributeCooperative;
      attributes[count++].val.cooperative = 1;
    }
    if (follows_ && now.ptxVersion >= ordered_launch_version) {
      attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
      attributes[count++].val.programmaticStreamSerializationAllowed = 1;
    }
    follows_ = true;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(blocks));
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = static_cast<std::size_t>(bytes);
    config.stream = stream_;
    config.attrs = attributes;
    config.numAttrs = count;
    void* arguments[] = {&l_};
    return cudaLaunchKernelExC(&config, function, arguments) == cudaSuccess;
  }

  /// More than 48 KB must be asked for, once a kernel and device. Asked is for all that a block can
  /// have, whatever this plan needs: a thread that runs another plan sets the same value, and can't
  /// lower what this launch relies on.
  [[nodiscard]] static bool allow_shared(void const* function, cudaFuncAttributes const& now,
                                         int bytes) noexcept {
    constexpr int without_asking = 48 * 1024;
    if (bytes <= without_asking || now.maxDynamicSharedSizeBytes >= bytes) return true;
    int device = 0;
    int most = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) ==
               cudaSuccess &&
           set_most_shared(function, most - static_cast<int>(now.sharedSizeBytes), device);
  }

  launch_arguments<Problem> l_;
  cudaStream_t stream_;
  bool follows_ = false;  ///< a kernel of this run
};

}  // namespace tka::inline TKA_ABI::detail::cuda
