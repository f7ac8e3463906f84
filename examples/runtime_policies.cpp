// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A choice among policies at run time. A program lists the calls that it wants compiled; each is
/// a type, std::variant holds the one that was chosen, and std::visit runs it. No macro, no
/// registry in the library, and nothing is compiled that is not listed.
///
///     ./runtime_policies            all of them, compared
///     ./runtime_policies bucketed   one

#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <random>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace {

/// The tensors that every choice is called with, in fp32: [heads, keys, dim].
struct problem {
  static constexpr int q_heads = 4, kv_heads = 2, keys = 8192, dim = 64;
  std::vector<float> q = std::vector<float>(q_heads * dim);
  std::vector<float> k = std::vector<float>(kv_heads * keys * dim);
  std::vector<float> v = std::vector<float>(kv_heads * keys * dim);

  [[nodiscard]] static tka::shape shape() {
    return {.q_heads = q_heads, .kv_heads = kv_heads, .kv_len = keys, .qk_dim = dim, .v_dim = dim};
  }
};

/// One choice: a name, the types of its call, and the numbers that belong to it.
template <class Selection, class Form = tka::form<>>
struct choice {
  std::string_view name;
  tka::options options;

  [[nodiscard]] std::vector<float> operator()(problem const& p) const {
    constexpr auto attend = tka::sparse_attention<Selection, tka::fp32, tka::cpu, Form>;
    tka::options with = options;
    with.scale = 1.0f / std::sqrt(float{problem::dim});
    tka::plan const plan = attend.plan(problem::shape(), with, {.threads = 1});
    tka::throw_if(plan.status);
    struct alignas(tka::workspace_alignment) line {
      std::byte bytes[tka::workspace_alignment];
    };
    std::vector<line> scratch(plan.scratch_bytes / sizeof(line) + 1);
    std::vector<float> o(p.q.size());
    tka::throw_if(attend(plan,
                         {.q = tka::hnd(p.q.data(), problem::q_heads, 1, problem::dim),
                          .k = tka::hnd(p.k.data(), problem::kv_heads, problem::keys, problem::dim),
                          .v = tka::hnd(p.v.data(), problem::kv_heads, problem::keys, problem::dim),
                          .o = tka::hnd(o.data(), problem::q_heads, 1, problem::dim)},
                         {scratch.data(), scratch.size() * sizeof(line)}));
    return o;
  }
};

using window = tka::form<tka::visibility::sliding_window>;
using by_group = tka::form<tka::scope::kv_group>;
using any_choice =
    std::variant<choice<tka::exact_radix>, choice<tka::bucketed>, choice<tka::exact_radix, window>,
                 choice<tka::exact_radix, by_group>>;

/// The list: one line a choice. Two names may share a type and differ in their numbers.
std::vector<any_choice> const choices{
    choice<tka::exact_radix>{"dense", {.budget = tka::ratio(1, 1)}},
    choice<tka::exact_radix>{"exact", {.budget = tka::top_k(512)}},
    choice<tka::bucketed>{"bucketed",
                          {.budget = tka::top_k(512), .bucketing = {.recall_target = 0.9f}}},
    choice<tka::exact_radix, window>{"window", {.budget = tka::ratio(1, 1), .window = 512}},
    choice<tka::exact_radix, by_group>{"group", {.budget = tka::top_k(512)}},
};

std::string_view name_of(any_choice const& c) {
  return std::visit([](auto const& chosen) { return chosen.name; }, c);
}

double distance(std::vector<float> const& a, std::vector<float> const& b) {
  double sum = 0.0, norm = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double const x = a[i], y = b[i];
    sum += (x - y) * (x - y);
    norm += y * y;
  }
  return std::sqrt(sum / norm);
}

}  // namespace

int main(int argc, char** argv) {
  problem p;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& x : p.q) x = 3.0f * normal(random);  // a peaked softmax, as trained heads have
  for (float& x : p.k) x = normal(random);
  for (float& x : p.v) x = normal(random);

  std::vector<float> const dense = std::visit([&](auto const& c) { return c(p); }, choices.front());
  double exact = -1.0, window = -1.0;
  bool found = argc < 2;
  for (any_choice const& c : choices) {
    if (argc > 1 && name_of(c) != argv[1]) continue;
    found = true;
    std::vector<float> const o = std::visit([&](auto const& chosen) { return chosen(p); }, c);
    double const error = distance(o, dense);
    std::printf("%-9s relative distance to dense: %.4f\n", name_of(c).data(), error);
    if (name_of(c) == "exact") exact = error;
    if (name_of(c) == "window") window = error;
  }
  if (!found) std::printf("no choice is called %s\n", argv[1]);
  // The best 512 keys must come closer to dense attention than the last 512.
  return found && (argc > 1 || exact < window) ? 0 : 1;
}
