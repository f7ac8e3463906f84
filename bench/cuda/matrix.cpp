// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One decode step on a GPU at every point that bench/matrix.py lists, and beside it CUB's ways to
/// select. A repetition is one benchmark: three times of replayed graphs between two events.
/// `bench_matrix_cuda [--delay=PERCENT] [Google Benchmark's options]`.

#include "bench_abi.h"
#include "cuda/device.hpp"
#include "cuda/matrix_kernels.hpp"
#include "fidelity.hpp"
#include "point.hpp"
#include "scores.hpp"

#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp8.hpp>
#include <tka/select/bucket_recall.hpp>

#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace bench;
using bench::cuda::check;
using bench::cuda::check_status;
using bench::cuda::element;
using bench::cuda::failure;
using bench::cuda::graph;
using bench::cuda::memory;
using bench::cuda::stream;
using bench::cuda::synchronize;

constexpr std::int64_t past_cache = std::int64_t{768} << 20;  // bytes that a graph rotates over
constexpr std::int64_t most_copies = 64;
constexpr int samples_of_repetition = 3;
double delay_percent = 0.0;

// ---- inputs -------------------------------------------------------------------------------------

/// Keys and values of all points of a precision.
struct pool {
  element type;
  std::int64_t elements;
  memory<std::byte> k, v;

  [[nodiscard]] std::byte const* key(std::int64_t at) const {
    return k.get() + at * bytes_of(type);
  }
  [[nodiscard]] std::byte const* value(std::int64_t at) const {
    return v.get() + at * bytes_of(type);
  }
};

element element_of(std::string_view precision) {
  if (precision == "fp32") return element::fp32;
  if (precision == "fp16") return element::fp16;
  return precision == "bf16" ? element::bf16 : element::fp8;
}

/// 16 GB of bf16 keys, 4 GB of others, less where the device has less.
pool const& pool_of(element type) {
  static std::map<element, pool> pools;
  if (auto const found = pools.find(type); found != pools.end()) return found->second;
  static memory<recorded_row> const recorded{
      std::vector<recorded_row>(recorded_scores.begin(), recorded_scores.end())};
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  std::int64_t bytes = std::int64_t{type == element::bf16 ? 16 : 4} << 30;
  while (bytes > (std::int64_t{1} << 28) && 6 * bytes > static_cast<std::int64_t>(total)) {
    bytes /= 2;
  }
  std::int64_t const elements = bytes / bytes_of(type);
  pool made{type, elements, memory<std::byte>(bytes), memory<std::byte>(bytes)};
  bench::cuda::fill_keys(made.k.get(), type, elements / head_dim, recorded.get(), stream());
  bench::cuda::fill_normal(made.v.get(), type, elements, 1, stream());
  synchronize();
  return pools.emplace(type, std::move(made)).first->second;
}

/// Scores for selections alone.
memory<float> const& score_pool() {
  static memory<float> const made = [] {
    memory<float> m(std::int64_t{1} << 28);
    bench::cuda::fill_normal(m.get(), element::fp32, m.size(), 2, stream());
    synchronize();
    return m;
  }();
  return made;
}

template <class T>
memory<std::byte> queries_as(point const& p) {
  std::mt19937 random{4};
  std::normal_distribution<float> normal;
  std::vector<T> all(static_cast<std::size_t>(p.batch) * q_heads * head_dim);
  for (T& x : all) x = T(normal(random));
  for (std::int64_t head = 0; head < std::int64_t{p.batch} * q_heads; ++head) {
    shape_query(p.scores, all.data() + head * head_dim, head);
  }
  auto const* const bytes = reinterpret_cast<std::byte const*>(all.data());
  return memory<std::byte>(std::vector<std::byte>(bytes, bytes + all.size() * sizeof(T)));
}

memory<std::byte> queries(element type, point const& p) {
  if (type == element::fp32) return queries_as<float>(p);
  if (type == element::fp16) return queries_as<tka::float16_t>(p);
  return queries_as<tka::bfloat16_t>(p);  // with fp8 too
}

// ---- what is timed ------------------------------------------------------------------------------

