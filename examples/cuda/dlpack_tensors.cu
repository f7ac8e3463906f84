// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Tensors of another engine, handed over as DLPack: checked, adopted where they lie, attended.
/// Keys and values are two slices of one tensor, as engines that compute them together hold them.

#include "device.cuh"

#include <tka/backend/cuda.cuh>
#include <tka/sparse_attention.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

// The structs of DLPack's C ABI, as far as they are needed: an engine includes <dlpack/dlpack.h>.
struct DLDevice {
  std::int32_t device_type;
  std::int32_t device_id;
};
struct DLDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null: packed
  std::uint64_t byte_offset;
};

namespace {

constexpr std::int32_t dl_cpu = 1, dl_cuda = 2, dl_cuda_managed = 13;

/// DLPack's name of a storage type: code (2: float, 4: bfloat), bits, lanes.
template <class T>
inline constexpr DLDataType dl_type{};
template <>
inline constexpr DLDataType dl_type<float>{2, 32, 1};
template <>
inline constexpr DLDataType dl_type<tka::float16_t>{2, 16, 1};
template <>
inline constexpr DLDataType dl_type<tka::bfloat16_t>{4, 16, 1};

/// A view, or what is wrong with the tensor.
template <class T>
struct adopted {
  tka::tensor_view<T> view{};
  char const* problem = nullptr;
};

/// The view of a [batch, token, head, dim] tensor with these extents, on the current device. Bases
/// and strides in multiples of 16 bytes are for the call to check.
template <class T>
adopted<T> adopt(DLTensor const& t, std::array<std::int64_t, 4> const& extents) {
  int current = 0;
  check(cudaGetDevice(&current));
  if (t.device.device_type != dl_cuda && t.device.device_type != dl_cuda_managed)
    return {{}, "not in the memory of a GPU"};
  if (t.device.device_id != current) return {{}, "on another device"};
  constexpr DLDataType type = dl_type<T>;
  if (t.dtype.code != type.code || t.dtype.bits != type.bits || t.dtype.lanes != type.lanes)
    return {{}, "of another data type"};
  if (t.ndim != 4) return {{}, "not [batch, token, head, dim]"};
  std::array<std::int64_t, 4> stride{};
  std::int64_t packed = 1;
  for (std::size_t i = 4; i-- > 0;) {
    if (t.shape[i] != extents[i]) return {{}, "of other extents"};
    stride[i] = t.strides != nullptr ? t.strides[i] : packed;
    // An extent of 1 is never stepped over, and then some engines leave anything as the stride.
    if (t.shape[i] == 1) stride[i] = packed;
    packed *= t.shape[i];
  }
  if (stride[3] != 1) return {{}, "not contiguous in its last dimension"};
  if (t.data == nullptr) return {{}, "without data"};
  auto* const data = reinterpret_cast<T*>(static_cast<char*>(t.data) + t.byte_offset);
  return {tka::tensor_view<T>(data, stride[0], stride[2], stride[1]), nullptr};
}

/// True where the tensor is refused, and says why.
bool refuses(char const* name, DLTensor const& t, std::array<std::int64_t, 4> const& extents) {
  char const* const problem = adopt<tka::bfloat16_t>(t, extents).problem;
  std::printf("%s: %s\n", name, problem != nullptr ? problem : "ADOPTED");
  return problem != nullptr;
}

}  // namespace

