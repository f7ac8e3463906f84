// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CPU backend: Eigen arithmetic, the host's threads.

#pragma once

#include <tka/backend/thread_team.hpp>
#include <tka/config.hpp>
#include <tka/detail/cpu/engine.hpp>
#include <tka/detail/cpu/run_rows.hpp>
#include <tka/detail/cpu/training/training_engine.hpp>
#include <tka/device.hpp>

#include <thread>
#include <utility>

namespace tka::inline TKA_ABI::detail {

/// What an executor is asked to call.
struct worker_probe {
  void operator()(int) const noexcept {}
};

}  // namespace tka::inline TKA_ABI::detail

namespace tka::inline TKA_ABI::inline TKA_BUILD {

/// Calls `function(worker)` once for each of 0 .. workers - 1, at once or not, and returns when all
/// are done: `cpu::serial`, a `thread_team`, or the host's own.
template <class E>
concept executor = requires(E&& e, detail::worker_probe const& function) { e(1, function); };

/// Runs on the processor that calls. Scores are fp32 chains over head_dim, eight lanes (sixteen
/// with AVX-512), the same for every route to a score; bits do not depend on the number of
/// workers. Head sizes: multiples of 16 from 16 to 1024.
struct cpu {
  using is_tka_backend = void;

  using device = cpu_device;

  /// This machine: all its hardware threads.
  [[nodiscard]] static device query() noexcept {
    unsigned const n = std::thread::hardware_concurrency();
    return {.threads = n > 0 ? static_cast<int>(n) : 1};
  }

  /// The executor that runs every worker on the calling thread, one after the other.
  struct serial {
    template <class Function>
    void operator()(int workers, Function const& function) const noexcept {
      for (int i = 0; i < workers; ++i) function(i);
    }
  };

  template <class Problem>
  using engine = detail::cpu::engine<Problem>;

  /// Runs all phases on an executor (see `thread_team`); returns when they are done. One that
  /// throws gives `launch_failed`: what was to be written is not all there then.
  template <class Problem, executor Executor>
  [[nodiscard]] static status run(plan const& p, detail::arguments<Problem> const& a,
                                  workspace const& w, Executor&& executor) noexcept {
    auto const run_all = [&] {
      for (std::int32_t phase = 0; phase < p.schedule.phases; ++phase) {
        executor(p.schedule.workers, [&, phase](int worker) noexcept {
          engine<Problem>::run_phase(p, a, w, phase, worker, p.schedule.workers);
        });
      }
    };
#if defined(__cpp_exceptions)
    try {
      run_all();
    } catch (...) {
      return status::launch_failed;
    }
#else
    run_all();
#endif
    return status::ok;
  }

  /// Runs `append` and `merge`, on the calling thread.
  template <class Work>
  [[nodiscard]] static status run_rows(Work const& work) noexcept {
    detail::cpu::run_rows(work);
    return status::ok;
  }
};

}  // namespace tka::inline TKA_ABI::inline TKA_BUILD
