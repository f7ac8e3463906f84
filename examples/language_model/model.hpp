// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The language model but for its attention: weights, norms, products and rotations, in Eigen.

#pragma once

#include "safetensors.hpp"

#include <Eigen/Core>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace language_model {

/// Activations: one column a token.
using columns = Eigen::MatrixXf;
/// Weights as they are stored, [out, in].
using weights = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct hyperparameters {
  int width = 0;
  int layers = 0;
  int q_heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int mlp_width = 0;
  int vocab = 0;
  int context = 0;
  float rope_theta = 0.0f;
  float norm_eps = 0.0f;
};

/// Queries, keys and values of some tokens, [heads * head_dim, tokens] each; q and k are rotated.
struct projections {
  columns q;
  columns k;
  columns v;
};

/// A decoder-only transformer over bytes; see train.py for the same formulas.
class model {
 public:
  explicit model(safetensors_file const& file);

  [[nodiscard]] hyperparameters const& shape() const { return shape_; }
  /// What the file says of its origin.
  [[nodiscard]] std::map<std::string, std::string> const& metadata() const { return metadata_; }

  [[nodiscard]] columns embed(std::span<std::uint8_t const> tokens) const;
  /// The first half of a block; the first column stands at `position`.
  void project(int layer, columns const& x, int position, projections& out) const;
  /// The second half: adds what the heads read and the gated MLP to `x`.
  void finish(int layer, columns const& attended, columns& x) const;
  /// [vocab, tokens], of the byte behind each token.
  [[nodiscard]] columns logits(columns const& x) const;

 private:
  struct block {
    Eigen::VectorXf attention_norm;
    weights qkv;  // stacked, so that a token needs one product
    weights out;
    Eigen::VectorXf mlp_norm;
    weights gate_up;
    weights down;
  };

  [[nodiscard]] columns normalized(columns const& x, Eigen::VectorXf const& weight) const;
  void rotate(columns& heads, int position) const;

  hyperparameters shape_;
  std::map<std::string, std::string> metadata_;
  weights embedding_;
  std::vector<block> blocks_;
  Eigen::VectorXf final_norm_;
  weights head_;
  columns cosine_;  // [head_dim / 2, context]
  columns sine_;
};

}  // namespace language_model
