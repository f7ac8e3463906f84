// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Says how far the evaluation has come.

#pragma once

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <mutex>

namespace language_model {

/// One line that is written over on a terminal, and every tenth part a line elsewhere.
class progress {
 public:
  progress(std::size_t prefixes, std::size_t passes) : prefixes_(prefixes), passes_(passes) {
    print(true);
  }

  void prefix_read() {
    std::lock_guard const lock{mutex_};
    ++prefixes_done_;
    print(true);
  }
  void decoded() {
    std::lock_guard const lock{mutex_};
    ++passes_done_;
    print(10 * passes_done_ / passes_ != 10 * (passes_done_ - 1) / passes_);
  }

 private:
  void print(bool always) const {
    bool const terminal = isatty(fileno(stdout)) != 0;
    if (!always && !terminal) return;
    double const seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    bool const last = passes_done_ == passes_;
    std::printf("%s%4.0f s: %zu of %zu windows read densely, %zu of %zu decodings done%s",
                terminal ? "\r" : "", seconds, prefixes_done_, prefixes_, passes_done_, passes_,
                terminal && !last ? "" : "\n");
    std::fflush(stdout);
  }

  std::mutex mutex_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::size_t prefixes_;
  std::size_t passes_;
  std::size_t prefixes_done_ = 0;
  std::size_t passes_done_ = 0;
};

}  // namespace language_model
