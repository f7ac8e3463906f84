// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Every status that a call can give: outputs and workspace keep every byte.

#include <tka/attend_selected.hpp>
#include <tka/select_top_k.hpp>

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace {

using support::guarded_call;
using tka::status;

constexpr tka::shape small{.batch = 2,
                           .q_heads = 4,
                           .kv_heads = 2,
                           .q_len = 2,
                           .kv_len = 64,
                           .qk_dim = 16,
                           .v_dim = 32,
                           .page_size = 8,
                           .index_heads = 2,
                           .index_dim = 16};
constexpr tka::options numbers{.budget = tka::top_k(8), .scale = 0.5f};

/// Calls with one thing changed, in all three ways to run; nothing may be written.
template <class Call, class Change>
status refused(Call& c, Change&& change) {
  auto tensors = c.arguments();
  tka::workspace w = c.workspace();
  tka::plan p = c.plan;
  change(p, tensors, w);
  c.clear(0x5a);
  c.scratch.fill_bytes(0xa5);
  std::vector<unsigned char> const outputs = c.output_bytes();
  std::vector<unsigned char> scratch;
  c.scratch.append_bytes_to(scratch);

  status const whole = c.call(p, tensors, w);
  CHECK(c.call.run_phase(p, tensors, w, 0, 0, 1) == whole);
  CHECK(whole != status::ok);

  CHECK(c.output_bytes() == outputs);
  std::vector<unsigned char> after;
  c.scratch.append_bytes_to(after);
  CHECK(after == scratch);
  CHECK(c.error[0] == 0);
  CHECK(c.intact());
  return whole;
}

using plain_call = guarded_call<tka::exact_radix, tka::fp32>;

TEST_CASE("[tka.status] required pointers") {
  plain_call c(small, numbers);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.q.data = nullptr; }) == status::null_pointer);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.k.data = nullptr; }) == status::null_pointer);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.v.data = nullptr; }) == status::null_pointer);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.o.data = nullptr; }) == status::null_pointer);

  guarded_call<tka::exact_radix, tka::fp32, tka::form<tka::kv::paged>> paged(small, numbers);
  CHECK(refused(paged, [](auto&, auto& t, auto&) { t.kv.lengths = nullptr; }) ==
        status::null_pointer);
  CHECK(refused(paged, [](auto&, auto& t, auto&) { t.kv.block_table = nullptr; }) ==
        status::null_pointer);
  using packed = tka::form<tka::kv::ragged, tka::query::ragged>;
  guarded_call<tka::exact_radix, tka::fp32, packed> ragged(small, numbers);
  CHECK(refused(ragged, [](auto&, auto& t, auto&) { t.kv.cumulative = nullptr; }) ==
        status::null_pointer);
  CHECK(refused(ragged, [](auto&, auto& t, auto&) { t.query.cumulative = nullptr; }) ==
        status::null_pointer);
}

TEST_CASE("[tka.status] what an indexer and stored scores need") {
  guarded_call<tka::lightning_indexer<tka::exact_radix>, tka::fp32> c(small, numbers);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.index.q.data = nullptr; }) ==
        status::null_pointer);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.index.k.data = nullptr; }) ==
        status::null_pointer);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.index.weights.data = nullptr; }) ==
        status::null_pointer);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.index.q.token += 1; }) == status::misaligned);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.index.k.batch += 8; }) == status::misaligned);
  guarded_call<tka::stored_scores<tka::exact_radix>, tka::fp32> given(small, numbers);
  CHECK(refused(given, [](auto&, auto& t, auto&) { t.index.scores.data = nullptr; }) ==
        status::null_pointer);
}

TEST_CASE("[tka.strides] [tka.status] bases and outer strides in multiples of 16 bytes") {
  plain_call c(small, numbers);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.q.data += 1; }) == status::misaligned);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.k.data += 2; }) == status::misaligned);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.v.data += 3; }) == status::misaligned);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.o.data += 1; }) == status::misaligned);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.q.batch += 1; }) == status::misaligned);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.q.head += 2; }) == status::misaligned);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.k.token += 1; }) == status::misaligned);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.v.head -= 1; }) == status::misaligned);
  CHECK(refused(c, [](auto&, auto& t, auto&) { t.o.token += 3; }) == status::misaligned);
}

