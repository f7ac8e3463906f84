// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Attention by the CUDA backend: the caches and the calls on the device, all else in the host's
/// memory. Queries go there and outputs come back with each call.

#include "attention.hpp"
#include "attention_calls.hpp"

#include <tka/append.hpp>
#include <tka/backend/cuda.cuh>

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace language_model {
namespace {

/// A stream of its own for each thread of the host, as each has sequences of its own.
cudaStream_t stream() { return cudaStreamPerThread; }

void check(cudaError_t result) {
  if (result != cudaSuccess) {
    throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(result));
  }
}

/// Device memory that grows; what it held is then lost.
template <class T>
class device_buffer {
 public:
  device_buffer() = default;
  explicit device_buffer(std::size_t size) { reserve(size); }
  device_buffer(device_buffer const&) = delete;
  device_buffer& operator=(device_buffer const&) = delete;
  ~device_buffer() { (void)cudaFree(data_); }

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

  void reserve(std::size_t size) {
    if (size <= size_) return;
    check(cudaFree(data_));
    data_ = nullptr;
    size_ = 0;
    check(cudaMalloc(reinterpret_cast<void**>(&data_), size * sizeof(T)));
    size_ = size;
  }
  void upload(T const* host, std::size_t size) {
    reserve(size);
    check(cudaMemcpyAsync(data_, host, size * sizeof(T), cudaMemcpyHostToDevice, stream()));
  }
  /// Waits for all that was enqueued before.
  void download(T* host, std::size_t size) const {
    check(cudaMemcpyAsync(host, data_, size * sizeof(T), cudaMemcpyDeviceToHost, stream()));
    check(cudaStreamSynchronize(stream()));
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A tensor [q_heads, q_len, last] of the host on its way to the device, or back.
template <class T>
class moved_tensor {
 public:
  explicit moved_tensor(attention_shape const& s) : heads_(s.q_heads), len_(s.q_len) {}

  /// The device's view of what the host's has.
  [[nodiscard]] tka::tensor_view<T> sent(host_tensor<T const> const& from, std::int32_t last) {
    if (from.data == nullptr) return {};
    resize(last);
    each_row(
        [&](T* row, std::int32_t h, std::int32_t t) { std::copy_n(from.at(h, t), last, row); });
    device_.upload(host_.data(), host_.size());
    return view();
  }
  /// The device's view that `fetch` brings to the host's; none if that is none.
  [[nodiscard]] tka::tensor_view<T> wanted(host_tensor<T> const& to, std::int32_t last) {
    to_ = to;
    if (to.data == nullptr) return {};
    resize(last);
    device_.reserve(host_.size());
    return view();
  }
  void fetch() {
    if (to_.data == nullptr) return;
    device_.download(host_.data(), host_.size());
    each_row(
        [&](T* row, std::int32_t h, std::int32_t t) { std::copy_n(row, last_, to_.at(h, t)); });
  }

 private:
  [[nodiscard]] tka::tensor_view<T> view() const {
    return tka::hnd(device_.data(), heads_, len_, last_);
  }
  void resize(std::int32_t last) {
    last_ = last;
    host_.resize(static_cast<std::size_t>(std::int64_t{heads_} * len_ * last));
  }
  template <class Use>
  void each_row(Use&& use) {
    T* row = host_.data();
    for (std::int32_t h = 0; h < heads_; ++h) {
      for (std::int32_t t = 0; t < len_; ++t, row += last_) use(row, h, t);
    }
  }

  std::int32_t heads_;
  std::int32_t len_;
  std::int32_t last_ = 0;
  host_tensor<T> to_{};
  std::vector<T> host_;
  device_buffer<T> device_;
};

/// fp32 queries meet fp32 keys here: a cache of fp16 holds the rounded numbers, as fp32.
class cuda_cache final : public attention_cache {
 public:
  cuda_cache(attention_shape const& s, cache_precision precision)
      : shape_(s), precision_(precision), k_(elements(s.context)), v_(elements(s.context)) {}

  void append(float const* k, float const* v, std::int32_t start, std::int32_t count) override {
    upload(k, elements(count), new_k_);
    upload(v, elements(count), new_v_);
    start_.upload(&start, 1);
    tka::shape added = library_call<tka::fp32, tka::cuda>::shape(shape_);
    added.q_len = count;
    tka::throw_if(write(added, {},
                        {.new_k = tka::nhd(new_k_.data(), shape_.kv_heads, count, shape_.head_dim),
                         .new_v = tka::nhd(new_v_.data(), shape_.kv_heads, count, shape_.head_dim),
                         .k = view(k_),
                         .v = view(v_),
                         .starts = start_.data()},
                        stream()));
  }
  [[nodiscard]] tka::tensor_view<float const> k() const { return view(k_); }
  [[nodiscard]] tka::tensor_view<float const> v() const { return view(v_); }

 private:
  static constexpr auto write = tka::append<tka::fp32, tka::cuda>;

  [[nodiscard]] std::size_t elements(std::int32_t tokens) const {
    return static_cast<std::size_t>(std::int64_t{shape_.kv_heads} * tokens * shape_.head_dim);
  }
  [[nodiscard]] tka::tensor_view<float> view(device_buffer<float> const& memory) const {
    return tka::hnd(memory.data(), shape_.kv_heads, shape_.context, shape_.head_dim);
  }
  void upload(float const* from, std::size_t size, device_buffer<float>& to) {
    rounded_.assign(from, from + size);
    if (precision_ == cache_precision::fp16) {
      for (float& x : rounded_) x = static_cast<float>(tka::float16_t{x});
    }
    to.upload(rounded_.data(), rounded_.size());
  }

  attention_shape shape_;
  cache_precision precision_;
  device_buffer<float> k_;  // [kv_heads, context, head_dim]
  device_buffer<float> v_;  // [kv_heads, context, head_dim]
  std::vector<float> rounded_;
  device_buffer<float> new_k_;
  device_buffer<float> new_v_;
  device_buffer<std::int32_t> start_;
};

template <class Call>
class cuda_call final : public attention_call {
 public:
  cuda_call(attention_shape const& shape, attention_options const& options,
            tka::cuda::device const& device)
      : shape_(shape), device_(device) {
    cuda_call::replan(options);
  }
  void replan(attention_options const& options) override {
    plan_ = Call::attend.plan(Call::shape(shape_), Call::options(shape_, options), device_);
    tka::throw_if(plan_.status);
    scratch_.reserve(plan_.scratch_bytes);
  }
  void run(attention_step const& step) override {
    auto const& cache = static_cast<cuda_cache const&>(*step.cache);
    length_.upload(&step.length, 1);
    if (step.keys > 0) keys_.upload(&step.keys, 1);
    step_tensors<tka::fp32> const there{
        .q = q_.sent(step.q, shape_.head_dim),
        .k = cache.k(),
        .v = cache.v(),
        .o = o_.wanted(step.o, shape_.head_dim),
        .length = length_.data(),
        .keys = step.keys > 0 ? keys_.data() : nullptr,
        .given_positions = given_positions_.sent(step.given_positions, plan_.capacity),
        .given_count = given_count_.sent(step.given_count, 1),
        .lse = lse_.wanted(step.lse, 1),
        .entropy = entropy_.wanted(step.entropy, 1),
        .lse_visible = lse_visible_.wanted(step.lse_visible, 1),
        .positions = positions_.wanted(step.positions, plan_.capacity),
        .count = count_.wanted(step.count, 1)};
    tka::throw_if(Call::run(
        plan_, there, {.scratch = scratch_.data(), .scratch_bytes = scratch_.size()}, stream()));
    o_.fetch();
    for (auto* const floats : {&lse_, &entropy_, &lse_visible_}) floats->fetch();
    for (auto* const integers : {&positions_, &count_}) integers->fetch();
  }
  [[nodiscard]] std::int32_t capacity() const override { return plan_.capacity; }

 private:
  attention_shape shape_;
  tka::cuda::device device_;
  tka::plan plan_;
  device_buffer<std::byte> scratch_;
  device_buffer<std::int32_t> length_;
  device_buffer<std::int32_t> keys_;
  moved_tensor<float> q_{shape_};
  moved_tensor<float> o_{shape_};
  moved_tensor<std::int32_t> given_positions_{shape_};
  moved_tensor<std::int32_t> given_count_{shape_};
  moved_tensor<float> lse_{shape_};
  moved_tensor<float> entropy_{shape_};
  moved_tensor<float> lse_visible_{shape_};
  moved_tensor<std::int32_t> positions_{shape_};
  moved_tensor<std::int32_t> count_{shape_};
};

class cuda_backend final : public attention_backend {
 public:
  explicit cuda_backend(cache_precision precision) : precision_(precision) {
    int id = 0;
    check(cudaGetDevice(&id));
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, id));
    name_ = std::string("cuda, ") + properties.name;
    device_ = tka::cuda::query();
  }
  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::unique_ptr<attention_cache> make_cache(
      attention_shape const& s) const override {
    return std::make_unique<cuda_cache>(s, precision_);
  }
  [[nodiscard]] std::unique_ptr<attention_call> make_call(
      key_choice choice, attention_shape const& s,
      attention_options const& options) const override {
    return make_call_of<cuda_call, tka::fp32, tka::cuda>(choice, s, options, device_);
  }

 private:
  cache_precision precision_;
  tka::cuda::device device_{};
  std::string name_;
};

}  // namespace

std::unique_ptr<attention_backend> cuda_attention(cache_precision cache) {
  return std::make_unique<cuda_backend>(cache);
}

}  // namespace language_model
