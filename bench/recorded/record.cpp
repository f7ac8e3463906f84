// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Writes the scores that the example's language model gives the last token of its text: what
/// bench/scores.hpp calls recorded. `record_scores FOLDER_OF_THE_MODEL OUTPUT`.

#include "../../examples/language_model/attention.hpp"
#include "../../examples/language_model/methods.hpp"
#include "../../examples/language_model/model.hpp"
#include "../scores.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace language_model;

constexpr int recorded_layers[] = {1, 4};

std::vector<std::uint8_t> last_bytes(std::filesystem::path const& path, std::int64_t count) {
  std::ifstream in(path, std::ios::binary);
  std::vector<std::uint8_t> const all{std::istreambuf_iterator<char>(in), {}};
  if (static_cast<std::int64_t>(all.size()) < count) throw std::runtime_error("text too short");
  return {all.end() - count, all.end()};
}

/// A row in 256 levels between its smallest and its largest score.
void write_row(std::ofstream& out, std::vector<float> const& scores) {
  auto const [low, high] = std::minmax_element(scores.begin(), scores.end());
  float const step = (*high - *low) / 256.0f;
  out.write(reinterpret_cast<char const*>(&*low), sizeof(float));
  out.write(reinterpret_cast<char const*>(&step), sizeof(float));
  for (float const s : scores) {
    float const level = std::clamp(std::floor((s - *low) / step), 0.0f, 255.0f);
    out.put(static_cast<char>(static_cast<std::uint8_t>(level)));
  }
}

/// Every layer over all tokens; of the recorded ones the scores of the last token.
void record(model const& m, std::span<std::uint8_t const> tokens, std::ofstream& out) {
  hyperparameters const& h = m.shape();
  if (h.q_heads != bench::group) throw std::runtime_error("not a model of four query heads");
  auto const count = static_cast<std::int32_t>(tokens.size());
  auto const backend = cpu_attention(cache_precision::fp32);
  constexpr std::int32_t chunk = 512;
  auto const dense = backend->make_call(key_choice::exact_radix, shape_of(h, chunk), {all_keys});
  columns x = m.embed(tokens);
  for (int layer = 0; layer < h.layers; ++layer) {
    projections all;
    m.project(layer, x, 0, all);
    auto const cache = backend->make_cache(shape_of(h, 1));
    columns attended(Eigen::Index{h.q_heads} * h.head_dim, count);
    for (std::int32_t at = 0; at < count; at += chunk) {
      cache->append(all.k.col(at).data(), all.v.col(at).data(), at, chunk);
      dense->run({.q = {all.q.col(at).data(), h.head_dim, all.q.rows()},
                  .cache = cache.get(),
                  .o = {attended.col(at).data(), h.head_dim, attended.rows()},
                  .length = at + chunk});
    }
    m.finish(layer, attended, x);
    if (std::find(std::begin(recorded_layers), std::end(recorded_layers), layer) ==
        std::end(recorded_layers)) {
      continue;
    }
    for (int head = 0; head < h.q_heads; ++head) {
      auto const q = all.q.col(count - 1).segment(head * h.head_dim, h.head_dim);
      auto const k = all.k.middleRows(head / (h.q_heads / h.kv_heads) * h.head_dim, h.head_dim);
      Eigen::RowVectorXf const scores =
          q.transpose() * k / std::sqrt(static_cast<float>(h.head_dim));
      write_row(out, {scores.data(), scores.data() + scores.size()});
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "record_scores FOLDER_OF_THE_MODEL OUTPUT\n"), 2;
  try {
    std::filesystem::path const folder = argv[1];
    model const m{safetensors_file(folder / "weights.safetensors")};
    std::ofstream out(argv[2], std::ios::binary);
    record(m, last_bytes(folder / "text.txt", bench::recorded_length), out);
    return out.flush() ? 0 : 1;
  } catch (std::exception const& problem) {
    std::fprintf(stderr, "record_scores: %s\n", problem.what());
    return 1;
  }
}
