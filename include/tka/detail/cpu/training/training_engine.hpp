// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Plans and runs the calls that training adds: a stage goes over rows, and sums over keys are kept
/// in scratch until all rows have added to them. Nothing is as large as q_len * kv_len.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/engine.hpp>
#include <tka/detail/cpu/float_mode.hpp>
#include <tka/detail/cpu/training/backward_stage.hpp>
#include <tka/detail/cpu/training/indexer_stage.hpp>
#include <tka/detail/cpu/training/row_keys.hpp>
#include <tka/detail/cpu/training/training_row.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/check_training.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/plan.hpp>
#include <tka/saved_selection.hpp>
#include <tka/workspace.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Two phases. With one split a worker does all rows of a sequence and key head in order, and only
/// what is summed over rows is left for the second phase. With more, `by_row` makes the gradients
/// of rows first, a block of rows an item, and then those of keys, a range of keys an item, in the
/// same order; `unordered` does a share of the rows an item, with sums of its own, and then adds
/// these.
template <class Problem, class Stage>
class training_engine {
  using rules = typename Problem::selector::row_numbers;

 public:
  template <class Device>
  [[nodiscard]] static plan make_plan(shape const& s, options const& o, Device const& device,
                                      typename Problem::selection const& by) noexcept {
    plan p{};
    p.shape = s;
    p.options = o;
    p.instance = instance;
    p.status = check_training<Problem>(s, o, by, [](std::int32_t d) { return head_dim_served(d); });
    if (p.status != status::ok) return p;
    p.capacity = capacity_of_saved<Problem>(o, s, by.form);
    p.scope_heads = Problem::scope_heads(s);
    p.selection.put(by.derive());
    std::int32_t const threads = std::max(1, device.threads);
    std::int64_t const units = units_of(s);
    p.schedule = {.phases = 2, .workers = threads, .query_tile = row_block};
    // Whole units would leave more than a quarter of the workers idle.
    std::int64_t const rounds = (units + threads - 1) / threads;
    if (threads > 1 && units * 4 < rounds * threads * 3) {
      p.schedule.splits = static_cast<std::int32_t>((threads + units - 1) / units);
    }
    p.scratch_bytes = space{p, nullptr}.bytes;
    return p;
  }

  [[nodiscard]] static plan reschedule(plan p, schedule const& wanted) noexcept {
    p.schedule.workers = std::max(1, wanted.workers);
    p.schedule.query_tile = std::max(1, wanted.query_tile);
    p.schedule.splits = std::max(1, wanted.splits);
    p.scratch_bytes = space{p, nullptr}.bytes;
    return p;
  }

  [[nodiscard]] static status check_call(plan const& p, arguments<Problem> const&,
                                         workspace const& w) noexcept {
    if (p.status != status::ok || p.instance != instance) return status::plan_mismatch;
    return check_workspace(p, w);
  }

  static void run_phase(plan const& p, arguments<Problem> const& a, workspace const& w,
                        std::int32_t phase, std::int32_t worker, std::int32_t workers) noexcept {
    if constexpr (Problem::has_gradients) {
      float_mode const mode{};
      training_engine const own{p, a, w, worker, workers};
      if (phase == 0) {
        own.first_phase();
      } else {
        own.second_phase();
      }
    }
  }

 private:
  static constexpr std::uint64_t instance = instance_of<Problem>("cpu");
  static constexpr std::int32_t row_block = 64;

  [[nodiscard]] static std::int64_t units_of(shape const& s) noexcept {
    return std::int64_t{s.batch} * Stage::key_heads(s);
  }

  /// Where the parts of scratch lie.
  struct space {
    float* kept = nullptr;  // [batch][key heads][q_len][row_floats]
    float* sums = nullptr;  // [slots][keys of a slot][key_floats]
    std::byte* worker = nullptr;
    std::int64_t slot_floats = 0;
    std::size_t worker_bytes = 0;
    std::int32_t range_keys = 0;  ///< of one range of keys, where there are several
    std::size_t bytes = 0;

    space(plan const& p, void* scratch) noexcept {
      shape const& s = p.shape;
      bool const ordered = p.selection.get<rules>().order == gradient_order::by_row;
      std::int32_t const splits = p.schedule.splits;
      range_keys = ceil_div(ceil_div(s.kv_len, tile_keys), splits) * tile_keys;
      bool const in_ranges = splits > 1 && ordered;
      slot_floats = std::int64_t{in_ranges ? range_keys : s.kv_len} * Stage::key_floats(s);
      std::int64_t const slots = splits > 1 && !ordered ? units_of(s) * splits : p.schedule.workers;
      arguments<Problem> const none{};
      Stage stage{p, none};
      arena one{nullptr};
      stage.carve(one);
      worker_bytes = one.used();
      arena memory{scratch};
      kept = memory.take<float>(units_of(s) * s.q_len * Stage::row_floats(s));
      sums = memory.take<float>(slots * slot_floats);
      worker = memory.take<std::byte>(static_cast<std::int64_t>(worker_bytes) * p.schedule.workers);
      bytes = memory.used();
    }
  };

  training_engine(plan const& p, arguments<Problem> const& a, workspace const& w,
                  std::int32_t worker, std::int32_t workers) noexcept
      : plan_(p),
        args_(a),
        space_(p, w.scratch),
        stage_(p, a),
        worker_(worker),
        workers_(workers),
        ordered_(p.selection.get<rules>().order == gradient_order::by_row) {
    arena memory{space_.worker + static_cast<std::size_t>(worker) * space_.worker_bytes};
    stage_.carve(memory);
  }

