// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Gradient steps of a tiny attention layer that sees the 16 best of up to 256 keys, in training as
/// in decoding. The forward pass leaves o, lse and two numbers a row that name its set; the
/// backward pass finds the set again from them, so nothing is kept that grows with q_len * kv_len.

#include <tka/backend/cpu.hpp>
#include <tka/interop/eigen.hpp>
#include <tka/sparse_attention.hpp>
#include <tka/sparse_attention_backward.hpp>

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

constexpr int tokens = 256, width = 48, heads = 4, kv_heads = 2, dim = 16, kept = 16;

/// A token is a row.
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// q, k and v are products of the tokens and these.
struct layer {
  matrix q = 0.3f * matrix::Random(width, heads* dim);
  matrix k = 0.3f * matrix::Random(width, kv_heads* dim);
  matrix v = 0.3f * matrix::Random(width, kv_heads* dim);
};

struct alignas(tka::workspace_alignment) line {
  std::byte bytes[tka::workspace_alignment];
};

/// Scratch for one call.
class memory {
 public:
  explicit memory(tka::plan const& p) : lines_(p.scratch_bytes / sizeof(line) + 1) {}
  tka::workspace view() { return {lines_.data(), lines_.size() * sizeof(line)}; }

 private:
  std::vector<line> lines_;
};

constexpr tka::shape shape{.q_heads = heads,
                           .kv_heads = kv_heads,
                           .q_len = tokens,
                           .kv_len = tokens,
                           .qk_dim = dim,
                           .v_dim = dim};
constexpr tka::options options{.budget = tka::top_k(kept), .scale = 0.25f};

/// What a forward pass leaves for the backward pass.
struct activations {
  matrix q, k, v, o{tokens, heads* dim};
  std::vector<float> lse = std::vector<float>(heads * tokens);
  std::vector<float> score = std::vector<float>(heads * tokens);  // of the last key of each set
  std::vector<std::int32_t> position = std::vector<std::int32_t>(heads * tokens);  // its position
};

activations forward(layer const& w, matrix const& x) {
  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu>;
  activations a{.q = x * w.q, .k = x * w.k, .v = x * w.v};
  tka::plan const plan = attend.plan(shape, options, {.threads = 1});
  tka::throw_if(attend(plan,
                       {.q = tka::nhd(a.q, heads),
                        .k = tka::nhd(a.k, kv_heads),
                        .v = tka::nhd(a.v, kv_heads),
                        .o = tka::nhd(a.o, heads),
                        .lse = tka::hnd(a.lse.data(), heads, tokens, 1),
                        .threshold_score = tka::hnd(a.score.data(), heads, tokens, 1),
                        .threshold_position = tka::hnd(a.position.data(), heads, tokens, 1)},
                       memory(plan).view()));
  return a;
}

layer backward(matrix const& x, activations const& a, matrix const& d_o) {
  constexpr auto gradients = tka::sparse_attention_backward<tka::fp32, tka::cpu>;
  matrix dq(tokens, heads * dim), dk(tokens, kv_heads * dim), dv(tokens, kv_heads * dim);
  tka::plan const plan =
      gradients.plan(shape, options, {.threads = 1}, {.form = tka::saved_form::threshold});
  tka::throw_if(
      gradients(plan,
                {.q = tka::nhd(a.q, heads),
                 .k = tka::nhd(a.k, kv_heads),
                 .v = tka::nhd(a.v, kv_heads),
                 .o = tka::nhd(a.o, heads),
                 .d_o = tka::nhd(d_o, heads),
                 .lse = tka::hnd(a.lse.data(), heads, tokens, 1),
                 .saved = {.threshold_score = tka::hnd(a.score.data(), heads, tokens, 1),
                           .threshold_position = tka::hnd(a.position.data(), heads, tokens, 1)},
                 .dq = tka::nhd(dq, heads),
                 .dk = tka::nhd(dk, kv_heads),
                 .dv = tka::nhd(dv, kv_heads)},
                memory(plan).view()));
  return {x.transpose() * dq, x.transpose() * dk, x.transpose() * dv};
}

}  // namespace

int main() {
  matrix const x = matrix::Random(tokens, width);
  // The layer is to learn what another one makes of the same tokens.
  matrix const target = forward(layer{}, x).o;
  layer w;
  float first = 0.0f, loss = 0.0f;
  for (int step = 0; step <= 30; ++step) {
    activations const a = forward(w, x);
    matrix const off = a.o - target;
    loss = off.squaredNorm() / tokens;
    if (step == 0) first = loss;
    layer const g = backward(x, a, 2.0f / tokens * off);
    if (step % 10 == 0) std::printf("step %2d: loss %.5f\n", step, static_cast<double>(loss));
    constexpr float rate = 0.1f;
    w.q -= rate * g.q;
    w.k -= rate * g.k;
    w.v -= rate * g.v;
  }
  return loss < 0.6f * first ? 0 : 1;
}