/// Something that runs over `copies` sets of inputs.
class subject {
 public:
  virtual ~subject() = default;
  virtual void enqueue(std::int64_t copy) = 0;
  [[nodiscard]] virtual std::int64_t copies() const = 0;
};

std::int64_t copies_for(point const& p, std::int64_t bytes, std::int64_t available) {
  if (p.warm) return 1;
  return std::min({(past_cache + bytes - 1) / bytes, most_copies, available});
}

/// task, selection, scope, precision, kv.
std::vector<std::string> parts_of(std::string const& combination) {
  std::vector<std::string> parts;
  std::istringstream in(combination);
  for (std::string part; std::getline(in, part, '/');) parts.push_back(part);
  return parts;
}

/// A call of the library.
class library_call final : public subject {
 public:
  library_call(point const& p, std::string const& combination, bool visible = false) : p_(p) {
    auto const parts = parts_of(combination);
    selects_alone_ = parts[0] == "select";
    indexed_ = parts[1].starts_with("lightning");
    stored_ = parts[1] == "stored_scores";
    type_ = element_of(parts[3]);
    paged_ = parts[4] == "paged";
    make_plan(combination, visible);
    make_inputs();
    make_memory();
    check_status(tka_bench_initialize(planned_.get(), &base_, stream()), "initialize");
    synchronize();
  }

  void enqueue(std::int64_t copy) override {
    tka_bench_tensors const t = at(copy, selects_alone_);
    check_status(tka_bench_run(planned_.get(), &t, stream()), "run");
  }
  [[nodiscard]] std::int64_t copies() const override { return copies_; }
  [[nodiscard]] tka_bench_plan const& plan() const { return plan_; }
  [[nodiscard]] bool indexed() const { return indexed_; }
  [[nodiscard]] bool stored() const { return stored_; }
  [[nodiscard]] double row_bytes() const { return head_dim * double(bytes_of(type_)); }

  /// What the call selects over the first set of inputs.
  [[nodiscard]] outcome selected(bool visible) {
    tka_bench_tensors t = at(0, true);
    memory<float> const lse(std::int64_t{p_.batch} * q_heads);
    memory<float> const lse_visible(visible ? lse.size() : 0);
    if (!selects_alone_) t.lse = lse.get();
    if (visible) t.lse_visible = lse_visible.get();
    check_status(tka_bench_run(planned_.get(), &t, stream()), "run");
    synchronize();
    if (error_.host()[0] != 0) throw failure("its error word is not 0");
    outcome out;
    out.capacity = plan_.capacity;
    out.scope_heads = plan_.scope_heads;
    out.positions = positions_.host();
    out.count = count_.host();
    if (!selects_alone_) out.lse = lse.host();
    if (visible) out.lse_visible = lse_visible.host();
    return out;
  }

 private:
  void make_plan(std::string const& combination, bool visible) {
    tka_bench_call const call{.batch = p_.batch,
                              .q_heads = q_heads,
                              .kv_heads = kv_heads,
                              .q_len = 1,
                              .kv_len = std::max(p_.kv_len, p_.bound),
                              .head_dim = head_dim,
                              .k = p_.k,
                              .page_size = paged_ ? page_size : 0,
                              .index_heads = indexed_ ? index_heads : 0,
                              .visible = visible ? 1 : 0,
                              .scale = scale,
                              .recall = p_.recall,
                              .workers = 0,
                              .query_tile = 0,
                              .stages = 0};
    planned_.reset(tka_bench_create(combination.c_str(), &call, &plan_));
    if (!planned_) throw failure("this build has no " + combination);
    check_status(plan_.status, "plan");
  }

