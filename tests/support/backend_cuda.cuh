// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Runs the calls of the tests on the current GPU: every buffer in an allocation of its own, on a
/// stream that is not the default one.

#pragma once

#include <tka/attend_selected.hpp>
#include <tka/backend/cuda.cuh>
#include <tka/plan.hpp>
#include <tka/select_top_k.hpp>
#include <tka/sparse_attention.hpp>
#include <tka/status.hpp>
#include <tka/workspace.hpp>

#include <support/buffers.hpp>
#include <support/device_mirror.cuh>

#include <algorithm>
#include <stdexcept>
#include <type_traits>

namespace support {

using backend = tka::cuda;
inline constexpr bool on_cuda = true;

/// What the weights of values are rounded to before they multiply: tensor cores take the type of
/// the queries.
template <class Precision>
using weight_type = typename Precision::query_type;

/// The current device, or one like it with the shared memory of compute capability 8.6.
inline tka::cuda::device device_of(int = 1, bool small_blocks = false) {
  static tka::cuda::device const device = tka::cuda::query();
  tka::cuda::device d = device;
  if (small_blocks) {
    d.shared_bytes_per_block = std::min(d.shared_bytes_per_block, 99 * 1024);
    d.shared_bytes_per_multiprocessor = std::min(d.shared_bytes_per_multiprocessor, 100 * 1024);
  }
  return d;
}

template <class Selection, class Precision, class Form>
using attend_call =
    std::remove_const_t<decltype(tka::sparse_attention<Selection, Precision, tka::cuda, Form>)>;
template <class Selection, class Precision, class Form>
using select_call =
    std::remove_const_t<decltype(tka::select_top_k<Selection, Precision, tka::cuda, Form>)>;
template <class Precision, class Form>
using attend_lists_call =
    std::remove_const_t<decltype(tka::attend_selected<Precision, tka::cuda, Form>)>;

/// What every launch of the tests goes through, and so what is compiled once: instances.cuh.
template <class Call>
tka::status enqueue(Call const& call, tka::plan const& p, typename Call::tensors const& t,
                    tka::workspace const& w, cudaStream_t stream) {
  return call(p, t, w, stream);
}

/// Scratch of the planned size, full of `poison`, and a state that was initialised.
class device_workspace {
 public:
  device_workspace(tka::plan const& p, unsigned char poison)
      : scratch_(p.scratch_bytes), state_(p.state_bytes) {
    scratch_.fill(poison);
    state_.fill(poison);
  }
  tka::workspace view() const {
    return {.scratch = scratch_.data(),
            .scratch_bytes = scratch_.bytes(),
            .state = state_.data(),
            .state_bytes = state_.bytes()};
  }
  bool intact() const { return scratch_.intact() && state_.intact(); }

 private:
  device_memory scratch_;
  device_memory state_;
};

/// Runs `call` and waits for it; `stray` is set where a byte beside the tensors was written.
template <class Call>
tka::status run_on_backend(Call const& call, tka::plan const& p, typename Call::tensors const& t,
                           unsigned char poison, bool& stray) {
  device_mirror mirror;
  auto const there = mirror.to_device(t);
  device_workspace const space(p, poison);
  tka::status s = call.initialize(p, space.view());
  if (s == tka::status::ok) s = enqueue(call, p, there, space.view(), test_stream());
  check_cuda(cudaStreamSynchronize(test_stream()), "the call");
  check_cuda(cudaGetLastError(), "the call");
  mirror.download();
  stray = stray || !mirror.intact() || !space.intact();
  return s;
}

}  // namespace support
