// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Bits per byte of a text under different ways to attend.

#pragma once

#include "attention.hpp"
#include "measure.hpp"
#include "model.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace language_model {

/// One row of the table: a way to attend and its name.
struct experiment {
  std::string method;
  int percent = 0;  ///< of the visible keys; 0: not by ratio
  std::function<std::unique_ptr<attention_method>(attention_backend const&, attention_shape const&)>
      make;
};

/// The methods that others refer to.
namespace names {
inline constexpr char dense[] = "dense, 8K";
inline constexpr char dense_512[] = "dense, 512";
inline constexpr char exact[] = "exact_radix";
inline constexpr char recent[] = "recent k";
inline constexpr char random[] = "random k";
}  // namespace names

/// Dense attention, the library's selections and two controls.
[[nodiscard]] std::vector<experiment> experiments();

/// What came out of one experiment, over all windows.
struct result {
  std::string method;
  int percent = 0;
  double bits_per_byte = 0.0;
  attention_metrics metrics{};
  double milliseconds_per_token = 0.0;  ///< median
};

/// One token in so many is decoded alone, timed and measured. Those between go through the model
/// together, since the text tells them beforehand; by contract each attends as it would alone.
inline constexpr int measured_every = 32;

struct evaluation_options {
  int windows = 4;
  int scored = 1024;   ///< bytes at the end of each window
  bool alone = false;  ///< decode every token in a call of its own
  int threads = 1;
};

struct evaluation {
  std::vector<int> windows;  ///< which of the text
  int window_bytes = 0;
  std::vector<result> results{};
  double seconds = 0.0;
};

/// Runs every experiment on some whole windows of `text`, as many bytes each as the model's
/// context. All but the scored bytes of a window are read densely, once; the scored ones are then
/// decoded, the text telling which byte came, once for each experiment. Each window has its own
/// thread, which calls one-worker plans: a host that brings its own threads.
[[nodiscard]] evaluation evaluate(model const& m, attention_backend const& backend,
                                  std::span<std::uint8_t const> text,
                                  evaluation_options const& options);

/// The largest difference to the logits that train.py stored with the tokens in `sample`.
[[nodiscard]] double logits_error(model const& m, attention_backend const& backend,
                                  safetensors_file const& sample);

}  // namespace language_model