  void make_inputs() {
    std::int64_t const tokens = std::int64_t{p_.batch} * p_.kv_len;
    elements_ = tokens * kv_heads * head_dim;
    if (stored_) {
      scores_ = std::int64_t{p_.batch} * plan_.scope_heads * p_.kv_len;
      copies_ = copies_for(p_, 4 * scores_, score_pool().size() / scores_);
    } else {
      std::int64_t const bytes = 2 * elements_ * bytes_of(type_);
      // Before the pool is made: what fits nothing must not cost memory.
      std::int64_t const most = std::int64_t{type_ == element::bf16 ? 16 : 4} << 30;
      if (bytes / 2 > most || elements_ > pool_of(type_).elements) {
        throw failure("infeasible: its keys and values take " + std::to_string(bytes >> 30) +
                      " GB, more than is set aside for them");
      }
      std::int64_t const index_bytes = tokens * head_dim + std::int64_t{2} * p_.batch * p_.k *
                                                               kv_heads * head_dim *
                                                               bytes_of(type_);
      copies_ = copies_for(p_, indexed_ ? index_bytes : bytes, pool_of(type_).elements / elements_);
    }
    if (copies_ < 1) throw failure("infeasible: its scores are more than are set aside");
    q_ = queries(type_, p_);
    lengths_ = memory<std::int32_t>(
        std::vector<std::int32_t>(static_cast<std::size_t>(p_.batch), p_.kv_len));
    if (paged_) {
      std::vector<std::int32_t> table(static_cast<std::size_t>(tokens / page_size));
      std::iota(table.begin(), table.end(), 0);
      std::shuffle(table.begin(), table.end(), std::mt19937{7});
      table_ = memory<std::int32_t>(table);
    }
    if (indexed_) {
      index_q_ = memory<std::byte>(std::int64_t{p_.batch} * index_heads * head_dim);
      bench::cuda::fill_normal(index_q_.get(), element::fp8, index_q_.size(), 3, stream());
      weights_ = memory<float>(
          std::vector<float>(static_cast<std::size_t>(p_.batch) * index_heads, 0.125f));
      index_copies_ = pool_of(element::fp8).elements / (tokens * head_dim);
    }
  }

  void make_memory() {
    scratch_ = memory<std::byte>(plan_.scratch_bytes);
    state_ = memory<std::byte>(plan_.state_bytes);
    o_ = memory<float>(std::int64_t{p_.batch} * q_heads * head_dim);
    std::int64_t const rows = std::int64_t{p_.batch} * plan_.scope_heads;
    positions_ = memory<std::int32_t>(rows * plan_.capacity);
    count_ = memory<std::int32_t>(rows);
    error_ = memory<std::uint32_t>(std::vector<std::uint32_t>(1, 0u));
    std::int64_t const tokens = paged_ ? page_size : p_.kv_len;
    base_ = {.q = q_.get(),
             .k = nullptr,
             .v = nullptr,
             .o = o_.get(),
             .lengths = lengths_.get(),
             .batch_stride = kv_heads * tokens * head_dim,
             .head_stride = tokens * head_dim,
             .positions = nullptr,
             .count = nullptr,
             .lse = nullptr,
             .lse_visible = nullptr,
             .error = error_.get(),
             .scratch = scratch_.get(),
             .state = state_.get(),
             .block_table = table_.get(),
             .table_stride = p_.kv_len / page_size,
             .pages = table_.size(),
             .index_q = index_q_.get(),
             .index_k = nullptr,
             .index_weights = weights_.get(),
             .index_stride = std::int64_t{p_.kv_len} * head_dim,
             .scores = nullptr,
             .scores_stride = p_.kv_len};
  }

  /// All tensors with the keys and values, or scores, that stand at `copy`.
  [[nodiscard]] tka_bench_tensors at(std::int64_t copy, bool with_positions) const {
    tka_bench_tensors t = base_;
    if (stored_) {
      t.scores = score_pool().get() + copy * scores_;
    } else {
      t.k = pool_of(type_).key(copy * elements_);
      t.v = pool_of(type_).value(copy * elements_);
    }
    if (indexed_) {
      std::int64_t const keys = std::int64_t{p_.batch} * p_.kv_len * head_dim;
      t.index_k = pool_of(element::fp8).key(copy % index_copies_ * keys);
    }
    if (with_positions) {
      t.positions = positions_.get();
      t.count = count_.get();
    }
    return t;
  }

  struct destroy {
    void operator()(void* planned) const { tka_bench_destroy(planned); }
  };

  point p_;
  bool selects_alone_ = false, indexed_ = false, stored_ = false, paged_ = false;
  element type_ = element::bf16;
  std::unique_ptr<void, destroy> planned_;
  tka_bench_plan plan_{};
  std::int64_t elements_ = 0, scores_ = 0, copies_ = 0, index_copies_ = 1;
  memory<std::byte> q_, index_q_, scratch_, state_;
  memory<float> o_, weights_;
  memory<std::int32_t> lengths_, table_, positions_, count_;
  memory<std::uint32_t> error_;
  tka_bench_tensors base_{};
};

