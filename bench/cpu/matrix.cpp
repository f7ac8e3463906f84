// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One decode step on the CPU under every policy: a base point, each axis varied around it, and
/// selection x precision x scope in full; beside it dense attention with Eigen. The name of a
/// benchmark is its point; those whose name begins with `short/` are for comparing two builds.

#include "cpu/dense_peer.hpp"
#include "cpu/inputs.hpp"
#include "cpu/memory.hpp"

#include <tka/backend/cpu.hpp>
#include <tka/metrics/recall.hpp>
#include <tka/metrics/retained_mass.hpp>
#include <tka/sparse_attention.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#ifndef TKA_BENCH_DELAY_PERCENT
#define TKA_BENCH_DELAY_PERCENT 0  // each measured call is made longer: what the guard must find
#endif

namespace {

using namespace bench;

constexpr float scale = 0.08838835f;
constexpr std::int32_t page_size = 64;
constexpr std::int32_t index_heads = 64;
constexpr std::int32_t large_bound = 1 << 20;

double read_bytes_per_second = 0.0;

/// What of a point is known only when it runs.
struct point {
  std::int32_t batch = 1;
  std::int32_t kv_len = 32768;
  std::int32_t k = 2048;
  float recall = 0.0f;  ///< only bucketed
  std::int32_t bound = 0;
  char const* scores = "normal";
  bool in_short_list = false;
};

// ---- one call -----------------------------------------------------------------------------------

template <class Selection>
constexpr bool indexes =
    std::is_same_v<typename Selection::score_source, tka::detail::index_scores>;

/// The outputs of one call that say what it selected.
struct outcome {
  std::vector<float> lse, lse_visible;
  std::vector<std::int32_t> positions, count;
  std::int32_t capacity = 0, scope_heads = 0;
};

/// One problem with all its memory, ready to be called.
template <class Selection, class Precision, class Form>
class subject {
 public:
  using q_type = typename Precision::query_type;
  using k_type = typename Precision::key_type;
  using tensors = tka::attention_tensors<Selection, Precision, Form>;
  static constexpr auto attend = tka::sparse_attention<Selection, Precision, tka::cpu, Form>;
  static constexpr bool paged = Form::kv_source::has_pages;

  explicit subject(point const& p, tka::metrics metrics = tka::metrics::selected)
      : point_(p), elements_(std::int64_t{p.batch} * kv_heads * p.kv_len * head_dim) {
    tka::shape const shape{.batch = p.batch,
                           .q_heads = q_heads,
                           .kv_heads = kv_heads,
                           .kv_len = std::max(p.kv_len, p.bound),
                           .qk_dim = head_dim,
                           .v_dim = head_dim,
                           .page_size = paged ? page_size : 0,
                           .index_heads = indexes<Selection> ? index_heads : 0,
                           .index_dim = indexes<Selection> ? head_dim : 0};
    tka::options options{.budget = tka::top_k(p.k), .scale = scale, .metrics = metrics};
    if (p.recall > 0.0f) options.bucketing.recall_target = p.recall;
    plan_ = attend.plan(shape, options, {.threads = threads});
    if (plan_.status != tka::status::ok) return;
    q_ = queries<q_type>(p.scores, std::int64_t{p.batch} * q_heads);
    o_ = random_block<q_type>(std::int64_t{p.batch} * q_heads * head_dim, 5);
    scratch_ = random_block<std::byte>(static_cast<std::int64_t>(plan_.scratch_bytes), 6);
    lengths_.assign(static_cast<std::size_t>(p.batch), p.kv_len);
    if constexpr (paged) {
      table_.resize(static_cast<std::size_t>(p.batch) * p.kv_len / page_size);
      std::iota(table_.begin(), table_.end(), 0);
      std::shuffle(table_.begin(), table_.end(), std::mt19937{7});
    }
    if constexpr (indexes<Selection>) {
      index_q_ = random_block<tka::float8_e4m3_t>(p.batch * index_heads * head_dim, 8);
      weights_.assign(static_cast<std::size_t>(p.batch) * index_heads, 0.125f);
    }
  }

