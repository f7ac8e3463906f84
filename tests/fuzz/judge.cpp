// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Row by row against the oracle.

#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/select/bucket_recall.hpp>

#include <support/compare.hpp>

#include <fuzz/judge.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace fuzz {

namespace {

using support::at_row;
using support::list_text;

constexpr double eps = 0x1p-23;
constexpr double infinity = std::numeric_limits<double>::infinity();

bool same(float got, double expected) { return support::same_score(got, expected); }

double rounded_to(element e, float x) {
  return static_cast<double>(e == element::fp32   ? x
                             : e == element::fp16 ? static_cast<float>(tka::float16_t(x))
                                                  : static_cast<float>(tka::bfloat16_t(x)));
}
double ulp_of(element e, double x) {
  return e == element::fp32   ? support::ulp_of<float>(x)
         : e == element::fp16 ? support::ulp_of<tka::float16_t>(x)
                              : support::ulp_of<tka::bfloat16_t>(x);
}
support::plain_result plain(element weight, oracle::rules const& r, oracle::sequence const& s,
                            int token, int head, std::vector<int> const& list) {
  switch (weight) {
    case element::fp16: return support::plain_attention<tka::float16_t>(r, s, token, head, list);
    case element::bf16: return support::plain_attention<tka::bfloat16_t>(r, s, token, head, list);
    default: return support::plain_attention<float>(r, s, token, head, list);
  }
}

/// What a call gives that has looked at data which breaks a rule, where statuses know such a thing.
template <class Status>
constexpr Status status_of_broken_data() {
  if constexpr (requires { Status::data_error; }) return Status::data_error;
  return Status::ok;
}

class judgement {
 public:
  judgement(prepared& p, ending const& e)
      : p_(p), e_(e), inexact_(inexact(p)), rules_(p.problem.rules) {}

  std::string run() {
    if (auto const found = call_fault(); !found.empty()) return found;
    for (std::size_t b = 0; b < p_.problem.sequences.size(); ++b) {
      std::vector<std::vector<int>> lists;
      auto const& s = p_.problem.sequences[b];
      for (int h = 0; h < rules_.scope_heads(); ++h) {
        for (int i = 0; i < s.q_len; ++i) {
          std::vector<int> list;
          if (auto const found = list_fault(b, h, i, list); !found.empty()) {
            return at_row(b, h, i, found);
          }
          lists.push_back(std::move(list));
        }
      }
      if (p_.traits.task != task::select) judge_attention(b, lists);
    }
    return support::first_of({o_.fault(), lse_.fault(), entropy_.fault(), lse_visible_.fault(),
                              entropy_visible_.fault(), mass_, stray_fault()});
  }

 private:
  static bool inexact(prepared const& p) {
    return p.what.combine == 2 ||
           (p.what.contents == 2 && p.traits.score == oracle::score::query_key);
  }

  std::string call_fault() const {
    if (auto const found = status_fault(); !found.empty()) return found;
    int const capacity =
        p_.traits.task == task::lists ? static_cast<int>(p_.what.k) : rules_.capacity;
    if (e_.plan.capacity != capacity) return "capacity " + std::to_string(e_.plan.capacity);
    if (e_.plan.scope_heads != rules_.scope_heads()) return "scope_heads";
    if (e_.inputs_changed) return "an input was written";
    if (e_.stray) return "bytes beside the workspace or the tensors were written";
    std::uint32_t const bits = p_.error[0];
    if (p_.what.no_error != 0) return bits == 0 ? "" : "an error word that was not given";
    if ((bits & p_.must_report) != p_.must_report || (bits & ~p_.may_report) != 0) {
      return "error bits " + std::to_string(bits) + ", must hold " +
             std::to_string(p_.must_report) + " of " + std::to_string(p_.may_report);
    }
    return "";
  }

  /// Only the CPU has seen the data when it returns.
  std::string status_fault() const {
    constexpr tka::status broken = status_of_broken_data<tka::status>();
    bool const sees = !p_.traits.on_cuda;
    bool const must = sees && p_.must_report != 0;
    bool const may = sees && p_.may_report != 0;
    bool const fine = e_.status == broken ? may || broken == tka::status::ok
                                          : e_.status == tka::status::ok && !must;
    return fine ? "" : std::string("status: ") + tka::to_string(e_.status);
  }

  /// The rules for one row: with a recall target a row has buckets of its own.
  oracle::rules rules_of(oracle::sequence const& s, int i) const {
    if (!p_.traits.bucketed || p_.what.buckets > 0) return rules_;
    oracle::rules r = rules_;
    int seen = 0;
    for (int const j : oracle::visible_positions(r, s, i)) {
      seen += j / r.shard_block % r.shard_count == r.shard_index ? 1 : 0;
    }
    auto const rule = e_.plan.selection.get<tka::bucket_rule>();
    r.buckets = rule.buckets(std::min(oracle::budget_of(r, s, i), seen));
    r.per_bucket = rule.per_bucket;
    return r;
  }

