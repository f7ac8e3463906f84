// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The floating-point mode of the calling thread while a call runs on it.

#pragma once

#include <tka/config.hpp>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <cstdint>
#endif

// Parts of -ffast-math that config.hpp cannot see by the macros that it asks for.
#if defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "tka: sums have one order and -0 is a zero: compile without -fassociative-math and the like"
#endif

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Round to nearest, subnormal numbers kept: whatever the host has set for its threads (engines
/// flush subnormals to zero), scores do not tie by it and bits stay. Restores the host's mode.
class float_mode {
 public:
  float_mode(float_mode const&) = delete;
  float_mode& operator=(float_mode const&) = delete;
#if defined(__SSE2__)
  float_mode() noexcept : before_(_mm_getcsr()) {
    if (before_ != plain) _mm_setcsr(plain);
  }
  ~float_mode() {
    if (before_ != plain) _mm_setcsr(before_);
  }

 private:
  static constexpr unsigned plain = 0x1f80;  // all exceptions masked, and no flag raised
  unsigned before_;
#elif defined(__aarch64__)
  float_mode() noexcept {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    if (before_ != 0) asm volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}));
  }
  ~float_mode() {
    if (before_ != 0) asm volatile("msr fpcr, %0" : : "r"(before_));
  }

 private:
  std::uint64_t before_ = 0;
#else
  float_mode() noexcept {}
  ~float_mode() {}
#endif
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
