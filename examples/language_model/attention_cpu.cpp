// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Attention by the CPU backend, on the calling thread.

#include "attention.hpp"
#include "attention_calls.hpp"

#include <tka/append.hpp>
#include <tka/backend/cpu.hpp>

#include <cstddef>
#include <stdexcept>
#include <vector>

namespace language_model {
namespace {

/// A precision of this host: it computes in fp32 and stores its cache in fp16.
struct half_cache {
  using query_type = float;
  using key_type = tka::float16_t;
  using value_type = tka::float16_t;
  using output_type = float;
};

template <class Precision>
class cpu_cache final : public attention_cache {
 public:
  explicit cpu_cache(attention_shape const& s)
      : shape_(s),
        k_(static_cast<std::size_t>(std::int64_t{s.kv_heads} * s.context * s.head_dim)),
        v_(k_.size()) {}

  void append(float const* k, float const* v, std::int32_t start, std::int32_t count) override {
    tka::shape added = library_call<Precision, tka::cpu>::shape(shape_);
    added.q_len = count;
    tka::throw_if(write(added, {},
                        {.new_k = tka::nhd(k, shape_.kv_heads, count, shape_.head_dim),
                         .new_v = tka::nhd(v, shape_.kv_heads, count, shape_.head_dim),
                         .k = tka::hnd(k_.data(), shape_.kv_heads, shape_.context, shape_.head_dim),
                         .v = tka::hnd(v_.data(), shape_.kv_heads, shape_.context, shape_.head_dim),
                         .starts = &start}));
  }
  [[nodiscard]] auto k() const {
    return tka::hnd(k_.data(), shape_.kv_heads, shape_.context, shape_.head_dim);
  }
  [[nodiscard]] auto v() const {
    return tka::hnd(v_.data(), shape_.kv_heads, shape_.context, shape_.head_dim);
  }

 private:
  static constexpr auto write = tka::append<Precision, tka::cpu>;
  attention_shape shape_;
  std::vector<typename Precision::key_type> k_;    // [kv_heads, context, head_dim]
  std::vector<typename Precision::value_type> v_;  // [kv_heads, context, head_dim]
};

/// The memory that a plan asks for.
class scratch_memory {
 public:
  [[nodiscard]] tka::workspace for_plan(tka::plan const& p) {
    if (lines_.size() * sizeof(line) < p.scratch_bytes) {
      lines_.resize((p.scratch_bytes + sizeof(line) - 1) / sizeof(line));
    }
    return {.scratch = lines_.data(), .scratch_bytes = lines_.size() * sizeof(line)};
  }

 private:
  struct alignas(tka::workspace_alignment) line {
    std::byte bytes[tka::workspace_alignment];
  };
  std::vector<line> lines_;
};

template <class T>
tka::tensor_view<T> view_of(host_tensor<T> const& t) {
  return {t.data, 0, t.head, t.token};
}

template <class Call>
class cpu_call final : public attention_call {
 public:
  cpu_call(attention_shape const& shape, attention_options const& options) : shape_(shape) {
    cpu_call::replan(options);
  }
  void replan(attention_options const& options) override {
    plan_ = Call::attend.plan(Call::shape(shape_), Call::options(shape_, options), {.threads = 1});
    tka::throw_if(plan_.status);
  }
  void run(attention_step const& step) override {
    using precision = typename Call::precision;
    auto const& cache = static_cast<cpu_cache<precision> const&>(*step.cache);
    tka::throw_if(
        Call::run(plan_,
                  step_tensors<precision>{.q = view_of(step.q),
                                          .k = cache.k(),
                                          .v = cache.v(),
                                          .o = view_of(step.o),
                                          .length = &step.length,
                                          .keys = step.keys > 0 ? &step.keys : nullptr,
                                          .given_positions = view_of(step.given_positions),
                                          .given_count = view_of(step.given_count),
                                          .lse = view_of(step.lse),
                                          .entropy = view_of(step.entropy),
                                          .lse_visible = view_of(step.lse_visible),
                                          .positions = view_of(step.positions),
                                          .count = view_of(step.count)},
                  scratch_.for_plan(plan_)));
  }
  [[nodiscard]] std::int32_t capacity() const override { return plan_.capacity; }

 private:
  attention_shape shape_;
  tka::plan plan_;
  scratch_memory scratch_;
};

template <class Precision>
class cpu_backend : public attention_backend {
 public:
  [[nodiscard]] std::string name() const override { return "cpu"; }
  [[nodiscard]] std::unique_ptr<attention_cache> make_cache(
      attention_shape const& s) const override {
    return std::make_unique<cpu_cache<Precision>>(s);
  }
  [[nodiscard]] std::unique_ptr<attention_call> make_call(
      key_choice choice, attention_shape const& s,
      attention_options const& options) const override {
    return make_call_of<cpu_call, Precision, tka::cpu>(choice, s, options);
  }
};

}  // namespace

std::unique_ptr<attention_backend> cpu_attention(cache_precision cache) {
  if (cache == cache_precision::fp16) return std::make_unique<cpu_backend<half_cache>>();
  return std::make_unique<cpu_backend<tka::fp32>>();
}

#ifndef LANGUAGE_MODEL_CUDA
std::unique_ptr<attention_backend> cuda_attention(cache_precision) {
  throw std::runtime_error("built without CUDA: configure with -D TKA_CUDA=ON");
}
#endif

}  // namespace language_model