  /// Judges what a selection wrote of one row; `list`: what is attended.
  std::string list_fault(std::size_t b, int h, int i, std::vector<int>& list) {
    auto const& s = p_.problem.sequences[b];
    auto const row = static_cast<std::size_t>(h * s.q_len + i);
    if (p_.traits.task == task::lists) {
      list.assign(p_.lists[b][row].begin(), p_.lists[b][row].end());
      return "";
    }
    oracle::rules const r = rules_of(s, i);
    auto const expected =
        oracle::select(r, s, i, h, p_.limits.empty() ? nullptr : &p_.limits[b][row]);
    auto const capacity = static_cast<std::size_t>(r.capacity);
    tka::location const at = p_.queries.at[b][static_cast<std::size_t>(i)];
    std::vector<std::int32_t> got(capacity);
    std::vector<float> scores(capacity);
    std::size_t count = expected.positions.size();
    if (p_.count) {
      if (*p_.count.words(at, h) != static_cast<int>(count)) {
        return "count " + std::to_string(*p_.count.words(at, h)) + " instead of " +
               std::to_string(count) + ": " + list_text(expected.positions);
      }
      p_.count.forget(at, h);
    }
    if (p_.positions) {
      std::copy_n(p_.positions.words(at, h), capacity, got.begin());
      p_.positions.forget(at, h);
      for (std::size_t n = count; n < capacity; ++n) {
        if (got[n] != -1) return "behind count a position is " + std::to_string(got[n]);
      }
      got.resize(count);
    }
    if (p_.scores) {
      p_.scores.get(at, h, scores.data(), static_cast<std::int64_t>(capacity));
      p_.scores.forget(at, h);
      for (std::size_t n = count; n < capacity; ++n) {
        if (!same(scores[n], -infinity)) return "behind count a score is not -inf";
      }
      scores.resize(count);
    }
    float threshold = 0.0f;
    std::int32_t threshold_position = 0;
    if (p_.threshold_score) {
      p_.threshold_score.get(at, h, &threshold, 1);
      p_.threshold_score.forget(at, h);
    }
    if (p_.threshold_position) {
      threshold_position = *p_.threshold_position.words(at, h);
      p_.threshold_position.forget(at, h);
    }
    if (inexact_) {
      list.assign(got.begin(), got.end());
      return near_fault(s, i, h, expected, list, scores);
    }
    list = expected.positions;
    if (p_.positions && !std::equal(got.begin(), got.end(), list.begin())) {
      return list_text(got) + " instead of " + list_text(list);
    }
    for (std::size_t n = 0; n < count && p_.scores; ++n) {
      if (!same(scores[n], expected.scores[n])) {
        return "score of " + std::to_string(list[n]) + ": " + std::to_string(scores[n]) +
               " instead of " + std::to_string(expected.scores[n]);
      }
    }
    if (p_.threshold_position && threshold_position != expected.threshold_position) {
      return "threshold position " + std::to_string(threshold_position) + " instead of " +
             std::to_string(expected.threshold_position);
    }
    if (p_.threshold_score && expected.threshold_position >= 0 &&
        !same(threshold, expected.threshold_score)) {
      return "threshold score " + std::to_string(threshold);
    }
    return "";
  }

  /// Scores that rounding moves: keys near the last that is kept may take each other's place.
  std::string near_fault(oracle::sequence const& s, int i, int h, oracle::selection const& expected,
                         std::vector<int> const& got, std::vector<float> const& scores) const {
    double const slack = rules_.combine == oracle::combine::softmax_sum
                             ? 2e-5 * rules_.group()
                             : 2e-6 * rules_.qk_dim * rules_.group();
    auto const own = oracle::selection_scores(rules_, s, i, h, got);
    for (std::size_t n = 0; n < got.size(); ++n) {
      if (got[n] < 0 || got[n] >= s.kv_len) return "a position outside the sequence";
      if (n > 0 && got[n] <= got[n - 1]) return "order of positions";
      if (!oracle::is_here(rules_, s, got[n])) return "a key that is not here";
      if (p_.scores && !(std::abs(static_cast<double>(scores[n]) - own[n]) <= slack)) {
        return "score of " + std::to_string(got[n]) + ": " + std::to_string(scores[n]) +
               " instead of " + std::to_string(own[n]);
      }
    }
    if (p_.traits.bucketed) return "";  // a near tie may lie in any bucket
    auto const forced = oracle::forced_positions(rules_, s, i);
    for (std::size_t n = 0; n < got.size(); ++n) {
      bool const in =
          std::binary_search(expected.positions.begin(), expected.positions.end(), got[n]);
      if (!in && !(own[n] >= expected.threshold_score - slack)) {
        return "a smaller key was kept: " + std::to_string(got[n]);
      }
    }
    for (std::size_t n = 0; n < expected.positions.size(); ++n) {
      int const j = expected.positions[n];
      if (std::binary_search(got.begin(), got.end(), j)) continue;
      bool const must = std::binary_search(forced.begin(), forced.end(), j);
      if (must || !(expected.scores[n] <= expected.threshold_score + slack)) {
        return "a larger key was dropped: " + std::to_string(j);
      }
    }
    return "";
  }