  tka::plan const& plan() const { return plan_; }
  q_type const* q() const { return q_.get(); }
  q_type const* o() const { return o_.get(); }
  std::int64_t copies() const { return pool<k_type>::elements / elements_; }
  k_type const* k(std::int64_t copy) const {
    return pool<k_type>::get().k.get() + copy * elements_;
  }
  k_type const* v(std::int64_t copy) const {
    return pool<k_type>::get().v.get() + copy * elements_;
  }

  /// All tensors, with the keys and values that stand at `copy`.
  tensors at(std::int64_t copy) const {
    std::int64_t const tokens = paged ? page_size : point_.kv_len;
    tensors t{.q = tka::hnd<q_type const>(q_.get(), q_heads, 1, head_dim),
              .k = tka::hnd(k(copy), kv_heads, tokens, head_dim),
              .v = tka::hnd(v(copy), kv_heads, tokens, head_dim),
              .o = tka::hnd(o_.get(), q_heads, 1, head_dim)};
    if (paged || point_.bound > 0) t.kv.lengths = lengths_.data();
    if constexpr (paged) {
      t.kv.block_table = table_.data();
      t.kv.table_stride = point_.kv_len / page_size;
      t.kv.pages = static_cast<std::int32_t>(table_.size());
    }
    if constexpr (indexes<Selection>) {
      std::int64_t const keys = std::int64_t{point_.batch} * point_.kv_len * head_dim;
      std::int64_t const sets = pool<tka::float8_e4m3_t>::elements / keys;
      t.index.q = tka::hnd<tka::float8_e4m3_t const>(index_q_.get(), index_heads, 1, head_dim);
      t.index.k = tka::hnd<tka::float8_e4m3_t const>(
          pool<tka::float8_e4m3_t>::get().k.get() + copy % sets * keys, 1, point_.kv_len, head_dim);
      t.index.weights = tka::hnd<float const>(weights_.data(), index_heads, 1, 1);
    }
    return t;
  }

  tka::status operator()(tensors const& t) const {
    return attend(plan_, t, {.scratch = scratch_.get(), .scratch_bytes = plan_.scratch_bytes},
                  team());
  }

  outcome selected() const {
    outcome out;
    auto const rows = static_cast<std::size_t>(point_.batch) * plan_.scope_heads;
    out.capacity = plan_.capacity;
    out.scope_heads = plan_.scope_heads;
    out.lse.resize(static_cast<std::size_t>(point_.batch) * q_heads);
    out.lse_visible.resize(out.lse.size());
    out.positions.resize(rows * static_cast<std::size_t>(plan_.capacity));
    out.count.resize(rows);
    tensors t = at(0);
    t.lse = tka::hnd(out.lse.data(), q_heads, 1, 1);
    if (plan_.options.metrics == tka::metrics::visible) {
      t.lse_visible = tka::hnd(out.lse_visible.data(), q_heads, 1, 1);
    }
    t.positions = tka::hnd(out.positions.data(), plan_.scope_heads, 1, plan_.capacity);
    t.count = tka::hnd(out.count.data(), plan_.scope_heads, 1, 1);
    if ((*this)(t) != tka::status::ok) out.count.clear();
    return out;
  }

 private:
  point point_;
  std::int64_t elements_;
  tka::plan plan_{};
  block<q_type> q_, o_;
  block<std::byte> scratch_;
  std::vector<std::int32_t> lengths_, table_;
  block<tka::float8_e4m3_t> index_q_;
  std::vector<float> weights_;
};

// ---- what a point is measured against -----------------------------------------------------------

/// Rows of K or V that some head of a group selects, over all groups.
double selected_rows(outcome const& s) {
  std::size_t const shared = static_cast<std::size_t>(std::max(1, s.scope_heads / kv_heads));
  double rows = 0.0;
  for (std::size_t first = 0; first < s.count.size(); first += shared) {
    std::vector<std::int32_t> all;
    for (std::size_t row = first; row < first + shared; ++row) {
      auto const* const from = s.positions.data() + row * static_cast<std::size_t>(s.capacity);
      all.insert(all.end(), from, from + s.count[row]);
    }
    std::sort(all.begin(), all.end());
    rows += static_cast<double>(std::unique(all.begin(), all.end()) - all.begin());
  }
  return s.scope_heads == 1 ? rows * kv_heads : rows;  // one selection reads all key heads
}

double mean_recall(outcome const& a, outcome const& exact) {
  double sum = 0.0;
  for (std::size_t row = 0; row < a.count.size(); ++row) {
    std::size_t const at = row * static_cast<std::size_t>(a.capacity);
    sum += tka::recall(a.positions.data() + at, a.count[row], exact.positions.data() + at,
                       exact.count[row]);
  }
  return sum / static_cast<double>(a.count.size());
}

double mean_mass(outcome const& a) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.lse.size(); ++i) {
    sum += tka::retained_mass(double{a.lse[i]}, double{a.lse_visible[i]});
  }
  return sum / static_cast<double>(a.lse.size());
}

