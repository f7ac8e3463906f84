// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Comparisons that answer with a sentence: "" where all is well, else the first difference.

#pragma once

#include <oracle/oracle.hpp>
#include <support/plain_attention.hpp>
#include <support/run.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace support {

template <class T>
std::string list_text(std::vector<T> const& list) {
  std::ostringstream out;
  out << "{";
  for (std::size_t i = 0; i < list.size() && i < 24; ++i) out << (i == 0 ? "" : " ") << list[i];
  out << (list.size() > 24 ? " ...}" : "}") << " (" << list.size() << ")";
  return out.str();
}

/// The first element whose bits differ.
template <class T>
std::string bit_difference(char const* what, std::vector<T> const& a, std::vector<T> const& b) {
  if (a.size() != b.size()) {
    return std::string(what) + ": " + std::to_string(a.size()) + " and " +
           std::to_string(b.size()) + " elements";
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(a[i]) == std::bit_cast<std::uint32_t>(b[i])) continue;
    std::ostringstream out;
    out.precision(9);
    out << what << "[" << i << "]: " << a[i] << " and " << b[i];
    return out.str();
  }
  return "";
}

inline std::string first_of(std::initializer_list<std::string> found) {
  for (auto const& s : found) {
    if (!s.empty()) return s;
  }
  return "";
}

inline std::string attention_difference(sequence_results const& a, sequence_results const& b) {
  return first_of({bit_difference("o", a.o, b.o), bit_difference("lse", a.lse, b.lse),
                   bit_difference("entropy", a.entropy, b.entropy),
                   bit_difference("lse_visible", a.lse_visible, b.lse_visible),
                   bit_difference("entropy_visible", a.entropy_visible, b.entropy_visible),
                   bit_difference("retained_mass", a.retained_mass, b.retained_mass)});
}

inline std::string selection_difference(sequence_results const& a, sequence_results const& b) {
  return first_of(
      {bit_difference("count", a.count, b.count),
       bit_difference("positions", a.positions, b.positions),
       bit_difference("scores", a.scores, b.scores),
       bit_difference("threshold_score", a.threshold_score, b.threshold_score),
       bit_difference("threshold_position", a.threshold_position, b.threshold_position)});
}

/// Two runs with the same capacity, every output, bit for bit.
inline std::string difference(results const& a, results const& b) {
  if (a.status != b.status) return std::string("status: ") + tka::to_string(b.status);
  if (a.sequences.size() != b.sequences.size()) return "batch";
  if (a.error != b.error) return "error word";
  for (std::size_t s = 0; s < a.sequences.size(); ++s) {
    auto const found = first_of({selection_difference(a.sequences[s], b.sequences[s]),
                                 attention_difference(a.sequences[s], b.sequences[s])});
    if (!found.empty()) return "sequence " + std::to_string(s) + ": " + found;
  }
  return "";
}

/// Fine in itself: ok, nothing written beside the rows, clean tails.
inline std::string fault(results const& r) {
  if (r.status != tka::status::ok) return tka::to_string(r.status);
  if (r.stray_writes) return "bytes beside the rows were written";
  if (r.tail_wrong) return "behind count: a position that is not -1 or a score that is not -inf";
  return "";
}

inline bool same_score(float got, double expected) {
  if (std::isnan(expected)) return std::isnan(got);
  return std::bit_cast<std::uint32_t>(got + 0.0f) ==
         std::bit_cast<std::uint32_t>(static_cast<float>(expected) + 0.0f);
}

inline std::string at_row(std::size_t b, int h, int i, std::string const& what) {
  return "sequence " + std::to_string(b) + ", head " + std::to_string(h) + ", token " +
         std::to_string(i) + ": " + what;
}

/// The set of every row against the oracle's, bit for bit: scores must be exact in fp32.
inline std::string selection_fault(results const& r, oracle::problem const& p,
                                   bool scores_too = true) {
  if (auto const found = fault(r); !found.empty()) return found;
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    auto const& s = p.sequences[b];
    for (int h = 0; h < p.rules.scope_heads(); ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        auto const expected = oracle::select(p.rules, s, i, h);
        auto const got = r.positions_of(b, s.q_len, h, i);
        if (got != expected.positions) {
          return at_row(b, h, i, list_text(got) + " instead of " + list_text(expected.positions));
        }
        auto const scores = r.scores_of(b, s.q_len, h, i);
        for (std::size_t n = 0; n < scores.size() && scores_too; ++n) {
          if (!same_score(scores[n], expected.scores[n])) {
            return at_row(b, h, i,
                          "score of " + std::to_string(got[n]) + ": " + std::to_string(scores[n]) +
                              " instead of " + std::to_string(expected.scores[n]));
          }
        }
        if (r.sequences[b].threshold_position.empty() || !scores_too) continue;
        auto const row = static_cast<std::size_t>(h * s.q_len + i);
        if (r.sequences[b].threshold_position[row] != expected.threshold_position ||
            (expected.threshold_position >= 0 &&
             !same_score(r.sequences[b].threshold_score[row], expected.threshold_score))) {
          return at_row(b, h, i, "threshold");
        }
      }
    }
  }
  return "";
}

