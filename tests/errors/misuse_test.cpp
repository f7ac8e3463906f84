// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What is forgotten or mistaken in ordinary use, as a table: each is refused by a status that is
/// said here, for every call that has the member, and no byte is written.

#include <tka/attend_selected.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/select_top_k.hpp>
#include <tka/sparse_attention.hpp>

#include <support/buffers.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using tka::status;
using tka::tensor_name;

constexpr std::int32_t int_max = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t dim = 16;

/// A call of any task over pages, with memory of its own.
template <class Call>
struct setting {
  static constexpr Call call{};
  using tensors = typename Call::tensors;

  tka::shape shape{.batch = 2,
                   .q_heads = 4,
                   .kv_heads = 2,
                   .q_len = 3,
                   .kv_len = 24,
                   .qk_dim = dim,
                   .v_dim = dim,
                   .page_size = 8};
  tka::options options{.budget = tka::top_k(8), .scale = 0.5f};
  tka::cpu_device device{.threads = 1};

  support::buffer<float> q = support::buffer<float>(2 * 4 * 3 * dim);
  support::buffer<float> k = support::buffer<float>(6 * 2 * 8 * dim);
  support::buffer<float> v = support::buffer<float>(6 * 2 * 8 * dim);
  support::buffer<float> o = support::buffer<float>(2 * 4 * 3 * dim);
  support::buffer<float> lse = support::buffer<float>(2 * 4 * 3);
  support::buffer<std::int32_t> positions = support::buffer<std::int32_t>(2 * 4 * 3 * 8);
  support::buffer<std::int32_t> count = support::buffer<std::int32_t>(2 * 4 * 3);
  std::vector<std::int32_t> lengths{24, 17};
  std::vector<std::int32_t> table{0, 1, 2, 3, 4, 5};
  std::vector<std::int32_t> query_positions{0, 1, 2, 3, 4, 5};

  setting() {
    for (auto* const all : {&q, &k, &v}) std::fill_n(all->data(), all->bytes() / 4, 1.0f);
    if constexpr (!requires { tensors{}.scores; }) {  // they are given: read
      std::fill_n(positions.data(), positions.bytes() / 4, 0);
      std::fill_n(count.data(), count.bytes() / 4, 1);
    }
  }

  [[nodiscard]] tensors arguments() {
    tensors t{};
    t.q = tka::nhd(q.data(), 4, 3, dim);
    t.k = tka::nhd(k.data(), 2, 8, dim);
    t.kv.lengths = lengths.data();
    t.kv.block_table = table.data();
    t.kv.table_stride = 3;
    t.kv.pages = 6;
    t.positions = tka::nhd(positions.data(), 4, 3, 8);
    t.count = tka::nhd(count.data(), 4, 3, 1);
    if constexpr (requires { t.o; }) {
      t.v = tka::nhd(v.data(), 2, 8, dim);
      t.o = tka::nhd(o.data(), 4, 3, dim);
      t.lse = tka::nhd(lse.data(), 4, 3, 1);
    }
    return t;
  }
};

using form = tka::form<tka::kv::paged>;
using attend_call = std::remove_const_t<
    decltype(tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu, form>)>;
using select_call =
    std::remove_const_t<decltype(tka::select_top_k<tka::exact_radix, tka::fp32, tka::cpu, form>)>;
using given_call = std::remove_const_t<decltype(tka::attend_selected<tka::fp32, tka::cpu, form>)>;

/// The plan's status, or that of the call; and which tensor it is about.
template <class Call, class Change>
tka::fault outcome(Change const& change) {
  setting<Call> s;
  auto t = s.arguments();
  change(s.shape, s.options, s.device, t);
  tka::plan const p = s.call.plan(s.shape, s.options, s.device);
  if (p.status != status::ok) return {p.status};
  if (p.scratch_bytes > (std::size_t{1} << 30)) return {status::ok};
  support::buffer<std::byte> scratch(p.scratch_bytes);
  tka::workspace const w{.scratch = scratch.data(), .scratch_bytes = p.scratch_bytes};
  std::vector<float> const before(s.o.data(), s.o.data() + s.o.bytes() / 4);
  tka::fault const f = s.call.diagnose(p, t, w);
  status const done = s.call(p, t, w);
  CHECK(done == f.status);
  if (done != status::ok) {
    CHECK(scratch.all_poison());
    CHECK(s.o.all_poison());
    CHECK(s.lse.all_poison());
  }
  return f;
}

enum class in : int { attend = 1, select = 2, given = 4, selecting = 3, attending = 5, all = 7 };

