// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One decode step on the CPU at every point that bench/matrix.py lists, and beside it dense
/// attention with Eigen. The name of a benchmark is its point; those whose name begins with
/// `short/` are for comparing two builds. `bench_matrix --write-inputs FOLDER` leaves the inputs of
/// fp32 and bf16 for a peer that is another program.

#include "cpu/dense_peer.hpp"
#include "cpu/inputs.hpp"
#include "cpu/memory.hpp"
#include "fidelity.hpp"
#include "point.hpp"

#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#ifndef TKA_BENCH_DELAY_PERCENT
#define TKA_BENCH_DELAY_PERCENT 0  // each measured call is made longer: what the guard must find
#endif

namespace {

using namespace bench;

// ---- one call -----------------------------------------------------------------------------------

template <class Selection>
constexpr bool indexes =
    std::is_same_v<typename Selection::score_source, tka::detail::index_scores>;

/// The selection that an approximate one is compared with.
template <class Selection>
struct exact_of {
  using type = Selection;
};
template <>
struct exact_of<tka::bucketed> {
  using type = tka::exact_radix;
};
template <>
struct exact_of<tka::lightning_indexer<tka::bucketed>> {
  using type = tka::lightning_indexer<tka::exact_radix>;
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
      index_q_ = queries<tka::float8_e4m3_t>("normal", std::int64_t{p.batch} * index_heads);
      weights_.assign(static_cast<std::size_t>(p.batch) * index_heads, 0.125f);
    }
  }

  tka::plan const& plan() const { return plan_; }
  bool fits() const { return elements_ <= pool<k_type>::elements; }
  q_type const* q() const { return q_.get(); }
  q_type const* o() const { return o_.get(); }
  /// Call `i` reads other keys than those before it, as far as the pool has others.
  k_type const* k(std::int64_t i) const { return pool<k_type>::get().k.get() + place(i); }
  k_type const* v(std::int64_t i) const { return pool<k_type>::get().v.get() + place(i); }

  /// All tensors of call `i`.
  tensors at(std::int64_t i) const {
    std::int64_t const tokens = paged ? page_size : point_.kv_len;
    tensors t{.q = tka::hnd<q_type const>(q_.get(), q_heads, 1, head_dim),
              .k = tka::hnd(k(i), kv_heads, tokens, head_dim),
              .v = tka::hnd(v(i), kv_heads, tokens, head_dim),
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
          pool<tka::float8_e4m3_t>::get().k.get() + i % sets * keys, 1, point_.kv_len, head_dim);
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
  std::int64_t place(std::int64_t i) const {
    return i % (pool<k_type>::elements / elements_) * elements_;
  }

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

/// Bytes and products of one call, and the fidelity of its selection; empty where it fails.
template <class Selection, class Precision, class Form>
counters describe(point const& p) {
  using exact = typename exact_of<Selection>::type;
  constexpr bool by_index = indexes<Selection>;
  constexpr double row_bytes = head_dim * double{sizeof(typename Precision::key_type)};
  constexpr auto metrics = by_index ? tka::metrics::selected : tka::metrics::visible;
  subject<Selection, Precision, Form> const call(p, metrics);
  outcome found = call.selected();
  if (malformed(found, p) != nullptr) return {};
  if constexpr (by_index) {  // it scores nothing over q and k; what all keys weigh says another
    using visible = tka::form<typename Form::kv_source>;
    subject<tka::exact_radix, Precision, visible> const all(p, tka::metrics::visible);
    found.lse_visible = all.selected().lse_visible;
  }
  counters c = work_of(p, found, row_bytes, by_index);
  c["recall"] = 1.0;  // of an exact one by definition: tests/ hold it
  c["retained_mass"] = mean_mass(found);
  if constexpr (!std::is_same_v<Selection, exact>) {
    subject<exact, Precision, Form> const reference(p, metrics);
    outcome best = reference.selected();
    c["recall"] = mean_recall(found, best);
    if constexpr (by_index) best.lse_visible = found.lse_visible;
    c["exact_retained_mass"] = mean_mass(best);
    tka::bucket_rule const& rule = call.plan().bucket_rule;
    c["expected_recall"] = tka::expected_recall(p.kv_len, p.k, rule.buckets(p.k), rule.per_bucket);
  }
  return c;
}

// ---- timing -------------------------------------------------------------------------------------

/// Bytes a second that two threads read now: the best of `times` reads of more than caches hold.
/// The memory of a virtual machine has spells in which it is faster or slower; each repetition says
/// what it met.
double read_rate(int times) {
  static block<float> const memory = random_block<float>(stream_bytes / 4, 1);
  double best = 0.0;
  for (int i = 0; i < times; ++i) {
    auto const begin = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(read_stream(memory.get()));
    std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - begin;
    best = std::max(best, static_cast<double>(stream_bytes) / seconds.count());
  }
  return best;
}

/// Times `call(i)`; adds the median of the iterations, which one disturbed call does not move.
template <class Call>
void time_calls(benchmark::State& state, counters const& known, Call&& call) {
  std::vector<double> all;
  double const before = read_rate(1);
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
  state.counters["median_ms"] = *middle * 1e3;
  state.counters["least_ms"] = *std::min_element(all.begin(), all.end()) * 1e3;
  state.counters["read_before"] = before;
  state.counters["read_after"] = read_rate(1);
}

template <class Selection, class Precision, class Form>
void run(benchmark::State& state, point const& p) {
  subject<Selection, Precision, Form> const call(p);
  if (call.plan().status != tka::status::ok) {
    state.SkipWithError(tka::to_string(call.plan().status));
    return;
  }
  if (!call.fits()) {
    state.SkipWithError("its keys are more than the memory of all points holds");
    return;
  }
  static std::map<std::string, counters> known;  // a benchmark is entered again and again
  if (!known.contains(p.name)) known[p.name] = describe<Selection, Precision, Form>(p);
  if (known[p.name].empty() || call(call.at(0)) != tka::status::ok) {
    state.SkipWithError("the call failed");
    return;
  }
  tka::status status = tka::status::ok;
  time_calls(state, known[p.name], [&](std::int64_t i) {
    tka::status const s = call(call.at(i + 1));
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
void run_dense(benchmark::State& state, point p) {
  p.k = p.kv_len;
  subject<tka::exact_radix, Precision, tka::form<>> const call(p);
  std::vector<float> o(static_cast<std::size_t>(p.batch) * q_heads * head_dim);
  auto const dense = [&](std::int64_t i) {
    dense_eigen(call.q(), call.k(i), call.v(i), o.data(), p.batch, p.kv_len);
  };
  static std::map<std::string, double> checked;
  dense(0);
  if (!checked.contains(p.name)) checked[p.name] = difference(call, o);
  // Outputs are averages of thousands of normal values: about 0.03. bf16 rounds them to 1 / 512.
  if (!(checked[p.name] < 1e-3)) {
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
              {"largest_difference", checked[p.name]}},
             [&](std::int64_t i) { dense(i + 1); });
}

// ---- the list of points -------------------------------------------------------------------------

using runner = void (*)(benchmark::State&, point);

template <class Selection, class Precision, class Form>
void run_point(benchmark::State& state, point p) {
  run<Selection, Precision, Form>(state, p);
}

std::map<std::string_view, runner> const runners{
#define TKA_MATRIX_COMBINATION(name, selection, precision, ...) \
  {name, run_point<selection, precision, __VA_ARGS__>},
#include "combinations.inc"
#undef TKA_MATRIX_COMBINATION
    {"peer/dense_eigen/fp32", run_dense<tka::fp32>},
    {"peer/dense_eigen/bf16", run_dense<tka::bf16>},
};

constexpr point points[] = {
#include "points.inc"
};

void add_points() {
  for (point const& p : points) {
    runner const r = runners.at(p.combination);
    benchmark::RegisterBenchmark(p.name, [=](benchmark::State& state) { r(state, p); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--write-inputs") {
    write_sizes(argv[2]);
    write_inputs<float>(argv[2], "fp32");
    write_inputs<tka::bfloat16_t>(argv[2], "bf16");
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("read_bytes_per_second", std::to_string(read_rate(20)));
  benchmark::AddCustomContext("threads", std::to_string(threads));
  benchmark::AddCustomContext("delay_percent", std::to_string(TKA_BENCH_DELAY_PERCENT));
  add_points();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
