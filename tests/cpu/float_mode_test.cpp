// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Hosts that flush subnormal numbers to zero, or round another way: no score ties by it, no bit
/// changes, and the host finds its mode again.

#include <tka/select_top_k.hpp>

#include <doctest/doctest.h>
#include <memory/guarded_call.hpp>

#include <cstdint>
#include <limits>
#include <vector>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace {

using support::guarded_call;
using tka::status;

#if defined(__SSE2__)
constexpr bool has_modes = true;
constexpr unsigned plain = 0x1f80;
constexpr unsigned flush = 0x8040;  // results and operands
constexpr unsigned downwards = 0x2000;
/// Sets a mode of this thread for as long as it lives.
struct host_mode {
  explicit host_mode(unsigned bits) : set(plain | bits) { _mm_setcsr(set); }
  ~host_mode() { _mm_setcsr(plain); }
  [[nodiscard]] bool kept() const { return (_mm_getcsr() & ~0x3fu) == set; }  // flags aside
  unsigned set;
};
#else
constexpr bool has_modes = false;
constexpr unsigned flush = 0;
constexpr unsigned downwards = 0;
struct host_mode {
  explicit host_mode(unsigned) {}
  [[nodiscard]] bool kept() const { return true; }
};
#endif

/// The two largest of these stored scores.
template <class... Where>
std::vector<std::int32_t> best_two(std::vector<float> const& scores, Where&&... where) {
  constexpr auto select = tka::select_top_k<tka::stored_scores<tka::exact_radix>, tka::fp32,
                                            tka::cpu, tka::form<tka::visibility::all>>;
  auto const n = static_cast<std::int32_t>(scores.size());
  tka::plan const p =
      select.plan({.q_heads = 1, .kv_heads = 1, .kv_len = n, .qk_dim = 16, .v_dim = 16},
                  {.budget = tka::top_k(2)}, {.threads = 2});
  support::guarded<std::byte> scratch(p.scratch_bytes, support::guard::behind, 64);
  std::vector<std::int32_t> found(2, -7);
  status const s = select(
      p, {.index = {.scores = {scores.data(), 0, 0, 0}}, .positions = {found.data(), 0, 0, 0}},
      {.scratch = scratch.data(), .scratch_bytes = p.scratch_bytes}, where...);
  CHECK(s == status::ok);
  return found;
}

constexpr float tiny = std::numeric_limits<float>::denorm_min();

TEST_CASE("[tka.order] subnormal scores do not tie where the host flushes them to zero" *
          doctest::skip(!has_modes)) {
  std::vector<float> const scores{0.0f, tiny, -tiny, 2 * tiny, -0.0f, 3 * tiny};
  std::vector<std::int32_t> const expected{3, 5};
  CHECK(best_two(scores) == expected);
  tka::thread_team before(3);  // its threads have the plain mode
  host_mode const mode(flush);
  tka::thread_team after(3);  // those of this one were made with the host's
  CHECK(best_two(scores) == expected);
  CHECK(best_two(scores, before) == expected);
  CHECK(best_two(scores, after) == expected);
  CHECK(best_two({-0.0f, 0.0f, -0.0f, 0.0f, -1.0f}) == std::vector<std::int32_t>{0, 1});
  CHECK(mode.kept());
}

TEST_CASE("[tka.deterministic] the same bits under any mode of the host" *
          doctest::skip(!has_modes)) {
  constexpr tka::shape small{.batch = 2,
                             .q_heads = 4,
                             .kv_heads = 2,
                             .q_len = 3,
                             .kv_len = 900,
                             .qk_dim = 32,
                             .v_dim = 32};
  // Products of subnormal size, and so are their sums.
  guarded_call<tka::exact_radix, tka::fp32> c(small, {.budget = tka::top_k(40), .scale = 0x1p60f});
  for (float& x : c.q) x *= 1e-20f;
  for (float& x : c.k) x *= 1e-19f;
  c.clear(0);
  REQUIRE(c.run() == status::ok);
  std::vector<unsigned char> const expected = c.output_bytes();
  tka::thread_team before(2);
  for (unsigned const bits : {flush, downwards, flush | downwards}) {
    host_mode const mode(bits);
    tka::thread_team after(2);
    c.reschedule({.workers = 2, .query_tile = 2, .splits = 3});
    c.clear(0);
    CHECK(c.run(before) == status::ok);
    CHECK(c.output_bytes() == expected);
    c.clear(0);
    CHECK(c.run(after) == status::ok);
    CHECK(c.output_bytes() == expected);
    c.clear(0);
    CHECK(c.run() == status::ok);
    CHECK(c.output_bytes() == expected);
    CHECK(mode.kept());
  }
}

}  // namespace
