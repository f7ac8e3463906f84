// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A greedy covering array whose constraints are a function.

#include <fuzz/covering.hpp>

#include <algorithm>
#include <numeric>

namespace fuzz {

namespace {

/// A row as levels: all fields, then the instance.
using levels = std::vector<int>;

class generator {
 public:
  generator(std::vector<instance_traits> const& instances, double max_work,
            support::random_source& random)
      : instances_(instances), max_work_(max_work), random_(random) {
    for (field const& f : fields()) sizes_.push_back(static_cast<int>(f.levels.size()));
    sizes_.push_back(static_cast<int>(instances.size()));
    int total = 0;
    for (int const n : sizes_) {
      first_.push_back(total);
      total += n;
    }
    total_ = static_cast<std::size_t>(total);
    pair_.assign(total_ * total_, unmet);
    // Three-wise without the instances, which are many.
    std::size_t const few = total_ - instances.size();
    few_ = few;
    triple_.assign(few * few * few, false);
  }

  struct candidate {
    covering_row row;
    levels at;
  };

  /// A random valid row, with levels `a` and `b` (of all levels) fixed where they are >= 0.
  candidate draw(int a, int b) {
    levels wanted;
    for (std::size_t p = 0; p < sizes_.size(); ++p) {
      int const simple = p < fields().size() ? fields()[p].often_simple : 0;
      bool const first = random_.below(100) < static_cast<std::uint64_t>(simple);
      wanted.push_back(
          first ? 0 : static_cast<int>(random_.below(static_cast<std::uint64_t>(sizes_[p]))));
    }
    for (int const fixed : {a, b}) {
      if (fixed < 0) continue;
      int const p = parameter_of(fixed);
      wanted[static_cast<std::size_t>(p)] = fixed - first_[static_cast<std::size_t>(p)];
    }
    candidate c;
    c.row.instance = static_cast<std::size_t>(wanted.back());
    scenario s;
    for (std::size_t n = 0; n < fields().size(); ++n) {
      level const& l = fields()[n].levels[static_cast<std::size_t>(wanted[n])];
      s.*fields()[n].value = random_.between(l.low, l.high);
    }
    s.seed = static_cast<std::int64_t>(random_.below(1000000));
    c.row.scenario = made_valid(s, instances_[c.row.instance], max_work_);
    for (field const& f : fields()) c.at.push_back(level_of(f, c.row.scenario.*f.value));
    c.at.push_back(wanted.back());
    return c;
  }

  /// A next row that meets an unmet pair; false: no pair is left.
  bool next_pairwise(candidate& best) {
    for (; cursor_ < pair_.size(); ++cursor_) {
      auto const a = static_cast<int>(cursor_ / total_);
      auto const b = static_cast<int>(cursor_ % total_);
      if (pair_[cursor_] != unmet || parameter_of(a) >= parameter_of(b)) continue;
      int best_gain = 0;
      for (int tries = 0; tries < 200 && (tries < 12 || best_gain == 0); ++tries) {
        candidate c = draw(a, b);
        if (!has(c, a) || !has(c, b)) continue;
        int const gain = new_pairs(c);
        if (gain <= best_gain) continue;
        best_gain = gain;
        best = std::move(c);
      }
      if (best_gain > 0) return true;
      pair_[cursor_] = impossible;
      impossible_.push_back(name_of(a) + " with " + name_of(b));
    }
    return false;
  }
  candidate next_by_triples() {
    candidate best;
    std::size_t best_gain = 0;
    for (int tries = 0; tries < 4; ++tries) {
      candidate c = draw(-1, -1);
      std::size_t const gain = meet_triples(c, false);
      if (tries > 0 && gain <= best_gain) continue;
      best_gain = gain;
      best = std::move(c);
    }
    return best;
  }

  void take(candidate const& c) {
    each_pair(c, [this](std::size_t at) {
      pairs_ += pair_[at] != met ? 1 : 0;
      pair_[at] = met;
    });
    triples_ += meet_triples(c, true);
  }
  std::size_t pairs() const { return pairs_; }
  std::size_t triples() const { return triples_; }
  std::vector<std::string> const& not_possible() const { return impossible_; }

 private:
  enum state : char { unmet, met, impossible };

  int parameter_of(int level) const {
    auto const it = std::upper_bound(first_.begin(), first_.end(), level);
    return static_cast<int>(it - first_.begin()) - 1;
  }
  std::string name_of(int level) const {
    int const p = parameter_of(level);
    int const l = level - first_[static_cast<std::size_t>(p)];
    if (static_cast<std::size_t>(p) == fields().size()) {
      return instances_[static_cast<std::size_t>(l)].name;
    }
    field const& f = fields()[static_cast<std::size_t>(p)];
    return std::string(f.name) + " " + std::to_string(f.levels[static_cast<std::size_t>(l)].low);
  }
  bool has(candidate const& c, int level) const {
    auto const p = static_cast<std::size_t>(parameter_of(level));
    return c.at[p] == level - first_[p];
  }
  template <class Function>
  void each_pair(candidate const& c, Function const& function) const {
    for (std::size_t p = 0; p < c.at.size(); ++p) {
      if (c.at[p] < 0) continue;
      auto const a = static_cast<std::size_t>(first_[p] + c.at[p]);
      for (std::size_t q = p + 1; q < c.at.size(); ++q) {
        if (c.at[q] >= 0) function(a * total_ + static_cast<std::size_t>(first_[q] + c.at[q]));
      }
    }
  }
  int new_pairs(candidate const& c) const {
    int gain = 0;
    each_pair(c, [&](std::size_t at) { gain += pair_[at] != met ? 1 : 0; });
    return gain;
  }
  std::size_t meet_triples(candidate const& c, bool mark) {
    std::vector<std::size_t> at;
    for (std::size_t p = 0; p + 1 < c.at.size(); ++p) {
      if (c.at[p] >= 0) at.push_back(static_cast<std::size_t>(first_[p] + c.at[p]));
    }
    std::size_t gain = 0;
    for (std::size_t x = 0; x < at.size(); ++x) {
      for (std::size_t y = x + 1; y < at.size(); ++y) {
        std::size_t const row = (at[x] * few_ + at[y]) * few_;
        for (std::size_t z = y + 1; z < at.size(); ++z) {
          if (triple_[row + at[z]]) continue;
          ++gain;
          if (mark) triple_[row + at[z]] = true;
        }
      }
    }
    return gain;
  }

  std::vector<instance_traits> const& instances_;
  double max_work_;
  support::random_source& random_;
  std::vector<int> sizes_, first_;
  std::size_t total_ = 0, few_ = 0;
  std::vector<char> pair_;
  std::vector<bool> triple_;
  std::size_t cursor_ = 0, pairs_ = 0, triples_ = 0;
  std::vector<std::string> impossible_;
};

}  // namespace

covering cover(std::vector<instance_traits> const& instances, std::size_t count, double max_work,
               support::random_source& random) {
  generator all(instances, max_work, random);
  covering out;
  generator::candidate next;
  while (out.rows.size() < count && all.next_pairwise(next)) {
    all.take(next);
    out.rows.push_back(next.row);
  }
  out.pairwise_rows = out.rows.size();
  while (out.rows.size() < count) {
    next = all.next_by_triples();
    all.take(next);
    out.rows.push_back(next.row);
  }
  out.pairs = all.pairs();
  out.impossible = all.not_possible();
  out.triples = all.triples();
  return out;
}

}  // namespace fuzz