using counters = std::map<std::string, double>;

/// Bytes and products of one call, and the fidelity of its selection.
template <class Selection, class Precision, class Form>
counters describe(point const& p) {
  using of_point = subject<Selection, Precision, Form>;
  constexpr double row_bytes = head_dim * double{sizeof(typename Precision::key_type)};
  constexpr auto metrics = indexes<Selection> ? tka::metrics::selected : tka::metrics::visible;
  of_point const call(p, metrics);
  outcome const found = call.selected();
  if (found.count.empty()) return {};
  double const keys = double(p.batch) * p.kv_len;
  double const rows = selected_rows(found);
  double const attended = double(p.batch) * q_heads * found.capacity;
  counters c;
  c["v_bytes"] = rows * row_bytes;
  if constexpr (indexes<Selection>) {
    c["k_bytes"] = keys * head_dim + rows * row_bytes;  // index keys, and the keys selected
    c["multiply_adds"] = (keys * index_heads + 2 * attended) * head_dim;
  } else {
    c["k_bytes"] = keys * kv_heads * row_bytes;
    c["multiply_adds"] = (keys * q_heads + attended) * head_dim;
    c["retained_mass"] = mean_mass(found);
    c["recall"] = 1.0;
  }
  if constexpr (std::is_same_v<Selection, tka::bucketed>) {
    subject<tka::exact_radix, Precision, Form> const reference(p, tka::metrics::visible);
    outcome const exact = reference.selected();
    c["recall"] = mean_recall(found, exact);
    c["exact_retained_mass"] = mean_mass(exact);
    tka::bucket_rule const& rule = call.plan().bucket_rule;
    c["expected_recall"] = tka::expected_recall(p.kv_len, p.k, rule.buckets(p.k), rule.per_bucket);
  }
  return c;
}

// ---- timing -------------------------------------------------------------------------------------

/// Bytes a second that two threads read now: the best of `times` reads of `bytes`. The memory of a
/// virtual machine has spells in which it is faster or slower; each repetition says what it met.
double read_rate(int times, std::int64_t bytes) {
  static block<float> const memory = random_block<float>(stream_bytes / 4, 1);
  double best = 0.0;
  for (int i = 0; i < times; ++i) {
    auto const begin = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(read_stream(memory.get(), bytes));
    std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - begin;
    best = std::max(best, static_cast<double>(bytes) / seconds.count());
  }
  return best;
}

/// Times `call(i)`; adds the median of the iterations, which one disturbed call does not move.
template <class Call>
void time_calls(benchmark::State& state, counters const& known, Call&& call) {
  std::vector<double> all;
  double const before = read_rate(2, stream_bytes / 4);
  std::int64_t i = 0;
  for (auto _ : state) {
    auto const begin = std::chrono::steady_clock::now();
    call(i++);
    auto const end = std::chrono::steady_clock::now();
    std::chrono::duration<double> seconds = end - begin;
    if constexpr (TKA_BENCH_DELAY_PERCENT > 0) {
      auto const later = end + (end - begin) * TKA_BENCH_DELAY_PERCENT / 100;
      while (std::chrono::steady_clock::now() < later) continue;
      seconds = std::chrono::steady_clock::now() - begin;
    }
    state.SetIterationTime(seconds.count());
    all.push_back(seconds.count());
  }
  auto const middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  std::nth_element(all.begin(), middle, all.end());
  for (auto const& [name, value] : known) state.counters[name] = value;
  double const rate = (known.at("k_bytes") + known.at("v_bytes")) / *middle;
  state.counters["median_ms"] = *middle * 1e3;
  state.counters["least_ms"] = *std::min_element(all.begin(), all.end()) * 1e3;
  state.counters["read_bytes_per_second"] = rate;
  state.counters["read_before"] = before;
  state.counters["read_after"] = read_rate(2, stream_bytes / 4);
  state.counters["read_share"] = rate / read_bytes_per_second;
}

