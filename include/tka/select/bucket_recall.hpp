// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The expected recall of bucketed selection, and the cheapest buckets for a target.

#pragma once

#include <tka/config.hpp>
#include <tka/options.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tka::inline TKA_ABI {

namespace detail {

/// ln(n!) by Stirling's series; relative error below 1e-13 (std::lgamma writes a global).
[[nodiscard]] inline double log_factorial(std::int64_t n) noexcept {
  if (n < 2) return 0.0;
  if (n < 16) {
    double product = 1.0;
    for (std::int64_t i = 2; i <= n; ++i) product *= static_cast<double>(i);
    return std::log(product);
  }
  double const x = static_cast<double>(n) + 1.0;
  double const r = 1.0 / (x * x);
  return (x - 0.5) * std::log(x) - x + 0.91893853320467274178 +
         (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r / 1680.0))) / x;
}

[[nodiscard]] inline double log_binomial(std::int64_t n, std::int64_t k) noexcept {
  return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

/// E[max(X - kept, 0)] of the winners X in one bucket of `size` keys (hypergeometric).
[[nodiscard]] inline double expected_excess(std::int64_t n, std::int64_t k, std::int64_t size,
                                            std::int64_t kept) noexcept {
  double const all = log_binomial(n, size);
  double excess = 0.0;
  std::int64_t const first = std::max(kept + 1, size - (n - k));
  for (std::int64_t r = first; r <= std::min(k, size); ++r) {
    double const p = std::exp(log_binomial(k, r) + log_binomial(n - k, size - r) - all);
    excess += static_cast<double>(r - kept) * p;
    if (r > size * k / n + kept + 1 && p < 1e-18) break;  // past the mode: nothing is left
  }
  return excess;
}

/// Recall of k_b kept of a bucket whose winners are Poisson with mean `load`: the limit of many
/// keys and winners, and a lower bound on the exact value for any finite number of them.
[[nodiscard]] inline double poisson_recall(double load, std::int32_t kept) noexcept {
  // E[min(X, kept)] = sum over r of min(r, kept) p(r)
  double p = std::exp(-load);
  double below = p;
  double mean = 0.0;
  for (std::int32_t r = 1; r < kept; ++r) {
    p *= load / r;
    below += p;
    mean += r * p;
  }
  return (mean + kept * (1.0 - below)) / load;
}

}  // namespace detail

/// The expected share of the k largest of n uniformly placed keys that survive keeping the
/// `per_bucket` largest of each of `buckets` interleaved buckets: 1 - sum over buckets of
/// E[max(X - per_bucket, 0)] / k with X hypergeometric. The exact formula of arXiv 2506.04165,
/// theorem 1, here also for n that `buckets` does not divide. Pure; O(k) operations.
[[nodiscard]] inline double expected_recall(std::int64_t n, std::int64_t k, std::int64_t buckets,
                                            std::int64_t per_bucket) noexcept {
  k = std::min(k, n);
  if (k <= 0 || buckets <= 0) return 1.0;
  std::int64_t const small = n / buckets;
  std::int64_t const large_buckets = n % buckets;
  double excess = 0.0;
  if (large_buckets > 0) {
    excess +=
        static_cast<double>(large_buckets) * detail::expected_excess(n, k, small + 1, per_bucket);
  }
  if (small > 0) {
    excess += static_cast<double>(buckets - large_buckets) *
              detail::expected_excess(n, k, small, per_bucket);
  }
  return 1.0 - excess / static_cast<double>(k);
}

/// Buckets for rows of any k: `per_bucket` and how many buckets a kept key needs.
struct bucket_rule {
  std::int32_t per_bucket = 1;
  double buckets_per_key = 1.0;

  /// The buckets for a row that keeps k keys: a multiple of 16, at least 16.
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int32_t buckets(std::int32_t k) const noexcept {
    double const wanted = static_cast<double>(k) * buckets_per_key;
    auto whole = static_cast<std::int64_t>(wanted);
    if (static_cast<double>(whole) < wanted) ++whole;
    std::int64_t const rounded = (whole + 15) / 16 * 16;
    return rounded < 16 ? 16 : rounded > (1 << 30) ? 1 << 30 : static_cast<std::int32_t>(rounded);
  }
};

/// The rule with the least work among per_bucket 1..64 whose expected recall reaches `target`
/// for rows of every length and every k. Work is counted as survivors times the steps of one
/// insertion, buckets * per_bucket * (4 + per_bucket).
[[nodiscard]] inline bucket_rule choose_bucket_rule(double target) noexcept {
  bucket_rule best{};
  double best_work = 0.0;
  for (std::int32_t kept = 1; kept <= 64; ++kept) {
    double low = 1e-9;
    double high = 64.0 * 4.0;
    for (int step = 0; step < 80; ++step) {
      double const middle = 0.5 * (low + high);
      (detail::poisson_recall(middle, kept) >= target ? low : high) = middle;
    }
    double const work = kept * (4.0 + kept) / low;
    if (best_work == 0.0 || work < best_work) {
      best_work = work;
      best = {kept, 1.0 / low};
    }
  }
  return best;
}

/// The cheapest (buckets, per_bucket) whose expected recall reaches `target` for a row that keeps
/// k keys, whatever its length. Pure.
[[nodiscard]] inline bucketing choose_buckets(std::int32_t k, float target) noexcept {
  bucket_rule const rule = choose_bucket_rule(static_cast<double>(target));
  return {.recall_target = target, .buckets = rule.buckets(k), .per_bucket = rule.per_bucket};
}

}  // namespace tka::inline TKA_ABI