template <class Change>
void misuse(std::string const& what, in calls, status expected, tensor_name tensor,
            std::int32_t dimension, Change const& change) {
  CAPTURE(what);
  auto const check = [&](in which, tka::fault const& f) {
    CAPTURE(static_cast<int>(which));
    CHECK(std::string(tka::name_of(f.status)) == std::string(tka::name_of(expected)));
    CHECK(std::string(tka::to_string(f.tensor)) == std::string(tka::to_string(tensor)));
    CHECK(f.dimension == dimension);
  };
  auto const asked = [&](in which) {
    return (static_cast<int>(calls) & static_cast<int>(which)) != 0;
  };
  if (asked(in::attend)) check(in::attend, outcome<attend_call>(change));
  if (asked(in::select)) check(in::select, outcome<select_call>(change));
  if (asked(in::given)) check(in::given, outcome<given_call>(change));
}

/// Of the plan: no tensor is to blame.
template <class Change>
void misplanned(std::string const& what, in calls, status expected, Change const& change) {
  misuse(what, calls, expected, tensor_name::none, -1, change);
}

TEST_CASE("[tka.status] ordinary use is served") {
  misplanned("nothing", in::all, status::ok, [](auto&, auto&, auto&, auto&) {});
  misplanned("k = 0", in::selecting, status::ok,
             [](auto&, auto& o, auto&, auto& t) { o.budget = tka::top_k(0), t.positions = {}; });
}

TEST_CASE("[tka.status] [tka.budget] budgets that were not given, or say nothing") {
  auto const budget = [](std::string const& what, in calls, tka::budget b) {
    misplanned(what, calls, status::invalid_budget,
               [b](auto&, auto& o, auto&, auto&) { o.budget = b; });
  };
  budget("no budget", in::all, {});
  budget("ratio(0, 0)", in::all, tka::ratio(0, 0));
  budget("ratio(1, 0)", in::all, tka::ratio(1, 0));
  budget("ratio(1, 0, 32)", in::all, tka::ratio(1, 0, 32));
  budget("k < 0", in::all, tka::top_k(-1));
  budget("k = INT_MIN", in::all, tka::top_k(std::numeric_limits<std::int32_t>::min()));
  budget("k_min < 0", in::all, tka::ratio(1, 2, -1));
  budget("more than all", in::all, tka::ratio(3, 2));
  budget("a ratio for given lists", in::given, tka::ratio(1, 2));
}