/// CUB over the same scores as the library's stored_scores.
class cub_call final : public subject {
 public:
  cub_call(point const& p, bool sorts)
      : p_(p), sorts_(sorts), rows_(p.batch * q_heads), items_(std::int64_t{rows_} * p.kv_len) {
    copies_ = copies_for(p, 4 * items_, score_pool().size() / items_);
    if (copies_ < 1 || items_ >= (std::int64_t{1} << 31))
      throw failure("infeasible: too many scores");
    std::int64_t const out = sorts ? items_ : std::int64_t{rows_} * p.k;
    values_ = memory<float>(out);
    positions_ = memory<std::int32_t>(out);
    if (sorts) {
      iota_ = memory<std::int32_t>(items_);
      bench::cuda::fill_iota(iota_.get(), items_, p.kv_len, stream());
      std::vector<std::int32_t> offsets(static_cast<std::size_t>(rows_) + 1);
      for (std::size_t i = 0; i < offsets.size(); ++i) {
        offsets[i] = static_cast<std::int32_t>(i) * p.kv_len;
      }
      offsets_ = memory<std::int32_t>(offsets);
    }
    std::size_t bytes = 0;
    call(nullptr, bytes, 0);
    work_ = memory<std::byte>(static_cast<std::int64_t>(bytes));
  }

  void enqueue(std::int64_t copy) override {
    auto bytes = static_cast<std::size_t>(work_.size());
    call(work_.get(), bytes, copy);
  }
  [[nodiscard]] std::int64_t copies() const override { return copies_; }

  /// [rows, k] positions over the first scores, each row ascending.
  [[nodiscard]] std::vector<std::int32_t> selected() {
    enqueue(0);
    auto const all = positions_.host();
    std::vector<std::int32_t> kept;
    std::int64_t const stride = sorts_ ? p_.kv_len : p_.k;
    for (std::int64_t row = 0; row < rows_; ++row) {
      auto const from = all.begin() + row * stride;
      kept.insert(kept.end(), from, from + p_.k);
      std::sort(kept.end() - p_.k, kept.end());
    }
    return kept;
  }

 private:
  void call(void* work, std::size_t& bytes, std::int64_t copy) {
    bench::cuda::rows_of_scores const in{score_pool().get() + copy * items_, rows_, p_.kv_len};
    cudaError_t const error =
        sorts_ ? bench::cuda::sort_rows(work, bytes, in, iota_.get(), offsets_.get(), values_.get(),
                                        positions_.get(), stream())
               : bench::cuda::batched_topk(work, bytes, in, p_.k, values_.get(), positions_.get(),
                                           stream());
    if (error == cudaErrorNotSupported) {
      throw failure("CUB " + std::to_string(bench::cuda::cub_version()) +
                    " has no cub::DeviceBatchedTopK for such rows");
    }
    check(error, "CUB");
  }

  point p_;
  bool sorts_;
  std::int32_t rows_;
  std::int64_t items_, copies_ = 0;
  memory<float> values_;
  memory<std::int32_t> positions_, iota_, offsets_;
  memory<std::byte> work_;
};

// ---- ceilings -----------------------------------------------------------------------------------

/// What the device can do, measured in this run.
struct ceilings {
  double read_bytes_per_second = 0.0;
  double gather_bytes_per_second = 0.0;  // rows of 256 bytes
  double launch_us = 0.0;                // an empty kernel as a node of a graph