TEST_CASE("[tka.status] [tka.metrics] outputs that the plan does not make") {
  plain_call c(small, numbers);
  CHECK(refused(c, [&](auto&, auto& t, auto&) { t.lse_visible = t.lse; }) ==
        status::metric_unavailable);
  CHECK(refused(c, [&](auto&, auto& t, auto&) { t.entropy_visible = t.lse; }) ==
        status::metric_unavailable);
  CHECK(refused(c, [&](auto&, auto& t, auto&) { t.retained_mass = t.lse; }) ==
        status::metric_unavailable);
  // An approximate set has no threshold.
  guarded_call<tka::bucketed, tka::fp32> b(small, numbers);
  CHECK(refused(b, [&](auto&, auto& t, auto&) { t.threshold_score = t.lse; }) ==
        status::null_pointer);
  CHECK(refused(b, [&](auto&, auto& t, auto&) { t.threshold_position = t.count; }) ==
        status::null_pointer);
}

TEST_CASE("[tka.workspace] [tka.status] workspaces that are too small, null or misaligned") {
  plain_call c(small, numbers);
  REQUIRE(c.plan.scratch_bytes > 0);
  CHECK(refused(c, [](auto&, auto&, auto& w) { w = {}; }) == status::workspace_too_small);
  CHECK(refused(c, [](auto&, auto&, auto& w) { w.scratch_bytes -= 1; }) ==
        status::workspace_too_small);
  CHECK(refused(c, [](auto&, auto&, auto& w) { w.scratch_bytes = 0; }) ==
        status::workspace_too_small);
  CHECK(refused(c, [](auto&, auto&, auto& w) {
          w.scratch = static_cast<char*>(w.scratch) + 32;
          w.scratch_bytes += 64;
        }) == status::workspace_too_small);
}

TEST_CASE("[tka.status] plans of another instance, and plans that carry an error") {
  plain_call c(small, numbers);
  constexpr auto other_precision = tka::sparse_attention<tka::exact_radix, tka::fp16, tka::cpu>;
  constexpr auto other_selection = tka::sparse_attention<tka::bucketed, tka::fp32, tka::cpu>;
  constexpr auto other_form =
      tka::sparse_attention<tka::exact_radix, tka::fp32, tka::cpu, tka::form<tka::scope::kv_group>>;
  constexpr auto other_task = tka::select_top_k<tka::exact_radix, tka::fp32, tka::cpu>;
  constexpr auto given = tka::attend_selected<tka::fp32, tka::cpu>;
  CHECK(refused(c, [&](auto& p, auto&, auto&) { p = other_precision.plan(small, numbers, {}); }) ==
        status::plan_mismatch);
  CHECK(refused(c, [&](auto& p, auto&, auto&) { p = other_selection.plan(small, numbers, {}); }) ==
        status::plan_mismatch);
  CHECK(refused(c, [&](auto& p, auto&, auto&) { p = other_form.plan(small, numbers, {}); }) ==
        status::plan_mismatch);
  CHECK(refused(c, [&](auto& p, auto&, auto&) { p = other_task.plan(small, numbers, {}); }) ==
        status::plan_mismatch);
  CHECK(refused(c, [&](auto& p, auto&, auto&) { p = given.plan(small, numbers, {}); }) ==
        status::plan_mismatch);
  CHECK(refused(c, [&](auto& p, auto&, auto&) { p = tka::plan{}; }) == status::plan_mismatch);
  CHECK(refused(c, [&](auto& p, auto&, auto&) { p.status = status::invalid_scale; }) ==
        status::plan_mismatch);
}

