// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What `diagnose` of a call answers: a status with the tensor and the dimension that it is about.

#pragma once

#include <tka/config.hpp>
#include <tka/status.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace tka::inline TKA_ABI {

/// The members of the tensors of a call.
enum class tensor_name : std::int32_t {
  none,
  q,
  k,
  v,
  o,
  index_q,
  index_k,
  index_k_scales,
  index_weights,
  index_scores,
  kv_lengths,
  kv_cumulative,
  block_table,
  table_stride,
  pages,
  query_cumulative,
  query_positions,
  positions_stride,
  given_threshold_score,
  given_threshold_position,
  lse,
  entropy,
  lse_visible,
  entropy_visible,
  retained_mass,
  positions,
  count,
  scores,
  threshold_score,
  threshold_position,
  new_k,
  new_v,
  k_scales,
  v_scales,
  starts,
  mask_row_begin,
  mask_row_end,
  mask_drafts,
  part_o,
  part_lse,
  part_o_stride,
  part_lse_stride,
  d_o,
  dq,
  dk,
  dv,
  d_sink_logits,
  d_loss,
  loss,
  d_index_q,
  d_index_k,
  d_weights,
  scratch,
  state
};

/// The name as it is written in a call. Static storage.
[[nodiscard]] TKA_INLINE constexpr char const* to_string(tensor_name n) noexcept {
  switch (n) {
    case tensor_name::none: return "";
    case tensor_name::q: return "q";
    case tensor_name::k: return "k";
    case tensor_name::v: return "v";
    case tensor_name::o: return "o";
    case tensor_name::index_q: return "index.q";
    case tensor_name::index_k: return "index.k";
    case tensor_name::index_k_scales: return "index.k_scales";
    case tensor_name::index_weights: return "index.weights";
    case tensor_name::index_scores: return "index.scores";
    case tensor_name::kv_lengths: return "kv.lengths";
    case tensor_name::kv_cumulative: return "kv.cumulative";
    case tensor_name::block_table: return "kv.block_table";
    case tensor_name::table_stride: return "kv.table_stride";
    case tensor_name::pages: return "kv.pages";
    case tensor_name::query_cumulative: return "query.cumulative";
    case tensor_name::query_positions: return "query.positions";
    case tensor_name::positions_stride: return "query.positions_stride";
    case tensor_name::given_threshold_score: return "given_threshold_score";
    case tensor_name::given_threshold_position: return "given_threshold_position";
    case tensor_name::lse: return "lse";
    case tensor_name::entropy: return "entropy";
    case tensor_name::lse_visible: return "lse_visible";
    case tensor_name::entropy_visible: return "entropy_visible";
    case tensor_name::retained_mass: return "retained_mass";
    case tensor_name::positions: return "positions";
    case tensor_name::count: return "count";
    case tensor_name::scores: return "scores";
    case tensor_name::threshold_score: return "threshold_score";
    case tensor_name::threshold_position: return "threshold_position";
    case tensor_name::new_k: return "new_k";
    case tensor_name::new_v: return "new_v";
    case tensor_name::k_scales: return "k_scales";
    case tensor_name::v_scales: return "v_scales";
    case tensor_name::starts: return "starts";
    case tensor_name::mask_row_begin: return "mask.row_begin";
    case tensor_name::mask_row_end: return "mask.row_end";
    case tensor_name::mask_drafts: return "mask.drafts";
    case tensor_name::part_o: return "part_o";
    case tensor_name::part_lse: return "part_lse";
    case tensor_name::part_o_stride: return "part_o_stride";
    case tensor_name::part_lse_stride: return "part_lse_stride";
    case tensor_name::d_o: return "d_o";
    case tensor_name::dq: return "dq";
    case tensor_name::dk: return "dk";
    case tensor_name::dv: return "dv";
    case tensor_name::d_sink_logits: return "d_sink_logits";
    case tensor_name::d_loss: return "d_loss";
    case tensor_name::loss: return "loss";
    case tensor_name::d_index_q: return "d_index_q";
    case tensor_name::d_index_k: return "d_index_k";
    case tensor_name::d_weights: return "d_weights";
    case tensor_name::scratch: return "workspace.scratch";
    case tensor_name::state: return "workspace.state";
  }
  return "unknown tensor";
}

/// A status, and what it is about as far as one tensor is to blame.
struct fault {
  tka::status status = tka::status::ok;
  tensor_name tensor = tensor_name::none;
  std::int32_t dimension = -1;  ///< of its stride or extent; -1: of its base
  std::int64_t found = 0;       ///< only `wrong_extent`
  std::int64_t expected = 0;    ///< only `wrong_extent`: that, or the least
  friend constexpr bool operator==(fault const&, fault const&) = default;
};

namespace detail {

/// Appends to a buffer of the caller's, cutting what has no room.
class text_writer {
 public:
  TKA_INLINE constexpr text_writer(char* buffer, std::size_t size) noexcept
      : next_(buffer), room_(size) {}
  TKA_INLINE constexpr void put(char const* text) noexcept {
    for (; *text != '\0' && room_ > 1; ++text, --room_) *next_++ = *text;
    if (room_ > 0) *next_ = '\0';
  }
  TKA_INLINE constexpr void put(std::int64_t number) noexcept {
    char digits[24] = {};
    std::size_t at = 23;
    auto rest = static_cast<std::uint64_t>(number);
    if (number < 0) rest = ~rest + 1;
    do {
      digits[--at] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    if (number < 0) digits[--at] = '-';
    put(digits + at);
  }

 private:
  char* next_;
  std::size_t room_;
};

}  // namespace detail

/// Writes for instance "misaligned: k, stride 2: tensors: bases and ..." into `buffer`, cut to
/// `size` bytes with the final zero (400 hold all), and returns it. Allocates nothing.
TKA_INLINE constexpr char const* to_string(fault const& f, char* buffer,
                                           std::size_t size) noexcept {
  detail::text_writer out{buffer, size};
  out.put(name_of(f.status));
  if (f.tensor != tensor_name::none) {
    out.put(": ");
    out.put(to_string(f.tensor));
    if (f.dimension >= 0) {
      bool const extent = f.status == status::wrong_extent;
      out.put(extent ? ", extent " : ", stride ");
      out.put(std::int64_t{f.dimension});
      if (extent) {
        out.put(" is ");
        out.put(f.found);
        out.put(" where the plan has ");
        out.put(f.expected);
      }
    }
  }
  if (f.status != status::ok) {
    out.put(": ");
    out.put(to_string(f.status));
  }
  return buffer;
}

}  // namespace tka::inline TKA_ABI