  void measure() {
    pool const& p = pool_of(element::bf16);
    std::int64_t const bytes = std::min<std::int64_t>(p.k.size(), std::int64_t{4} << 30);
    memory<std::uint32_t> const sink(1);
    std::vector<std::int32_t> rows(std::size_t{1} << 22);
    std::mt19937 random{9};
    std::uniform_int_distribution<std::int32_t> row(0, static_cast<std::int32_t>(bytes / 256 - 1));
    for (auto& r : rows) r = row(random);
    memory<std::int32_t> const at(rows);
    auto const count = static_cast<std::int64_t>(rows.size());
    auto const to_check = [](std::int32_t e) { check(static_cast<cudaError_t>(e), "ceiling"); };
    graph read([&] { to_check(tka_bench_read(p.k.get(), bytes, sink.get(), stream())); });
    graph gather(
        [&] { to_check(tka_bench_gather(p.k.get(), at.get(), count, sink.get(), stream())); });
    constexpr int empties = 200;
    graph empty([&] {
      for (int i = 0; i < empties; ++i) to_check(tka_bench_empty(stream()));
    });
    read_bytes_per_second = static_cast<double>(bytes) / median(read) * 1e6;
    gather_bytes_per_second = 256.0 * static_cast<double>(count) / median(gather) * 1e6;
    launch_us = median(empty) / empties;
  }

 private:
  static double median(graph& g) {
    std::vector<double> us(9);
    for (double& x : us) x = g.us();
    std::nth_element(us.begin(), us.begin() + 4, us.end());
    return us[4];
  }
};
ceilings device;

// ---- points -------------------------------------------------------------------------------------

/// Bytes, products and fidelity of a call of the library.
counters describe(point const& p) {
  library_call plain(p, p.combination);
  if (plain.stored()) {
    outcome const found = plain.selected(false);
    if (char const* const why = malformed(found, p)) throw failure(why);
    return {{"k_bytes", 4.0 * p.batch * q_heads * p.kv_len},
            {"v_bytes", 0.0},
            {"multiply_adds", 0.0},
            {"recall", 1.0}};
  }
  bool const visible = !plain.indexed();
  library_call call(p, p.combination, visible);
  outcome const found = call.selected(visible);
  if (char const* const why = malformed(found, p)) throw failure(why);
  counters c = work_of(p, found, call.row_bytes(), call.indexed());
  c["recall"] = 1.0;
  if (visible) c["retained_mass"] = mean_mass(found);
  if (*p.reference != '\0') {
    library_call reference(p, p.reference, visible);
    outcome const exact = reference.selected(visible);
    c["recall"] = mean_recall(found, exact);
    if (visible) c["exact_retained_mass"] = mean_mass(exact);
    c["expected_recall"] =
        tka::expected_recall(p.kv_len, p.k, call.plan().buckets, call.plan().per_bucket);
  }
  return c;
}

/// Throws where CUB and the library do not keep the same scores.
void compare_with_library(point const& p, cub_call& peer) {
  library_call ours(p, "select/stored_scores/query_head/bf16/contiguous");
  auto const expected = ours.selected(false).positions;
  auto const found = peer.selected();
  std::int64_t const items = std::int64_t{p.batch} * q_heads * p.kv_len;
  std::vector<float> scores(static_cast<std::size_t>(items));
  check(cudaMemcpy(scores.data(), score_pool().get(), scores.size() * 4, cudaMemcpyDeviceToHost),
        "cudaMemcpy");
  for (std::size_t row = 0; row < found.size() / static_cast<std::size_t>(p.k); ++row) {
    auto const sorted = [&](std::vector<std::int32_t> const& positions) {
      std::vector<float> kept;
      for (std::size_t i = 0; i < static_cast<std::size_t>(p.k); ++i) {
        auto const at =
            static_cast<std::size_t>(positions[row * static_cast<std::size_t>(p.k) + i]);
        kept.push_back(scores.at(row * static_cast<std::size_t>(p.kv_len) + at));
      }
      std::sort(kept.begin(), kept.end());
      return kept;
    };
    if (sorted(expected) != sorted(found)) throw failure("it keeps other scores than the library");
  }
}

/// A point that is ready to be timed; kept from one repetition to the next.
class prepared {
 public:
  explicit prepared(point const& p) {
    std::fprintf(stderr, "%s\n", p.name);
    if (std::string_view(p.combination).starts_with("peer/")) {
      auto peer = std::make_unique<cub_call>(p, std::strstr(p.combination, "sort") != nullptr);
      compare_with_library(p, *peer);
      known_ = {{"k_bytes", 4.0 * p.batch * q_heads * p.kv_len}, {"v_bytes", 0.0}};
      subject_ = std::move(peer);
    } else {
      known_ = describe(p);
      subject_ = std::make_unique<library_call>(p, p.combination);
    }
    measure_enqueue();
    calls_ = p.warm ? 16 : subject_->copies();
    capture(0);
    known_["launches"] = double(graph_->kernels()) / static_cast<double>(calls_);
    if (delay_percent > 0.0) {
      double const wanted = graph_->us() / static_cast<double>(calls_) * delay_percent / 100.0;
      capture(std::max<std::int64_t>(1, std::llround(1e3 * (wanted - device.launch_us))));
    }
    synchronize();
  }