TEST_CASE("[tka.phases] [tka.status] workers and phases out of range") {
  plain_call c(small, numbers, {}, support::guard::behind, "workers", 2);
  c.reschedule({.workers = 2, .query_tile = 1, .splits = 2});
  REQUIRE(c.plan.schedule.phases == 3);
  auto const t = c.arguments();
  auto const w = c.workspace();
  c.clear(0x5a);
  c.scratch.fill_bytes(0xa5);
  std::vector<unsigned char> const outputs = c.output_bytes();
  std::vector<unsigned char> scratch;
  c.scratch.append_bytes_to(scratch);
  auto const phase = [&](std::int32_t number, std::int32_t worker, std::int32_t workers) {
    return c.call.run_phase(c.plan, t, w, number, worker, workers);
  };
  CHECK(phase(-1, 0, 1) == status::invalid_worker);
  CHECK(phase(3, 0, 1) == status::invalid_worker);
  CHECK(phase(0, -1, 1) == status::invalid_worker);
  CHECK(phase(0, 1, 1) == status::invalid_worker);
  CHECK(phase(0, 0, 0) == status::invalid_worker);
  CHECK(phase(0, 0, 3) == status::invalid_worker);
  CHECK(phase(0, 2, 3) == status::invalid_worker);
  CHECK(c.output_bytes() == outputs);
  std::vector<unsigned char> after;
  c.scratch.append_bytes_to(after);
  CHECK(after == scratch);
}

TEST_CASE("[tka.status] select_top_k: both given thresholds or none, and only for exact sets") {
  constexpr auto exact = tka::select_top_k<tka::exact_radix, tka::fp32, tka::cpu>;
  constexpr auto approximate = tka::select_top_k<tka::bucketed, tka::fp32, tka::cpu>;
  plain_call c(small, numbers);
  auto const t = c.arguments();
  c.clear(0x5a);
  std::vector<unsigned char> const outputs = c.output_bytes();
  tka::plan const p = exact.plan(small, numbers, {});
  support::guarded<std::byte> scratch(p.scratch_bytes, support::guard::behind, 64);
  tka::workspace const w{.scratch = scratch.data(), .scratch_bytes = p.scratch_bytes};
  std::remove_const_t<decltype(exact)>::tensors half{.q = t.q, .k = t.k};
  half.positions = t.positions;
  half.given_threshold_score = t.lse;
  CHECK(exact(p, half, w) == status::null_pointer);
  half.given_threshold_score = {};
  half.given_threshold_position = t.count;
  CHECK(exact(p, half, w) == status::null_pointer);
  tka::plan const b = approximate.plan(small, numbers, {});
  support::guarded<std::byte> more(b.scratch_bytes, support::guard::behind, 64);
  std::remove_const_t<decltype(approximate)>::tensors both{.q = t.q, .k = t.k};
  both.positions = t.positions;
  both.given_threshold_score = t.lse;
  both.given_threshold_position = t.count;
  CHECK(approximate(b, both, {.scratch = more.data(), .scratch_bytes = b.scratch_bytes}) ==
        status::null_pointer);
  CHECK(c.output_bytes() == outputs);
}

TEST_CASE("[tka.status] attend_selected: positions and count are required") {
  constexpr auto attend = tka::attend_selected<tka::fp32, tka::cpu>;
  plain_call c(small, numbers);
  auto const t = c.arguments();
  c.clear(0x5a);
  std::vector<unsigned char> const outputs = c.output_bytes();
  tka::plan const p = attend.plan(small, numbers, {});
  REQUIRE(p.status == status::ok);
  support::guarded<std::byte> scratch(p.scratch_bytes, support::guard::behind, 64);
  tka::workspace const w{.scratch = scratch.data(), .scratch_bytes = p.scratch_bytes};
  std::remove_const_t<decltype(attend)>::tensors a{.q = t.q, .k = t.k, .v = t.v, .o = t.o};
  CHECK(attend(p, a, w) == status::null_pointer);
  a.positions = t.positions;
  CHECK(attend(p, a, w) == status::null_pointer);
  a.positions = {};
  a.count = t.count;
  CHECK(attend(p, a, w) == status::null_pointer);
  CHECK(c.output_bytes() == outputs);
}

}  // namespace
