// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What planning a call yields: sizes, schedule, and the problem it was made for.

#pragma once

#include <tka/config.hpp>
#include <tka/options.hpp>
#include <tka/shape.hpp>
#include <tka/status.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tka::inline TKA_ABI {

/// The name of a route: how a plan carries a call out. Which there are its backend says.
class route_name {
 public:
  constexpr route_name() noexcept = default;
  /// Cut after 15 characters.
  TKA_INLINE constexpr route_name(char const* text) noexcept {
    for (int i = 0; i < 15 && text[i] != '\0'; ++i) text_[i] = text[i];
  }
  [[nodiscard]] TKA_INLINE constexpr char const* c_str() const noexcept { return text_; }
  [[nodiscard]] TKA_INLINE constexpr bool empty() const noexcept { return text_[0] == '\0'; }
  friend constexpr bool operator==(route_name const&, route_name const&) = default;

 private:
  char text_[16] = {};
};

/// How the work of one call is cut. Changes speed, never a result; tests force absurd ones.
struct schedule {
  std::int32_t phases = 0;      ///< run one after the other
  std::int32_t workers = 1;     ///< that may run a phase at once; on CUDA blocks of one kernel
  std::int32_t query_tile = 1;  ///< query tokens scored together
  std::int32_t splits = 1;      ///< parts of a row's keys scanned by different workers
  route_name route{};           ///< of a plan; where one is wanted, the name of one that serves it
  friend constexpr bool operator==(schedule const&, schedule const&) = default;
};

/// Numbers of a plan that only their owner reads: bytes to everybody else.
template <std::size_t Bytes>
class owned_numbers {
 public:
  template <class T>
  TKA_INLINE void put(T const& numbers) noexcept {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= Bytes);
    std::memcpy(bytes_, &numbers, sizeof(T));
  }
  /// What was put, as the type that it had then.
  template <class T>
  [[nodiscard]] TKA_INLINE T get() const noexcept {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= Bytes);
    T numbers{};
    std::memcpy(&numbers, bytes_, sizeof(T));
    return numbers;
  }
  friend constexpr bool operator==(owned_numbers const&, owned_numbers const&) = default;

 private:
  alignas(8) unsigned char bytes_[Bytes] = {};
};

/// A plan is a value: pure, trivially copyable, good for every call with these bounds.
struct plan {
  tka::status status = tka::status::plan_mismatch;  ///< anything but `ok`: do not run it
  tka::shape shape{};
  tka::options options{};
  tka::schedule schedule{};
  std::int32_t capacity = 0;     ///< keys that a row keeps at most: the extent of `positions`
  std::int32_t scope_heads = 0;  ///< selections of one query token
  std::size_t scratch_bytes = 0;
  std::size_t state_bytes = 0;
  std::uint64_t instance = 0;     ///< which call made it
  owned_numbers<32> selection{};  ///< the selector's `row_numbers`
  owned_numbers<64> backend{};    ///< the backend's
  friend constexpr bool operator==(plan const&, plan const&) = default;
};
static_assert(std::is_trivially_copyable_v<plan>);

}  // namespace tka::inline TKA_ABI