int main() {
  need_gpu();
  constexpr int batch = 2, keys = 2048, q_heads = 4, kv_heads = 2, dim = 64, wanted = 777;
  using element = tka::bfloat16_t;

  // What the other engine holds: q, o [batch, 1, q_heads, dim] and kv [batch, keys, 2 * kv_heads,
  // dim], where the keys' heads stand before the values'.
  constexpr int row = 2 * kv_heads * dim;
  auto const at = [](int b, int token, int head, int d) {
    return static_cast<std::size_t>((b * keys + token) * row + head * dim + d);
  };
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<element> kv(batch * keys * row), q;
  for (auto& x : kv) x = element{normal(random)};
  for (int b = 0; b < batch; ++b) {  // each query looks for the key `wanted` of its key head
    for (int h = 0; h < q_heads; ++h) {
      int const of = h / (q_heads / kv_heads);
      for (int d = 0; d < dim; ++d)
        q.push_back(element{4.0f * static_cast<float>(kv[at(b, wanted, of, d)])});
    }
  }
  stream const on;
  device_array<element> const q_there(q, on), kv_there(kv, on), o_there(q.size());

  // The same as DLPack.
  DLDevice here{dl_cuda, 0};
  check(cudaGetDevice(&here.device_id));
  std::array<std::int64_t, 4> of_queries{batch, 1, q_heads, dim};
  std::array<std::int64_t, 4> of_keys{batch, keys, kv_heads, dim};
  std::array<std::int64_t, 4> strides{keys * row, row, dim, 1};
  constexpr DLDataType type = dl_type<element>;
  DLTensor const dl_q{q_there.data(), here, 4, type, of_queries.data(), nullptr, 0};
  DLTensor const dl_o{o_there.data(), here, 4, type, of_queries.data(), nullptr, 0};
  DLTensor const dl_k{kv_there.data(), here, 4, type, of_keys.data(), strides.data(), 0};
  DLTensor const dl_v{kv_there.data(),
                      here,
                      4,
                      type,
                      of_keys.data(),
                      strides.data(),
                      kv_heads * dim * sizeof(element)};

  // What cannot be read as it lies is refused.
  DLTensor on_the_host = dl_k, of_fp16 = dl_k, transposed = dl_k;
  on_the_host.device = {dl_cpu, 0};
  of_fp16.dtype = dl_type<tka::float16_t>;
  std::array<std::int64_t, 4> across{keys * row, row, 1, kv_heads};
  transposed.strides = across.data();
  if (!refuses("on the host", on_the_host, of_keys) || !refuses("fp16", of_fp16, of_keys) ||
      !refuses("transposed", transposed, of_keys) || !refuses("q as k", dl_q, of_keys))
    return 1;

  auto const view_q = adopt<element>(dl_q, of_queries), view_o = adopt<element>(dl_o, of_queries);
  auto const view_k = adopt<element>(dl_k, of_keys), view_v = adopt<element>(dl_v, of_keys);
  for (auto const& a : {view_q, view_o, view_k, view_v}) {
    if (a.problem == nullptr) continue;
    std::printf("refused: %s\n", a.problem);
    return 1;
  }

  constexpr auto attend = tka::sparse_attention<tka::exact_radix, tka::bf16, tka::cuda>;
  tka::plan const plan =
      attend.plan({.batch = batch,
                   .q_heads = q_heads,
                   .kv_heads = kv_heads,
                   .kv_len = keys,
                   .qk_dim = dim,
                   .v_dim = dim},
                  {.budget = tka::top_k(64), .scale = 0.125f}, tka::cuda::query());
  device_array<std::byte> const scratch(plan.scratch_bytes);
  tka::status const status =
      attend(plan, {.q = view_q.view, .k = view_k.view, .v = view_v.view, .o = view_o.view},
             {scratch.data(), scratch.bytes()}, on);
  if (status != tka::status::ok) {
    std::printf("%s\n", to_string(status));
    return 1;
  }

  std::vector<element> const o = o_there.download(on);
  for (int i = 0; i < batch * q_heads * dim; ++i) {
    int const b = i / (q_heads * dim), head = i / dim % q_heads / (q_heads / kv_heads);
    float const value = static_cast<float>(kv[at(b, wanted, kv_heads + head, i % dim)]);
    if (!(std::fabs(static_cast<float>(o[static_cast<std::size_t>(i)]) - value) < 1e-2f)) {
      std::printf("o[%d] = %f, not %f\n", i, static_cast<float>(o[static_cast<std::size_t>(i)]),
                  value);
      return 1;
    }
  }
  std::printf("values %d came out, as asked for\n", wanted);
  return 0;
}