/// A set that holds every key whose score is above the k-th by more than rounding, and none below.
inline std::string near_selection_fault(results const& r, oracle::problem const& p, double slack) {
  if (auto const found = fault(r); !found.empty()) return found;
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    auto const& s = p.sequences[b];
    for (int h = 0; h < p.rules.scope_heads(); ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        auto const expected = oracle::select(p.rules, s, i, h);
        auto const got = r.positions_of(b, s.q_len, h, i);
        if (got.size() != expected.positions.size()) return at_row(b, h, i, "count");
        auto const scores = oracle::selection_scores(p.rules, s, i, h, got);
        for (std::size_t n = 0; n < got.size(); ++n) {
          if (n > 0 && got[n] <= got[n - 1]) return at_row(b, h, i, "order of positions");
          bool const expected_too =
              std::binary_search(expected.positions.begin(), expected.positions.end(), got[n]);
          if (!expected_too && scores[n] < expected.threshold_score - slack) {
            return at_row(b, h, i, "a smaller key was kept: " + std::to_string(got[n]));
          }
        }
      }
    }
  }
  return "";
}

/// Distance between neighbouring numbers of the output type near x.
template <class T>
double ulp_of(double x) {
  int const digits = std::is_same_v<T, float> ? 24 : std::is_same_v<T, tka::float16_t> ? 11 : 8;
  int const smallest = std::is_same_v<T, tka::float16_t> ? -24 : -149;
  if (x == 0.0) return std::ldexp(1.0, smallest);
  return std::ldexp(1.0, std::max(std::ilogb(x) + 1 - digits, smallest));
}

/// Error of the library and of a plain implementation, both against fp64.
class error_rule {
 public:
  /// `slack`: what is allowed beside twice the plain error.
  void add(double got, double plain, double expected, double slack, std::string const& where) {
    if (std::isnan(expected) || std::isinf(expected)) {
      bool const same = std::isnan(expected) ? std::isnan(got) : got == expected;
      if (!same && wrong_.empty()) wrong_ = where + ": " + std::to_string(got);
      return;
    }
    plain_ = std::max(plain_, std::abs(plain - expected));
    double const beyond = std::abs(got - expected) - slack;
    if (!(beyond <= worst_)) {
      worst_ = std::isnan(beyond) ? std::numeric_limits<double>::infinity() : beyond;
      where_ = where;
    }
  }
  std::string fault() const {
    if (!wrong_.empty()) return wrong_;
    if (worst_ <= 2.0 * plain_) return "";
    std::ostringstream out;
    out << where_ << ": error " << worst_ << " beyond rounding, the plain one has " << plain_;
    return out.str();
  }

 private:
  double plain_ = 0.0;
  double worst_ = -1.0;
  std::string where_;
  std::string wrong_;
};

/// o, lse and entropy over the positions that the results name, against fp64.
template <class Precision>
std::string attention_fault(results const& r, oracle::problem const& p, lists const& given) {
  if (auto const found = fault(r); !found.empty()) return found;
  using output_type = typename Precision::output_type;
  constexpr double eps = 0x1p-23;
  error_rule o_rule, lse_rule, entropy_rule;
  for (std::size_t b = 0; b < p.sequences.size(); ++b) {
    auto const& s = p.sequences[b];
    auto const& got = r.sequences[b];
    int const heads_per_list = p.rules.q_heads / p.rules.scope_heads();
    for (int h = 0; h < p.rules.q_heads; ++h) {
      for (int i = 0; i < s.q_len; ++i) {
        auto const row = static_cast<std::size_t>(h * s.q_len + i);
        std::vector<int> list;
        for (int const j : given[b][static_cast<std::size_t>(h / heads_per_list * s.q_len + i)]) {
          if (j >= 0 && j < s.kv_len) list.push_back(j);
        }
        auto const expected = oracle::attend(p.rules, s, i, h, list);
        auto const plain = plain_attention<weight_type<Precision>>(p.rules, s, i, h, list);
        for (std::size_t d = 0; d < expected.o.size(); ++d) {
          double const slack = eps * expected.magnitude[d] + ulp_of<output_type>(expected.o[d]);
          o_rule.add(static_cast<double>(got.o[row * expected.o.size() + d]),
                     static_cast<double>(static_cast<float>(output_type(plain.o[d]))),
                     expected.o[d], slack, at_row(b, h, i, "o[" + std::to_string(d) + "]"));
        }
        double const size = std::abs(expected.lse) + 1.0;
        lse_rule.add(static_cast<double>(got.lse[row]), static_cast<double>(plain.lse),
                     expected.lse, eps * size, at_row(b, h, i, "lse"));
        entropy_rule.add(static_cast<double>(got.entropy[row]), static_cast<double>(plain.entropy),
                         expected.entropy, 4.0 * eps * (std::abs(expected.entropy) + 1.0),
                         at_row(b, h, i, "entropy"));
      }
    }
  }
  return first_of({o_rule.fault(), lse_rule.fault(), entropy_rule.fault()});
}

}  // namespace support