TEST_CASE("[tka.status] scales at which scores would not stay finite") {
  for (float const scale :
       {0.0f, -1.0f, 1e38f, 2.0f * tka::max_scale, std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    misplanned("scale", in::attending, status::invalid_scale,
               [=](auto&, auto& o, auto&, auto&) { o.scale = scale; });
  }
  for (float const cap : {-1.0f, 1e-40f, 1e-30f, 1e38f, std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    misplanned("soft_cap", in::attending, status::invalid_soft_cap,
               [=](auto&, auto& o, auto&, auto&) { o.soft_cap = cap; });
  }
  misplanned("the largest scale and cap", in::attending, status::ok,
             [](auto&, auto& o, auto&, auto&) { o.scale = o.soft_cap = tka::max_scale; });
  misplanned("the smallest cap", in::attending, status::ok,
             [](auto&, auto& o, auto&, auto&) { o.soft_cap = 1.0f / tka::max_scale; });
}

TEST_CASE("[tka.status] numbers that overflow") {
  misplanned("sinks and recent of INT_MAX, all kept", in::selecting, status::ok,
             [](auto&, auto& o, auto&, auto& t) {
               o.budget = tka::ratio(1, 1), o.sinks = o.recent = int_max;
               t.positions = {}, t.count = {};
             });
  misplanned("sinks and recent of INT_MAX", in::selecting, status::forced_exceeds_budget,
             [](auto&, auto& o, auto&, auto&) { o.sinks = o.recent = int_max; });
  misplanned("all extents at INT_MAX", in::all, status::too_large,
             [](auto& s, auto&, auto& d, auto&) {
               s.batch = s.q_heads = s.kv_heads = s.q_len = s.kv_len = int_max;
               d.threads = int_max;
             });
  misplanned("heads, tokens and threads at INT_MAX", in::all, status::too_large,
             [](auto& s, auto&, auto& d, auto&) {
               s.batch = int_max, s.q_len = int_max / 4, s.kv_len = int_max - 2000;
               d.threads = int_max;
             });
  // Scratch follows its limit, so fewer workers are planned.
  misplanned("threads at INT_MAX, long rows", in::selecting, status::ok,
             [](auto& s, auto&, auto& d, auto&) { s.kv_len = 1 << 28, d.threads = int_max; });
}

TEST_CASE("[tka.status] [tka.strides] pages") {
  auto const table = status::invalid_block_table;
  misuse("no pages", in::all, table, tensor_name::pages, -1,
         [](auto&, auto&, auto&, auto& t) { t.kv.pages = 0; });
  misuse("pages < 0", in::all, table, tensor_name::pages, -1,
         [](auto&, auto&, auto&, auto& t) { t.kv.pages = -3; });
  misuse("no table_stride", in::all, table, tensor_name::table_stride, -1,
         [](auto&, auto&, auto&, auto& t) { t.kv.table_stride = 0; });
  misplanned("no table_stride, one sequence", in::all, status::ok,
             [](auto& s, auto&, auto&, auto& t) { s.batch = 1, t.kv.table_stride = 0; });
  misuse("no block_table", in::all, status::null_pointer, tensor_name::block_table, -1,
         [](auto&, auto&, auto&, auto& t) { t.kv.block_table = nullptr; });
  misuse("no lengths", in::all, status::null_pointer, tensor_name::kv_lengths, -1,
         [](auto&, auto&, auto&, auto& t) { t.kv.lengths = nullptr; });
}

TEST_CASE("[tka.status] [tka.strides] strides that were never set") {
  auto const stride = status::invalid_stride;
  std::int64_t const unset = tka::unset_stride;
  misuse("o has none", in::attending, stride, tensor_name::o, 0, [](auto&, auto&, auto&, auto& t) {
    if constexpr (requires { t.o; }) {
      float* const data = t.o.data;
      t.o = {};
      t.o.data = data;
    }
  });
  misuse("o repeats a row", in::attending, stride, tensor_name::o, 1,
         [](auto&, auto&, auto&, auto& t) {
           if constexpr (requires { t.o; }) t.o.head = 0;
         });
  misuse("rows of o lie over one another", in::attending, stride, tensor_name::o, 2,
         [](auto&, auto&, auto&, auto& t) {
           if constexpr (requires { t.o; }) t.o.token = dim - 4;
         });
  misuse("lse repeats a number", in::attending, stride, tensor_name::lse, 2,
         [](auto&, auto&, auto&, auto& t) {
           if constexpr (requires { t.o; }) t.lse.token = 0;
         });
  misuse("positions lie over one another", in::selecting, stride, tensor_name::positions, 1,
         [](auto&, auto&, auto&, auto& t) { t.positions.head = 7; });
  misuse("count repeats a number", in::selecting, stride, tensor_name::count, 0,
         [](auto&, auto&, auto&, auto& t) { t.count.batch = 0; });
  misuse("k has none", in::all, stride, tensor_name::k, 0, [](auto&, auto&, auto&, auto& t) {
    auto* const data = t.k.data;
    t.k = {};
    t.k.data = data;
  });
  misuse("q has no head stride", in::all, stride, tensor_name::q, 1,
         [=](auto&, auto&, auto&, auto& t) { t.q.head = unset; });
  misuse("rows of k are not contiguous", in::all, stride, tensor_name::k, 3,
         [=](auto&, auto&, auto&, auto& t) { t.k.last = 2; });
  misuse("query positions without a stride", in::selecting, stride, tensor_name::positions_stride,
         -1, [](auto&, auto&, auto&, auto& t) {
           static std::int32_t const at[6] = {};
           t.query.positions = at;
         });
  misplanned("the same query positions for all", in::selecting, status::ok,
             [](auto&, auto&, auto&, auto& t) {
               static std::int32_t const at[6] = {};
               t.query.positions = at, t.query.positions_stride = 0;
             });
  misplanned("an expanded k: its rows repeat", in::all, status::ok,
             [](auto&, auto&, auto&, auto& t) { t.k.batch = t.k.head = t.k.token = 0; });
}

TEST_CASE("[tka.status] [tka.strides] strides of extents of 1 do not matter") {
  std::int64_t const garbage = 7;
  misplanned("one sequence, one token, one head", in::all, status::ok,
             [=](auto& s, auto&, auto&, auto& t) {
               s.batch = s.q_len = s.kv_heads = 1;
               t.q.batch = t.q.token = t.k.head = garbage;
               t.positions.batch = t.count.batch = t.positions.token = 0;
               t.k.extents = t.q.extents = t.positions.extents = {};
               if constexpr (requires { t.o; }) {
                 t.o.batch = t.o.token = t.v.head = garbage, t.lse.token = 0;
                 t.v.extents = t.o.extents = {};
               }
             });
}

TEST_CASE(
    "[tka.status] [tka.extents] views that say how large they are are held against the plan") {
  auto const wrong = status::wrong_extent;
  misuse("q of fewer heads", in::all, wrong, tensor_name::q, 1,
         [](auto&, auto&, auto&, auto& t) { t.q.extents.head = 2; });
  misuse("q of more heads", in::all, wrong, tensor_name::q, 1,
         [](auto&, auto&, auto&, auto& t) { t.q.extents.head = 8; });
  misuse("k of other pages", in::all, wrong, tensor_name::k, 2,
         [](auto&, auto&, auto&, auto& t) { t.k.extents.token = 16; });
  misuse("k of fewer pages", in::all, wrong, tensor_name::k, 0,
         [](auto&, auto&, auto&, auto& t) { t.k.extents.batch = 5; });
  misuse("k of other rows", in::all, wrong, tensor_name::k, 3,
         [](auto&, auto&, auto&, auto& t) { t.k.extents.last = 32; });
  misuse("o of fewer tokens", in::attending, wrong, tensor_name::o, 2,
         [](auto&, auto&, auto&, auto& t) {
           if constexpr (requires { t.o; }) t.o.extents.token = 2;
         });
  misuse("o of fewer sequences", in::attending, wrong, tensor_name::o, 0,
         [](auto&, auto&, auto&, auto& t) {
           if constexpr (requires { t.o; }) t.o.extents.batch = 1;
         });
  misuse("positions of another capacity", in::selecting, wrong, tensor_name::positions, 3,
         [](auto&, auto& o, auto&, auto&) { o.budget = tka::top_k(7); });
  misuse("lists shorter than their capacity", in::given, wrong, tensor_name::positions, 3,
         [](auto&, auto& o, auto&, auto&) { o.budget = tka::top_k(9); });
  misplanned("more sequences and tokens than are used", in::all, status::ok,
             [](auto&, auto&, auto&, auto& t) {
               t.q.extents.batch = 64, t.q.extents.token = 5, t.k.extents.batch = 100;
             });
}

/// Calls over given lists have no mask.
template <class Change>
auto masked(Change const& change) {
  return [change](auto&, auto&, auto&, auto& t) {
    if constexpr (requires { t.mask; }) change(t.mask);
  };
}

TEST_CASE("[tka.status] [tka.mask] masks") {
  [[maybe_unused]] static std::int32_t const ends[6] = {24, 24, 24, 24, 24, 24};
  [[maybe_unused]] static std::uint64_t const words[6] = {};
  misuse("drafts without words", in::selecting, status::null_pointer, tensor_name::mask_drafts, -1,
         masked([](auto& m) { m.draft_keys = 3; }));
  misuse("65 drafts", in::selecting, status::invalid_mask, tensor_name::mask_drafts, -1,
         masked([](auto& m) {
           m.draft_keys = 65, m.drafts = {words, 3, 0, 1};
         }));
  misuse("drafts < 0", in::selecting, status::invalid_mask, tensor_name::mask_drafts, -1,
         masked([](auto& m) { m.draft_keys = -1; }));
  misuse("row_end has no stride", in::selecting, status::invalid_stride, tensor_name::mask_row_end,
         0, masked([](auto& m) { m.row_end.data = ends; }));
  misplanned("row_end", in::selecting, status::ok, masked([](auto& m) {
               m.row_end = {ends, 3, 0, 1};
             }));
}

TEST_CASE("[tka.status] pointers") {
  misuse("no q", in::all, status::null_pointer, tensor_name::q, -1,
         [](auto&, auto&, auto&, auto& t) { t.q = {}; });
  misuse("no v", in::attending, status::null_pointer, tensor_name::v, -1,
         [](auto&, auto&, auto&, auto& t) {
           if constexpr (requires { t.o; }) t.v = {};
         });
  misuse("no lists", in::given, status::null_pointer, tensor_name::positions, -1,
         [](auto&, auto&, auto&, auto& t) { t.positions = {}; });
  misuse("k at 4 bytes", in::all, status::misaligned, tensor_name::k, -1,
         [](auto&, auto&, auto&, auto& t) { t.k.data += 1; });
  misuse("k's token stride", in::all, status::misaligned, tensor_name::k, 2,
         [](auto&, auto&, auto&, auto& t) { t.k.token += 2; });
  misuse("positions at an odd byte", in::all, status::misaligned, tensor_name::positions, -1,
         [](auto&, auto&, auto&, auto& t) {
           using element = std::remove_pointer_t<decltype(t.positions.data)>;
           auto const address = reinterpret_cast<std::uintptr_t>(t.positions.data) + 1;
           t.positions.data = reinterpret_cast<element*>(address);
         });
}

}  // namespace
