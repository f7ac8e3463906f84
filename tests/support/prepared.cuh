// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Calls of sparse_attention whose tensors stand on the device: they can be enqueued any number of
/// times, on any stream, or captured.

#pragma once

#include <support/backend_cuda.cuh>
#include <support/compare.hpp>
#include <support/device_mirror.cuh>
#include <support/run.hpp>

#include <stdexcept>

namespace support {

template <class Selection, class Precision, class Form = tka::form<>>
class prepared {
 public:
  using one_run = attention_run<Selection, Precision, Form>;
  static constexpr auto call = one_run::call;

  /// `a` must live as long.
  prepared(arranged<Precision, Form> const& a, tka::options const& options,
           settings const& how = {})
      : run_(a, options, how),
        there_(mirror_.to_device(run_.host_tensors())),
        space_(run_.plan(), how.scratch) {
    check_cuda(cudaStreamSynchronize(test_stream()), "uploads");
    status_ = call.initialize(run_.plan(), space_.view());
  }

  tka::plan const& plan() const { return run_.plan(); }
  typename one_run::tensors& device_tensors() { return there_; }

  tka::status enqueue(cudaStream_t stream = test_stream()) {
    return enqueue_in(space_.view(), stream);
  }
  tka::status enqueue_in(tka::workspace const& w, cudaStream_t stream = test_stream()) {
    if (status_ == tka::status::ok) {
      status_ = support::enqueue(call, run_.plan(), there_, w, stream);
    }
    return status_;
  }

  /// Outputs are poison again, and the other buffers what the host holds now.
  void reset() {
    status_ = tka::status::ok;
    mirror_.upload();
    check_cuda(cudaStreamSynchronize(test_stream()), "uploads");
  }

  /// Waits for all that was enqueued and gathers what it left.
  results collect() {
    check_cuda(cudaDeviceSynchronize(), "the calls");
    mirror_.download();
    return run_.gather(status_, !mirror_.intact() || !space_.intact());
  }

 private:
  one_run run_;
  device_mirror mirror_;
  typename one_run::tensors there_;
  device_workspace space_;
  tka::status status_ = tka::status::ok;
};

/// A problem's call, and what it leaves where it runs on its own.
template <class Selection, class Precision, class Form = tka::form<>>
struct known_call {
  /// `p` must live as long.
  explicit known_call(oracle::problem const& p, settings const& how = {})
      : data(p, {}),
        expected(attend<Selection>(data, options_of(p.rules), how)),
        call(data, options_of(p.rules), how) {
    if (auto const found = fault(expected); !found.empty()) throw std::runtime_error(found);
  }

  arranged<Precision, Form> const data;
  results const expected;
  prepared<Selection, Precision, Form> call;
};

}  // namespace support