  void time(benchmark::State& state) {
    double us[samples_of_repetition];
    for (double& x : us) x = graph_->us() / static_cast<double>(calls_);
    std::sort(std::begin(us), std::end(us));
    double const middle = us[samples_of_repetition / 2];
    for (auto _ : state) state.SetIterationTime(middle * 1e-6);
    for (auto const& [name, value] : known_) state.counters[name] = value;
    double const bytes = known_.at("k_bytes") + known_.at("v_bytes");
    state.counters["median_ms"] = middle * 1e-3;
    state.counters["least_ms"] = us[0] * 1e-3;
    state.counters["read_share"] = bytes / middle * 1e6 / device.read_bytes_per_second;
  }

 private:
  /// Host time of a call outside of a graph.
  void measure_enqueue() {
    constexpr int count = 20;
    for (int i = 0; i < 3; ++i) subject_->enqueue(i % subject_->copies());
    synchronize();
    auto const begin = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) subject_->enqueue(i % subject_->copies());
    std::chrono::duration<double, std::micro> const us = std::chrono::steady_clock::now() - begin;
    synchronize();
    known_["enqueue_us"] = us.count() / count;
  }

  void capture(std::int64_t delay_ns) {
    graph_ = std::make_unique<graph>([&] {
      for (std::int64_t i = 0; i < calls_; ++i) {
        subject_->enqueue(i % subject_->copies());
        if (delay_ns > 0) bench::cuda::spin(delay_ns, stream());
      }
    });
  }

  counters known_;
  std::unique_ptr<subject> subject_;
  std::unique_ptr<graph> graph_;
  std::int64_t calls_ = 0;
};

void run(benchmark::State& state, point const& p) {
  static std::map<std::string, std::unique_ptr<prepared>> ready;
  static std::map<std::string, std::string> refused;
  if (auto const why = refused.find(p.name); why != refused.end()) {
    state.SkipWithError(why->second.c_str());
    return;
  }
  try {
    auto& found = ready[p.name];
    if (!found) found = std::make_unique<prepared>(p);
    found->time(state);
  } catch (std::exception const& problem) {
    (void)cudaGetLastError();
    refused[p.name] = problem.what();
    std::fprintf(stderr, "  %s\n", problem.what());
    state.SkipWithError(refused[p.name].c_str());
  }
}

constexpr point points[] = {
#include "points.inc"
};

void add_points() {
  for (point const& p : points) {
    benchmark::RegisterBenchmark(p.name, [&p](benchmark::State& state) { run(state, p); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  }
}

/// Takes `--delay=PERCENT` off the command line.
void read_delay(int& argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--delay=", 8) == 0) {
      delay_percent = std::atof(argv[i] + 8);
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
}

void describe_device() {
  cudaDeviceProp properties{};
  int runtime = 0;
  check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  auto const say = [](char const* name, auto value) {
    benchmark::AddCustomContext(name, std::to_string(value));
  };
  benchmark::AddCustomContext("device", properties.name);
  say("multiprocessors", properties.multiProcessorCount);
  say("cuda", runtime);
  say("cub", bench::cuda::cub_version());
  say("read_bytes_per_second", device.read_bytes_per_second);
  say("gather_bytes_per_second", device.gather_bytes_per_second);
  say("launch_us", device.launch_us);
  say("delay_percent", delay_percent);
}

}  // namespace

int main(int argc, char** argv) {
  read_delay(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  try {
    if (tka_bench_abi() != TKA_BENCH_ABI) throw failure("libtka_bench.so is of another build");
    device.measure();
    describe_device();
  } catch (std::exception const& problem) {
    std::fprintf(stderr, "bench_matrix_cuda: %s\n", problem.what());
    return 1;
  }
  add_points();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