template <class Selection, class Precision, class Form>
void run(benchmark::State& state, std::string const& name, point const& p) {
  subject<Selection, Precision, Form> const call(p);
  if (call.plan().status != tka::status::ok) {
    state.SkipWithError(tka::to_string(call.plan().status));
    return;
  }
  static std::map<std::string, counters> known;  // a benchmark is entered again and again
  if (!known.contains(name)) known[name] = describe<Selection, Precision, Form>(p);
  if (known[name].empty() || call(call.at(0)) != tka::status::ok) {
    state.SkipWithError("the call failed");
    return;
  }
  tka::status status = tka::status::ok;
  time_calls(state, known[name], [&](std::int64_t i) {
    tka::status const s = call(call.at((i + 1) % call.copies()));
    if (s != tka::status::ok) status = s;
  });
  if (status != tka::status::ok) state.SkipWithError(tka::to_string(status));
}

/// The largest difference of the peer's output from that of the library over all keys.
template <class Subject>
double difference(Subject const& call, std::vector<float> const& dense) {
  double largest = 0.0;
  if (call(call.at(0)) != tka::status::ok) return HUGE_VAL;
  for (std::size_t i = 0; i < dense.size(); ++i) {
    double const d = std::abs(static_cast<double>(static_cast<float>(call.o()[i])) - dense[i]);
    largest = d <= largest ? largest : d;  // NaN stays
  }
  return largest;
}

template <class Precision>
void run_dense(benchmark::State& state, std::string const& name, point p) {
  p.k = p.kv_len;
  subject<tka::exact_radix, Precision, tka::form<>> const call(p);
  std::vector<float> o(static_cast<std::size_t>(p.batch) * q_heads * head_dim);
  auto const dense = [&](std::int64_t copy) {
    dense_eigen(call.q(), call.k(copy), call.v(copy), o.data(), p.batch, p.kv_len, scale);
  };
  static std::map<std::string, double> checked;
  dense(0);
  if (!checked.contains(name)) checked[name] = difference(call, o);
  // Outputs are averages of thousands of normal values: about 0.03. bf16 rounds them to 1 / 512.
  if (!(checked[name] < 1e-3)) {
    state.SkipWithError("its output is not that of the library with k = kv_len");
    return;
  }
  double const bytes =
      double(p.batch) * kv_heads * p.kv_len * head_dim * sizeof(typename Precision::key_type);
  double const products = 2.0 * p.batch * q_heads * p.kv_len * head_dim;
  time_calls(state,
             {{"k_bytes", bytes},
              {"v_bytes", bytes},
              {"multiply_adds", products},
              {"largest_difference", checked[name]}},
             [&](std::int64_t i) { dense((i + 1) % call.copies()); });
}

// ---- the list of points -------------------------------------------------------------------------

using tka::bf16;
using tka::bucketed;
using tka::exact_radix;
using by_head = tka::form<>;
using by_group = tka::form<tka::scope::kv_group>;
using by_head_paged = tka::form<tka::kv::paged>;

template <class P>
constexpr char const* precision_name = std::is_same_v<P, tka::fp32>   ? "fp32"
                                       : std::is_same_v<P, tka::bf16> ? "bf16"
                                       : std::is_same_v<P, tka::fp16> ? "fp16"
                                                                      : "fp8";

std::string sizes(point const& p) {
  return "/batch:" + std::to_string(p.batch) + "/kv_len:" + std::to_string(p.kv_len);
}

