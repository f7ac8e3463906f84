// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The experiments, and the threads that run them.

#include "evaluation.hpp"

#include "methods.hpp"
#include "progress.hpp"
#include "sequence.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace language_model {
namespace {

using method_pointer = std::unique_ptr<attention_method>;

experiment by_selection(std::string name, int percent, key_choice choice,
                        attention_options const& options) {
  return {std::move(name), percent,
          [choice, options](attention_backend const& backend, attention_shape const& s)
              -> method_pointer { return backend.make_call(choice, s, options); }};
}

experiment by_recency(std::string name, int percent, key_budget budget) {
  return {std::move(name), percent,
          [budget](attention_backend const& backend, attention_shape const& s) -> method_pointer {
            return std::make_unique<recent_attention>(backend, s, budget);
          }};
}

/// - log2 of the probability that `logits` give to `byte`.
double bits_of(Eigen::Ref<Eigen::VectorXf const> logits, std::uint8_t byte) {
  Eigen::VectorXd const x = logits.cast<double>();
  double const largest = x.maxCoeff();
  double const lse = largest + std::log((x.array() - largest).exp().sum());
  return (lse - x[byte]) / std::log(2.0);
}

/// What one window contributes to one experiment.
struct share {
  double bits = 0.0;
  attention_metrics metrics;
  std::vector<double> milliseconds;
};

class window_reader {
 public:
  window_reader(model const& m, attention_backend const& backend,
                std::span<std::uint8_t const> window, evaluation_options const& o)
      : model_(m),
        backend_(backend),
        window_(window),
        alone_(o.alone),
        prefix_(window.size() - 1 - static_cast<std::size_t>(o.scored)),
        sequence_(m, backend) {
    (void)prefill(sequence_, m.shape(), backend, window.first(prefix_));
  }

  [[nodiscard]] share run(experiment const& e) {
    attention_shape const one = shape_of(model_.shape(), 1);
    method_pointer const method = e.make(backend_, one);
    measured_attention measured(backend_, one, *method);
    share s;
    sequence_.truncate(static_cast<std::int32_t>(prefix_));
    for (std::size_t at = prefix_; at + 1 < window_.size();) {
      std::size_t const count = std::min<std::size_t>(measured_every, window_.size() - 1 - at);
      if (alone_) {
        for (std::size_t i = 1; i < count; ++i) decode(at++, *method, nullptr, s);
      } else if (count > 1) {
        read_together(at, count - 1, e, s);
        at += count - 1;
      }
      decode(at++, *method, &measured, s);
    }
    s.metrics = measured.sums();
    return s;
  }

 private:
  void read_together(std::size_t at, std::size_t count, experiment const& e, share& s) {
    method_pointer const method =
        e.make(backend_, shape_of(model_.shape(), static_cast<std::int32_t>(count)));
    columns const logits = model_.logits(sequence_.read(window_.subspan(at, count), *method));
    for (std::size_t i = 0; i < count; ++i) {
      s.bits += bits_of(logits.col(static_cast<Eigen::Index>(i)), window_[at + i + 1]);
    }
  }

  /// One token by itself, timed; what measures its attention is not.
  void decode(std::size_t at, attention_method& method, measured_attention* measured, share& s) {
    using clock = std::chrono::steady_clock;
    auto const start = clock::now();
    clock::duration measuring{};
    columns const x = sequence_.read(window_.subspan(at, 1), [&](int, auto const& step) {
      method.run(step);
      if (measured == nullptr) return;
      auto const before = clock::now();
      measured->run(step);
      measuring += clock::now() - before;
    });
    columns const logits = model_.logits(x);
    std::chrono::duration<double, std::milli> const took = clock::now() - start - measuring;
    s.milliseconds.push_back(took.count());
    s.bits += bits_of(logits.col(0), window_[at + 1]);
  }

