// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What planning a call yields: sizes, schedule, and the problem it was made for.

#pragma once

#include <tka/config.hpp>
#include <tka/options.hpp>
#include <tka/select/bucket_recall.hpp>
#include <tka/shape.hpp>
#include <tka/status.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI {

/// How the work of one call is cut. Changes speed, never a result; tests force absurd ones.
struct schedule {
  std::int32_t phases = 0;      ///< run one after the other
  std::int32_t workers = 1;     ///< that may run a phase at once; on CUDA blocks of all stages
  std::int32_t query_tile = 1;  ///< query tokens scored together
  std::int32_t splits = 1;      ///< parts of a row's keys scanned by different workers
  std::int32_t stages = 0;      ///< only CUDA: slices of keys in flight
  friend constexpr bool operator==(schedule const&, schedule const&) = default;
};

/// A plan is a value: pure, trivially copyable, good for every call with these bounds.
struct plan {
  tka::status status = tka::status::plan_mismatch;  ///< anything but `ok`: do not run it
  tka::shape shape{};
  tka::options options{};
  tka::schedule schedule{};
  tka::bucket_rule bucket_rule{};  ///< only `bucketed` with a recall target
  std::int32_t capacity = 0;       ///< keys that a row keeps at most: the extent of `positions`
  std::int32_t scope_heads = 0;    ///< selections of one query token
  std::size_t scratch_bytes = 0;
  std::size_t state_bytes = 0;
  std::int32_t multiprocessors = 0;  ///< only CUDA: that the call is cut for
  std::int32_t select_bytes = 0;     ///< only CUDA: shared memory of a block that selects
  std::int32_t select_blocks = 0;    ///< only CUDA: such blocks on a multiprocessor
  std::uint64_t instance = 0;        ///< which call made it
};
static_assert(std::is_trivially_copyable_v<plan>);

}  // namespace tka::inline TKA_ABI
