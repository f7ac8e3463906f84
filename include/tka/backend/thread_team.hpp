// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Threads that wait for work, for hosts that bring none of their own.

#pragma once

#include <tka/config.hpp>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace tka::inline TKA_ABI {

/// An executor: `team(workers, fn)` runs fn(0) .. fn(workers - 1) at once and returns when all are
/// done. The threads start with the team and wait between calls; a call allocates nothing. One
/// call at a time.
class thread_team {
 public:
  /// `threads` >= 1 in all, the calling one included. Throws what std::thread throws.
  explicit thread_team(int threads) {
    for (int i = 1; i < threads; ++i) {
      threads_.emplace_back([this, i] { serve(i); });
    }
  }
  thread_team(thread_team const&) = delete;
  thread_team& operator=(thread_team const&) = delete;
  ~thread_team() {
    {
      std::lock_guard const lock{mutex_};
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : threads_) t.join();
  }

  [[nodiscard]] int size() const noexcept { return static_cast<int>(threads_.size()) + 1; }

  template <class Function>
  void operator()(int workers, Function const& function) noexcept {
    {
      std::lock_guard const lock{mutex_};
      context_ = &function;
      invoke_ = [](void const* f, int worker) { (*static_cast<Function const*>(f))(worker); };
      workers_ = workers;
      busy_ = size() - 1;
      ++round_;
    }
    wake_.notify_all();
    work(0);
    std::unique_lock lock{mutex_};
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void serve(int thread) noexcept {
    std::uint64_t seen = 0;
    for (;;) {
      {
        std::unique_lock lock{mutex_};
        wake_.wait(lock, [&] { return stopping_ || round_ != seen; });
        if (stopping_) return;
        seen = round_;
      }
      work(thread);
      std::lock_guard const lock{mutex_};
      if (--busy_ == 0) done_.notify_one();
    }
  }
  void work(int thread) noexcept {
    for (int worker = thread; worker < workers_; worker += size()) invoke_(context_, worker);
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::vector<std::thread> threads_;
  void const* context_ = nullptr;
  void (*invoke_)(void const*, int) = nullptr;
  int workers_ = 0;
  int busy_ = 0;
  std::uint64_t round_ = 0;
  bool stopping_ = false;
};

}  // namespace tka::inline TKA_ABI
