// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The CPU backend: Eigen arithmetic, the host's threads.

#pragma once

#include <tka/backend/thread_team.hpp>
#include <tka/config.hpp>
#include <tka/detail/cpu/engine.hpp>
#include <tka/detail/cpu/run_rows.hpp>

#include <thread>
#include <utility>

namespace tka::inline TKA_ABI {

/// Runs on the processor that calls. Scores are fp32 chains over head_dim, eight lanes (sixteen
/// with AVX-512), the same for every route to a score; bits do not depend on the number of
/// workers. Head sizes: multiples of 16 from 16 to 1024.
struct cpu {
  using is_tka_backend = void;

  /// What planning needs to know of the machine.
  struct device {
    int threads = 1;  ///< workers that may run at once
  };

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

  /// Runs all phases on an executor (see `thread_team`); returns when they are done.
  template <class Problem, class Executor>
  [[nodiscard]] static status run(plan const& p, detail::arguments<Problem> const& a,
                                  workspace const& w, Executor&& executor) noexcept {
    for (std::int32_t phase = 0; phase < p.schedule.phases; ++phase) {
      executor(p.schedule.workers, [&, phase](int worker) noexcept {
        engine<Problem>::run_phase(p, a, w, phase, worker, p.schedule.workers);
      });
    }
    return status::ok;
  }

  /// Runs `append` and `merge`, on the calling thread.
  template <class Work>
  [[nodiscard]] static status run_rows(Work const& work) noexcept {
    detail::cpu::run_rows(work);
    return status::ok;
  }
};

}  // namespace tka::inline TKA_ABI
