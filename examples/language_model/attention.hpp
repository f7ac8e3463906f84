// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the model asks of attention, behind an interface that this host needs to choose backend and
/// selection at run time. attention_cpu.cpp and attention_cuda.cu answer it with calls of `tka`.
/// In plain data: the library's types differ between compilers and instruction sets.

#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

namespace language_model {

/// `q_len` new tokens of one sequence that may grow to `context`.
struct attention_shape {
  std::int32_t q_heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t q_len = 1;
  std::int32_t context = 0;
  std::int32_t head_dim = 0;
};

/// A tensor [head, token, last] in the host's memory.
template <class T>
struct host_tensor {
  T* data = nullptr;
  std::int64_t head = 0;   ///< elements from one head to the next
  std::int64_t token = 0;  ///< elements from one token to the next

  [[nodiscard]] T* at(std::int32_t h, std::int32_t t) const {
    return data + (h * head + t * token);
  }
};

/// Keys and values of one layer of one sequence, where the backend keeps them.
class attention_cache {
 public:
  virtual ~attention_cache() = default;
  /// Writes `count` new tokens, [count, kv_heads, head_dim], behind the first `start`.
  virtual void append(float const* k, float const* v, std::int32_t start, std::int32_t count) = 0;
};

/// One layer's attention for the newest tokens of one sequence.
struct attention_step {
  host_tensor<float const> q;    // [q_heads, q_len, head_dim]
  attention_cache const* cache;  // of the backend that runs the step
  host_tensor<float> o;          // [q_heads, q_len, head_dim], written
  std::int32_t length;           // tokens in the cache

  std::int32_t keys = 0;  // if not 0: a budget for this step, at most the planned one
  // What `key_choice::given` attends over: [q_heads, q_len, capacity] and [q_heads, q_len].
  host_tensor<std::int32_t const> given_positions{};
  host_tensor<std::int32_t const> given_count{};

  // Made only where they are asked for, in steps of one token.
  host_tensor<float> lse{};               // [q_heads, q_len]
  host_tensor<float> entropy{};           // [q_heads, q_len]
  host_tensor<float> lse_visible{};       // [q_heads, q_len], if planned so
  host_tensor<std::int32_t> positions{};  // [q_heads, q_len, capacity], ascending
  host_tensor<std::int32_t> count{};      // [q_heads, q_len]
};

/// A way to attend, for steps of as many new tokens as it was made for.
class attention_method {
 public:
  virtual ~attention_method() = default;
  virtual void run(attention_step const& step) = 0;
  /// The most keys that a head keeps: the room that `positions` needs.
  [[nodiscard]] virtual std::int32_t capacity() const = 0;
};

/// How many keys a head keeps: so many, or so many percent of those it sees.
struct key_budget {
  std::int32_t keys = 0;
  std::int32_t percent = 0;

  [[nodiscard]] std::int32_t of(std::int32_t visible) const {
    return percent == 0 ? keys : std::max(1, (percent * visible + 99) / 100);
  }
};
inline constexpr key_budget all_keys{.percent = 100};

/// Which keys a call attends over.
enum class key_choice {
  exact_radix,  ///< with the budget all_keys this is dense attention
  bucketed,
  window,  ///< the most recent ones: exact_radix within a sliding window
  given,   ///< those of the step
};

struct attention_options {
  key_budget budget;
  float recall_target = 0.99f;    ///< only bucketed
  std::int32_t window = 0;        ///< only window
  bool measures_visible = false;  ///< steps may ask for lse_visible
};

/// One call of the library with its plan and its memory.
class attention_call : public attention_method {
 public:
  /// The same call with other options.
  virtual void replan(attention_options const& options) = 0;
};

/// Makes caches and calls. Those of one sequence are used by one thread of the host.
class attention_backend {
 public:
  virtual ~attention_backend() = default;
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual std::unique_ptr<attention_cache> make_cache(
      attention_shape const& shape) const = 0;
  [[nodiscard]] virtual std::unique_ptr<attention_call> make_call(
      key_choice choice, attention_shape const& shape, attention_options const& options) const = 0;
};

/// The numbers that a cache holds. Queries, new keys and values, and outputs are fp32.
enum class cache_precision { fp16, fp32 };

[[nodiscard]] std::unique_ptr<attention_backend> cpu_attention(cache_precision cache);
/// Throws where the program was built without CUDA, or there is no GPU.
[[nodiscard]] std::unique_ptr<attention_backend> cuda_attention(cache_precision cache);

}  // namespace language_model