  model const& model_;
  attention_backend const& backend_;
  std::span<std::uint8_t const> window_;
  bool alone_;
  std::size_t prefix_;
  sequence sequence_;
};

/// Some windows of `count`, the first and the last among them.
std::vector<int> spread(int wanted, int count) {
  std::vector<int> chosen;
  for (int i = 0; i < wanted; ++i) {
    int const w = wanted == 1 ? 0 : static_cast<int>(std::int64_t{i} * (count - 1) / (wanted - 1));
    if (chosen.empty() || chosen.back() != w) chosen.push_back(w);
  }
  return chosen;
}

double median(std::vector<double>& values) {
  if (values.empty()) return 0.0;
  auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

result combined(experiment const& e, std::vector<share>& shares, int scored) {
  result r{.method = e.method, .percent = e.percent};
  std::vector<double> milliseconds;
  for (share& s : shares) {
    r.bits_per_byte += s.bits / scored / static_cast<double>(shares.size());
    r.metrics += s.metrics;
    milliseconds.insert(milliseconds.end(), s.milliseconds.begin(), s.milliseconds.end());
  }
  r.milliseconds_per_token = median(milliseconds);
  return r;
}

}  // namespace

std::vector<experiment> experiments() {
  std::vector<experiment> rows;
  rows.push_back(by_selection(names::dense, 0, key_choice::exact_radix, {all_keys}));
  rows.push_back(by_recency(names::dense_512, 0, {.keys = 512}));
  constexpr int percents[] = {1, 2, 5, 10, 25};
  for (int const p : percents) {
    rows.push_back(
        by_selection(names::exact, p, key_choice::exact_radix, {.budget = {.percent = p}}));
  }
  for (float const target : {0.99f, 0.9f}) {
    for (int const p : percents) {
      rows.push_back(by_selection(target == 0.9f ? "bucketed, 0.9" : "bucketed, 0.99", p,
                                  key_choice::bucketed,
                                  {.budget = {.percent = p}, .recall_target = target}));
    }
  }
  for (int const p : percents) rows.push_back(by_recency(names::recent, p, {.percent = p}));
  for (int const p : percents) {
    rows.push_back(
        {names::random, p,
         [p](attention_backend const& backend, attention_shape const& s) -> method_pointer {
           auto const seed = static_cast<std::uint64_t>(1000 * p + s.q_len);
           return std::make_unique<random_attention>(backend, s, key_budget{.percent = p}, seed);
         }});
  }
  return rows;
}

evaluation evaluate(model const& m, attention_backend const& backend,
                    std::span<std::uint8_t const> text, evaluation_options const& options) {
  auto const start = std::chrono::steady_clock::now();
  int const length = m.shape().context;
  int const available = static_cast<int>(text.size()) / length;
  if (available == 0) {
    throw std::runtime_error("the text is shorter than one window of " + std::to_string(length) +
                             " bytes");
  }
  if (options.scored < 1 || options.scored >= length) {
    throw std::runtime_error("the scored bytes must be fewer than those of a window");
  }
  evaluation all{.windows = spread(options.windows, available), .window_bytes = length};
  std::vector<experiment> const rows = experiments();
  std::size_t const windows = all.windows.size();
  std::vector<std::vector<share>> shares(rows.size(), std::vector<share>(windows));
  progress shown(windows, windows * rows.size());

  std::atomic<std::size_t> next = 0;
  std::exception_ptr failure;
  std::mutex failure_mutex;
  auto const work = [&] {
    try {
      for (std::size_t w = next++; w < windows; w = next++) {
        auto const at = static_cast<std::size_t>(all.windows[w]) * static_cast<std::size_t>(length);
        window_reader reader(m, backend, text.subspan(at, static_cast<std::size_t>(length)),
                             options);
        shown.prefix_read();
        for (std::size_t row = 0; row < rows.size(); ++row) {
          shares[row][w] = reader.run(rows[row]);
          shown.decoded();
        }
      }
    } catch (...) {
      std::lock_guard const lock{failure_mutex};
      failure = std::current_exception();
      next = windows;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i < options.threads; ++i) threads.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    all.results.push_back(combined(rows[row], shares[row], options.scored));
  }
  all.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return all;
}

double logits_error(model const& m, attention_backend const& backend,
                    safetensors_file const& sample) {
  tensor const tokens = sample.read("tokens");
  tensor const expected = sample.read("logits");
  std::vector<std::uint8_t> bytes;
  for (float const t : tokens.values) bytes.push_back(static_cast<std::uint8_t>(t));
  auto const count = static_cast<Eigen::Index>(bytes.size());
  auto const rows = static_cast<Eigen::Index>(expected.values.size()) / m.shape().vocab;
  if (count == 0 || rows == 0 || rows > count) throw std::runtime_error("the sample is malformed");
  sequence s(m, backend);
  auto const dense = backend.make_call(
      key_choice::exact_radix, shape_of(m.shape(), static_cast<std::int32_t>(count)), {all_keys});
  columns const logits = m.logits(s.read(bytes, *dense));
  Eigen::Map<columns const> const want(expected.values.data(), m.shape().vocab, rows);
  columns const difference = (logits.rightCols(rows) - want).cwiseAbs();
  // A NaN must not pass for agreement.
  return difference.allFinite() ? double{difference.maxCoeff()}
                                : std::numeric_limits<double>::infinity();
}

}  // namespace language_model
