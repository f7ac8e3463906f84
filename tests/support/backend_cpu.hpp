// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Runs the calls of the tests on the CPU.

#pragma once

#include <tka/backend/cpu.hpp>
#include <tka/plan.hpp>
#include <tka/status.hpp>
#include <tka/workspace.hpp>

#include <support/buffers.hpp>

#include <cstddef>
#include <stdexcept>

namespace support {

using backend = tka::cpu;
inline constexpr bool on_cuda = false;

/// What the weights of values are rounded to before they multiply.
template <class Precision>
using weight_type = float;

inline tka::cpu::device device_of(int threads = 1, bool = false) { return {threads}; }

/// Runs `call` with scratch of exactly the planned size, full of `poison`; `stray` is set where a
/// byte behind it was written.
template <class Call>
tka::status run_on_backend(Call const& call, tka::plan const& p, typename Call::tensors const& t,
                           unsigned char poison, bool& stray) {
  std::size_t const guard = 64;
  buffer<unsigned char> scratch(p.scratch_bytes + guard, poison);
  tka::workspace const w{.scratch = scratch.data(), .scratch_bytes = p.scratch_bytes};
  tka::status const s = call(p, t, w);
  for (std::size_t i = 0; i < guard; ++i) {
    stray = stray || scratch.data()[p.scratch_bytes + i] != poison;
  }
  return s;
}

}  // namespace support