  /// o and the sums of one sequence over its lists [scope head * q_len + token].
  void judge_attention(std::size_t b, std::vector<std::vector<int>> const& lists) {
    auto const& s = p_.problem.sequences[b];
    int const heads_per_list = rules_.q_heads / rules_.scope_heads();
    std::vector<float> o(static_cast<std::size_t>(rules_.v_dim));
    for (int h = 0; h < rules_.q_heads; ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        auto const& list = lists[static_cast<std::size_t>(h / heads_per_list * s.q_len + i)];
        auto const expected = oracle::attend(rules_, s, i, h, list);
        auto const by_hand = plain(p_.traits.weight, rules_, s, i, h, list);
        tka::location const at = p_.queries.at[b][static_cast<std::size_t>(i)];
        p_.o.get(at, h, o.data(), rules_.v_dim);
        p_.o.forget(at, h);
        for (std::size_t d = 0; d < o.size(); ++d) {
          double const slack =
              eps * expected.magnitude[d] + ulp_of(p_.traits.output, expected.o[d]);
          o_.add(static_cast<double>(o[d]), rounded_to(p_.traits.output, by_hand.o[d]),
                 expected.o[d], slack, at_row(b, h, i, "o[" + std::to_string(d) + "]"));
        }
        judge_sums(p_.lse, p_.entropy, lse_, entropy_, expected, by_hand, b, h, i, "");
        if (p_.what.visible_metrics == 0) continue;
        auto const seen = oracle::scored_positions(rules_, s, i);
        auto const whole = oracle::attend(rules_, s, i, h, seen);
        judge_sums(p_.lse_visible, p_.entropy_visible, lse_visible_, entropy_visible_, whole,
                   plain(p_.traits.weight, rules_, s, i, h, seen), b, h, i, "_visible");
        judge_mass(expected.lse, whole.lse, b, h, i);
      }
    }
  }

  void judge_sums(memory& lse, memory& entropy, support::error_rule& lse_rule,
                  support::error_rule& entropy_rule, oracle::attention const& expected,
                  support::plain_result const& by_hand, std::size_t b, int h, int i,
                  std::string const& over) {
    tka::location const at = p_.queries.at[b][static_cast<std::size_t>(i)];
    float got = 0.0f;
    if (lse) {
      lse.get(at, h, &got, 1);
      lse.forget(at, h);
      lse_rule.add(static_cast<double>(got), static_cast<double>(by_hand.lse), expected.lse,
                   2.0 * eps * (std::abs(expected.lse) + 1.0), at_row(b, h, i, "lse" + over));
    }
    if (entropy) {
      entropy.get(at, h, &got, 1);
      entropy.forget(at, h);
      entropy_rule.add(static_cast<double>(got), static_cast<double>(by_hand.entropy),
                       expected.entropy, 4.0 * eps * (std::abs(expected.entropy) + 1.0),
                       at_row(b, h, i, "entropy" + over));
    }
  }

  void judge_mass(double lse, double lse_visible, std::size_t b, int h, int i) {
    if (!p_.retained_mass) return;
    tka::location const at = p_.queries.at[b][static_cast<std::size_t>(i)];
    float got = 0.0f;
    p_.retained_mass.get(at, h, &got, 1);
    p_.retained_mass.forget(at, h);
    bool const empty = lse == -infinity || lse_visible == -infinity;
    double const expected = empty ? 1.0 : std::exp(lse - lse_visible);
    double const slack = empty ? 0.0 : 8.0 * eps * (std::abs(lse) + std::abs(lse_visible) + 2.0);
    bool const fine = std::isnan(expected) ? std::isnan(got)
                                           : std::abs(static_cast<double>(got) - expected) <= slack;
    if (!fine && mass_.empty()) {
      mass_ = at_row(
          b, h, i,
          "retained mass " + std::to_string(got) + " instead of " + std::to_string(expected));
    }
  }

  std::string stray_fault() const {
    for (memory const* m :
         {&p_.o, &p_.lse, &p_.entropy, &p_.lse_visible, &p_.entropy_visible, &p_.retained_mass,
          &p_.scores, &p_.threshold_score, &p_.threshold_position}) {
      if (!m->all_poison()) return "bytes beside the rows of an output were written";
    }
    if (p_.traits.task == task::lists) return "";
    return p_.positions.all_poison() && p_.count.all_poison() ? "" : "bytes beside positions";
  }

  prepared& p_;
  ending const& e_;
  bool const inexact_;
  oracle::rules const& rules_;
  support::error_rule o_, lse_, entropy_, lse_visible_, entropy_visible_;
  std::string mass_;
};

}  // namespace

std::string judge(prepared& p, ending const& e) { return judgement(p, e).run(); }

}  // namespace fuzz
