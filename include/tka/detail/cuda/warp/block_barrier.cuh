// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Barriers among some of a block's threads, and what goes with roles of warps: for compute
/// capability 9.0a.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/warp/shared_memory.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// A barrier in shared memory: those who arrive need not be those who wait.
struct arrival_barrier {
  std::uint64_t word;

  /// One thread; then `publish_barriers` and a barrier of the block.
  __device__ void open(int arrivals) noexcept {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&word)),
                 "r"(arrivals)
                 : "memory");
  }
  __device__ void arrive() noexcept {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&word))
                 : "memory");
  }
  /// Its phase of this parity is over.
  [[nodiscard]] __device__ bool passed(int parity) noexcept {
    std::uint32_t done = 0;
    asm volatile(
        "{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; "
        "selp.u32 %0, 1, 0, p;}"
        : "=r"(done)
        : "r"(shared_address(&word)), "r"(parity)
        : "memory");
    return done != 0;
  }
  __device__ void wait(int parity) noexcept {
    while (!passed(parity)) {
    }
  }
};
__device__ inline void publish_barriers() noexcept {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// Waits until `threads` threads are at barrier `id`.
__device__ inline void meet(int id, int threads) noexcept {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
/// Counts at barrier `id` without waiting.
__device__ inline void pass(int id, int threads) noexcept {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/// What this thread wrote to shared memory may be read by products, after a barrier.
__device__ inline void show_to_products() noexcept {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// The registers of a warpgroup's threads; all of its warps.
template <int Registers>
__device__ inline void give_up_registers() noexcept {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
__device__ inline void take_registers() noexcept {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