  void first_phase() const noexcept {
    std::int32_t const splits = plan_.schedule.splits;
    if (splits == 1) {
      each_item(1, [&](sequence const& s, std::int32_t head, std::int64_t, std::int32_t) {
        float* const sums = own_sums();
        key_span const all{0, keys_of(s)};
        clear(sums, all);
        rows(s, head, 0, s.queries, {true, true}, all, sums);
        write(s, head, all, sums);
      });
    } else if (ordered_) {
      std::int32_t const block = plan_.schedule.query_tile;
      each_item(ceil_div(plan_.shape.q_len, block),
                [&](sequence const& s, std::int32_t head, std::int64_t, std::int32_t n) {
                  rows(s, head, n * block, block, {true, false}, {0, keys_of(s)}, nullptr);
                });
    } else {
      std::int32_t const share = ceil_div(plan_.shape.q_len, splits);
      each_item(splits,
                [&](sequence const& s, std::int32_t head, std::int64_t unit, std::int32_t n) {
                  float* const sums = slot(unit * splits + n);
                  key_span const all{0, keys_of(s)};
                  clear(sums, all);
                  rows(s, head, n * share, share, {true, true}, all, sums);
                });
    }
  }

  void second_phase() const noexcept {
    std::int32_t const splits = plan_.schedule.splits;
    if (splits > 1) {
      each_item(splits,
                [&](sequence const& s, std::int32_t head, std::int64_t unit, std::int32_t n) {
                  std::int32_t const keys = keys_of(s);
                  key_span const range{std::min(keys, n * space_.range_keys),
                                       std::min<std::int32_t>(keys, (n + 1) * space_.range_keys)};
                  if (ordered_) {
                    float* const sums = own_sums();
                    clear(sums, range);
                    rows(s, head, 0, s.queries, {false, true}, range, sums);
                    write(s, head, range, sums);
                  } else {
                    float* const sums = slot(unit * splits) + range.from * key_floats_;
                    for (std::int32_t other = 1; other < splits; ++other) {
                      add(sums, slot(unit * splits + other) + range.from * key_floats_, range);
                    }
                    write(s, head, range, sums);
                  }
                });
    }
    stage_.finish(worker_, workers_, [&](std::int32_t b, std::int32_t head, std::int32_t token) {
      return kept(b, head, token);
    });
  }

  /// function(sequence, key head, number of the unit, part) for this worker's share of `parts`
  /// items a unit.
  template <class Function>
  void each_item(std::int32_t parts, Function&& function) const noexcept {
    std::int32_t const heads = Stage::key_heads(plan_.shape);
    std::int64_t const items = units_of(plan_.shape) * parts;
    for (std::int64_t n = worker_; n < items; n += workers_) {
      std::int64_t const unit = n / parts;
      sequence const s =
          sequence_of<Problem>(plan_, args_, static_cast<std::int32_t>(unit / heads));
      function(s, static_cast<std::int32_t>(unit % heads), unit,
               static_cast<std::int32_t>(n % parts));
    }
  }

  /// Rows first .. first + count that exist, in order.
  void rows(sequence const& s, std::int32_t head, std::int32_t first, std::int32_t count,
            wants what, key_span span, float* sums) const noexcept {
    for (std::int32_t i = first; i < s.queries && i - first < count; ++i) {
      stage_.run({s, head, i}, what, span, sums, kept(s.b, head, i));
    }
  }

  void clear(float* sums, key_span span) const noexcept {
    std::fill_n(sums, (span.to - span.from) * key_floats_, 0.0f);
  }
  void add(float* sums, float const* more, key_span span) const noexcept {
    std::int64_t const count = (span.to - span.from) * key_floats_;
    for (std::int64_t i = 0; i < count; ++i) sums[i] += more[i];
  }
  void write(sequence const& s, std::int32_t head, key_span span,
             float const* sums) const noexcept {
    for (std::int32_t j = span.from; j < span.to; ++j) {
      location const at = Problem::kv_source::locate(args_.kv, s.b, j, plan_.shape.page_size);
      stage_.write(at, head, sums + (j - span.from) * key_floats_);
    }
  }

  [[nodiscard]] std::int32_t keys_of(sequence const& s) const noexcept {
    return static_cast<std::int32_t>(local_below(plan_.options.shard, s.length));
  }
  [[nodiscard]] float* slot(std::int64_t n) const noexcept {
    return space_.sums + n * space_.slot_floats;
  }
  [[nodiscard]] float* own_sums() const noexcept { return slot(worker_); }
  [[nodiscard]] float* kept(std::int32_t b, std::int32_t head, std::int32_t token) const noexcept {
    shape const& s = plan_.shape;
    std::int64_t const unit = std::int64_t{b} * Stage::key_heads(s) + head;
    return space_.kept + (unit * s.q_len + token) * Stage::row_floats(s);
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  space const space_;
  mutable Stage stage_;
  std::int32_t const worker_;
  std::int32_t const workers_;
  bool const ordered_;
  std::int64_t const key_floats_ = Stage::key_floats(plan_.shape);
};

template <class Problem>
  requires(Problem::what == task::backward)
class engine<Problem> : public training_engine<Problem, backward_stage<Problem>> {};
template <class Problem>
  requires(Problem::what == task::indexer_loss)
class engine<Problem> : public training_engine<Problem, indexer_stage<Problem>> {};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
