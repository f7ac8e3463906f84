// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A backend that needs to be told on which stream to run, as CUDA does, without CUDA.

#pragma once

#include <tka/status.hpp>

struct streams {
  using is_tka_backend = void;
  struct device {};
  template <class Work>
  static tka::status run_rows(Work const&, long) noexcept {
    return tka::status::ok;
  }
};