template <class Selection, class Precision, class Form>
void add(point const& p) {
  std::string selection = indexes<Selection> ? "lightning_indexer" : "exact_radix";
  if constexpr (std::is_same_v<Selection, bucketed>) {
    char recall[16];
    std::snprintf(recall, sizeof recall, "%g", double{p.recall});
    selection = std::string("bucketed_") + recall;
  }
  bool const grouped = std::is_same_v<typename Form::scope, tka::scope::kv_group>;
  std::string const name = std::string(p.in_short_list ? "short" : "full") +
                           "/selection:" + selection + "/precision:" + precision_name<Precision> +
                           "/scope:" +
                           (indexes<Selection> ? "all_heads"
                            : grouped          ? "kv_group"
                                               : "query_head") +
                           "/kv:" + (Form::kv_source::has_pages ? "paged" : "contiguous") +
                           sizes(p) + "/k:" + std::to_string(p.k) +
                           "/bound:" + (p.bound > 0 ? "1M" : "exact") + "/scores:" + p.scores;
  benchmark::RegisterBenchmark(
      name.c_str(), [=](benchmark::State& s) { run<Selection, Precision, Form>(s, name, p); })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

template <class Precision>
void add_peer(point const& p) {
  std::string const name =
      std::string("peer/dense_eigen/precision:") + precision_name<Precision> + sizes(p);
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& s) { run_dense<Precision>(s, name, p); })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

template <class Precision>
void add_cross() {
  constexpr bool listed = std::is_same_v<Precision, bf16>;
  add<exact_radix, Precision, by_head>({.in_short_list = true});
  add<exact_radix, Precision, by_group>({.in_short_list = listed});
  add<bucketed, Precision, by_head>({.recall = 0.99f, .in_short_list = listed});
  add<bucketed, Precision, by_group>({.recall = 0.99f, .in_short_list = listed});
}

void add_points() {
  add_cross<tka::fp32>();
  add_cross<tka::bf16>();
  add_cross<tka::fp16>();
  add_cross<tka::fp8>();
  add<tka::lightning_indexer<exact_radix>, bf16, by_head>({.in_short_list = true});
  for (float const recall : {0.8f, 0.9f, 0.95f, 0.999f, 1.0f}) {
    add<bucketed, bf16, by_head>({.recall = recall});  // 1 is refused, and says so
  }
  add<exact_radix, bf16, by_head_paged>({.in_short_list = true});
  for (std::int32_t const kv_len : {8192, 131072}) {
    add<exact_radix, bf16, by_head>({.kv_len = kv_len, .in_short_list = true});
    add<exact_radix, bf16, by_group>({.kv_len = kv_len});
    add<bucketed, bf16, by_head>({.kv_len = kv_len, .recall = 0.99f});
  }
  add<exact_radix, bf16, by_head>({.batch = 4, .in_short_list = true});
  add<exact_radix, bf16, by_head>({.k = 64, .in_short_list = true});
  add<exact_radix, bf16, by_head>({.k = 256});
  add<exact_radix, bf16, by_head>({.bound = large_bound, .in_short_list = true});
  for (std::string_view const scores : score_kinds) {
    if (scores == "normal") continue;
    bool const listed = scores == "narrow" || scores == "zeros_94" || scores == "ascending";
    add<exact_radix, bf16, by_head>({.scores = scores.data(), .in_short_list = listed});
    add<bucketed, bf16, by_head>({.recall = 0.99f, .scores = scores.data()});
  }
  for (point const p :
       {point{.kv_len = 8192}, point{}, point{.kv_len = 131072}, point{.batch = 4}}) {
    add_peer<tka::fp32>(p);
    add_peer<tka::bf16>(p);
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  read_bytes_per_second = read_rate(20, stream_bytes);
  benchmark::AddCustomContext("read_bytes_per_second", std::to_string(read_bytes_per_second));
  benchmark::AddCustomContext("threads", std::to_string(threads));
  benchmark::AddCustomContext("delay_percent", std::to_string(TKA_BENCH_DELAY_PERCENT));
  add_points();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
