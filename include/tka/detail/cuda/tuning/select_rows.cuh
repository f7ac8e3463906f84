// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Speed of selecting from rows of scores: which blocks share a row, and what they hold of it.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/device.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Keys of a row that one block keeps in registers, at most.
inline constexpr int register_keys = 8192;
/// Blocks of a cluster, at most: more than eight must be asked for.
inline constexpr int max_cluster = 16;
inline constexpr int portable_cluster = 8;
/// Keys of one bin that are ranked one by one, at most.
inline constexpr int max_candidates = 128;
/// Keys for which a block has a bit each, at most.
inline constexpr int max_slice = 1 << 20;

struct select_rows_tuning {
  std::int16_t threads = 0;     ///< of a block: 512 or 1024
  std::int16_t cluster = 0;     ///< blocks that share a row
  std::int16_t blocks = 0;      ///< on a multiprocessor
  std::int16_t candidates = 0;  ///< of one bin that are ranked, at most
  std::int32_t list_keys = 0;   ///< keys not below the gate that a block holds; 0: no room
  std::int32_t short_keys = 0;  ///< of a row that one block keeps in registers, at most
  friend constexpr bool operator==(select_rows_tuning const&, select_rows_tuning const&) = default;
};

/// Keys of a block's slice of a row, at most; rows may begin anywhere.
[[nodiscard]] constexpr std::int64_t slice_keys(std::int64_t keys, int blocks) noexcept {
  return 4 * ceil_div(ceil_div(keys + 3, 4), blocks);
}

/// For this many rows of at most `keys` keys, of which at most `kept` are kept. Each row is read
/// once, so rows get as many blocks as run at one time; four thousand keys a block are worth the
/// waits of a cluster. Where there are more rows than multiprocessors, the end of one block's row
/// hides the reads of another's (measured on an H200).
[[nodiscard]] constexpr select_rows_tuning tune_select_rows(cuda_device const& device,
                                                            std::int64_t rows, std::int64_t keys,
                                                            std::int64_t kept) noexcept {
  constexpr int fixed_bytes = 24 * 1024;  // beside lists and bits
  select_rows_tuning t{.threads = 1024,
                       .cluster = 1,
                       .blocks = 1,
                       .candidates = max_candidates,
                       .short_keys = register_keys};
  // Clusters lie in parts of the device, so large ones leave more of it unused.
  auto const fits = [&](int size) {
    std::int64_t const spare = size > portable_cluster ? 1 : 0;
    return (rows + spare) * size <= device.multiprocessors && keys >= std::int64_t{4096} * size;
  };
  if (keys > register_keys) {
    while (t.cluster < max_cluster && fits(2 * t.cluster)) t.cluster *= 2;
    while (t.cluster < max_cluster && keys > std::int64_t{max_slice} * t.cluster) t.cluster *= 2;
  }
  std::int64_t const slice = smaller<std::int64_t>(slice_keys(keys, t.cluster), max_slice);
  if (rows > device.multiprocessors && slice <= max_slice / 4) {
    t.threads = 512;
    t.blocks = 2;
  }
  // Of keys in random order the gate lets about three times `kept` pass.
  std::int64_t const wanted =
      smaller(slice, larger<std::int64_t>(8192, smaller<std::int64_t>(4 * kept, 16384)));
  std::int64_t const bits = smaller<std::int64_t>(2 * slice / 8, max_slice / 8);
  std::int64_t const room = smaller<std::int64_t>(
      device.shared_bytes_per_block, device.shared_bytes_per_multiprocessor / t.blocks - 1024);
  t.list_keys = static_cast<std::int32_t>(
      larger<std::int64_t>(0, smaller(wanted, (room - fixed_bytes - bits) / 8)));
  return t;
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
