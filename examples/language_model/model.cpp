// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The model's arithmetic.

#include "model.hpp"

#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>

namespace language_model {
namespace {

/// The tensors `names`, [rows, columns] each, one below the other.
weights stacked(safetensors_file const& file, std::initializer_list<std::string> names, int cols) {
  std::vector<float> all;
  for (std::string const& name : names) {
    tensor const t = file.read(name);
    if (t.shape.size() != 2 || t.shape[1] != cols) {
      throw std::runtime_error(name + ": is not a matrix of " + std::to_string(cols) + " columns");
    }
    all.insert(all.end(), t.values.begin(), t.values.end());
  }
  return Eigen::Map<weights const>(all.data(), static_cast<Eigen::Index>(all.size()) / cols, cols);
}

weights matrix(safetensors_file const& file, std::initializer_list<std::string> names, int rows,
               int cols) {
  weights w = stacked(file, names, cols);
  if (w.rows() != rows) {
    throw std::runtime_error(*names.begin() + ": does not have the rows that the metadata says");
  }
  return w;
}

Eigen::VectorXf vector(safetensors_file const& file, std::string const& name, int size) {
  tensor const t = file.read(name);
  if (t.values.size() != static_cast<std::size_t>(size)) {
    throw std::runtime_error(name + ": does not have " + std::to_string(size) + " values");
  }
  return Eigen::Map<Eigen::VectorXf const>(t.values.data(), size);
}

hyperparameters read_shape(std::map<std::string, std::string> const& about) {
  auto const number = [&](char const* name) {
    auto const found = about.find(name);
    if (found == about.end()) {
      throw std::runtime_error(std::string("the weights' metadata does not state ") + name);
    }
    char* end = nullptr;
    double const value = std::strtod(found->second.c_str(), &end);
    if (end == found->second.c_str() || *end != '\0') {
      throw std::runtime_error(std::string(name) + ": is not a number in the weights' metadata");
    }
    return value;
  };
  auto const count = [&](char const* name) {
    double const n = number(name);
    if (!(n >= 1 && n <= 1 << 20)) throw std::runtime_error(std::string(name) + ": impossible");
    return static_cast<int>(n);
  };
  hyperparameters const h{.width = count("width"),
                          .layers = count("layers"),
                          .q_heads = count("q_heads"),
                          .kv_heads = count("kv_heads"),
                          .head_dim = count("head_dim"),
                          .mlp_width = count("mlp_width"),
                          .vocab = count("vocab"),
                          .context = count("context"),
                          .rope_theta = static_cast<float>(number("rope_theta")),
                          .norm_eps = static_cast<float>(number("norm_eps"))};
  if (h.vocab != 256) throw std::runtime_error("the model does not read bytes");
  return h;
}

}  // namespace

model::model(safetensors_file const& file)
    : shape_(read_shape(file.metadata())), metadata_(file.metadata()) {
  hyperparameters const& h = shape_;
  int const q_rows = h.q_heads * h.head_dim;
  int const kv_rows = h.kv_heads * h.head_dim;
  embedding_ = matrix(file, {"embed"}, h.vocab, h.width);
  head_ = file.has("head") ? matrix(file, {"head"}, h.vocab, h.width) : embedding_;
  final_norm_ = vector(file, "final_norm", h.width);
  for (int i = 0; i < h.layers; ++i) {
    std::string const at = "layers." + std::to_string(i) + ".";
    blocks_.push_back(
        {.attention_norm = vector(file, at + "attention_norm", h.width),
         .qkv = matrix(file, {at + "wq", at + "wk", at + "wv"}, q_rows + 2 * kv_rows, h.width),
         .out = matrix(file, {at + "wo"}, h.width, q_rows),
         .mlp_norm = vector(file, at + "mlp_norm", h.width),
         .gate_up = matrix(file, {at + "w_gate", at + "w_up"}, 2 * h.mlp_width, h.width),
         .down = matrix(file, {at + "w_down"}, h.width, h.mlp_width)});
  }
  int const half = h.head_dim / 2;
  cosine_.resize(half, h.context);
  sine_.resize(half, h.context);
  for (int position = 0; position < h.context; ++position) {
    for (int i = 0; i < half; ++i) {  // in double: at position 8,000 a float is off by 1e-4
      double const angle = position * std::pow(double{h.rope_theta}, -double(i) / half);
      cosine_(i, position) = static_cast<float>(std::cos(angle));
      sine_(i, position) = static_cast<float>(std::sin(angle));
    }
  }
}

columns model::embed(std::span<std::uint8_t const> tokens) const {
  columns x(shape_.width, static_cast<Eigen::Index>(tokens.size()));
  for (Eigen::Index i = 0; i < x.cols(); ++i) {
    x.col(i) = embedding_.row(tokens[static_cast<std::size_t>(i)]).transpose();
  }
  return x;
}

void model::project(int layer, columns const& x, int position, projections& out) const {
  block const& b = blocks_[static_cast<std::size_t>(layer)];
  columns const qkv = b.qkv * normalized(x, b.attention_norm);
  Eigen::Index const q_rows = Eigen::Index{shape_.q_heads} * shape_.head_dim;
  Eigen::Index const kv_rows = Eigen::Index{shape_.kv_heads} * shape_.head_dim;
  out.q = qkv.topRows(q_rows);
  out.k = qkv.middleRows(q_rows, kv_rows);
  out.v = qkv.bottomRows(kv_rows);
  rotate(out.q, position);
  rotate(out.k, position);
}

void model::finish(int layer, columns const& attended, columns& x) const {
  block const& b = blocks_[static_cast<std::size_t>(layer)];
  x.noalias() += b.out * attended;
  columns const gate_up = b.gate_up * normalized(x, b.mlp_norm);
  auto const gate = gate_up.topRows(shape_.mlp_width).array();
  auto const up = gate_up.bottomRows(shape_.mlp_width).array();
  columns const hidden = (gate / (1.0f + (-gate).exp()) * up).matrix();
  x.noalias() += b.down * hidden;
}

columns model::logits(columns const& x) const { return head_ * normalized(x, final_norm_); }

columns model::normalized(columns const& x, Eigen::VectorXf const& weight) const {
  auto const mean_square = x.colwise().squaredNorm().array() / static_cast<float>(x.rows());
  Eigen::RowVectorXf const factor = (mean_square + shape_.norm_eps).sqrt().inverse().matrix();
  return weight.asDiagonal() * x * factor.asDiagonal();
}

/// Half-split pairs: component i turns with component i + head_dim / 2.
void model::rotate(columns& heads, int position) const {
  Eigen::Index const half = shape_.head_dim / 2;
  for (Eigen::Index t = 0; t < heads.cols(); ++t) {
    auto const c = cosine_.col(position + t).array();
    auto const s = sine_.col(position + t).array();
    for (Eigen::Index row = 0; row < heads.rows(); row += 2 * half) {
      Eigen::ArrayXf const a = heads.col(t).segment(row, half);
      Eigen::ArrayXf const b = heads.col(t).segment(row + half, half);
      heads.col(t).segment(row, half) = (a * c - b * s).matrix();
      heads.col(t).segment(row + half, half) = (b * c + a * s).matrix();
    }
  }
}

}  // namespace language_model
