// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// As many floats as a register holds: Eigen's packets under one name, and the widening of storage
/// types into them. The only file that touches Eigen's packet layer.

#pragma once

#include <tka/config.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp8.hpp>

#include <Eigen/Core>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

namespace tka::inline TKA_ABI::detail::cpu {

/// Eigen's widest float packet for the target: 4, 8 or 16 lanes. Fixed-size Eigen arrays would say
/// the same, but g++ 12 keeps blocks of them in memory; packets stay in registers.
using lanes = Eigen::internal::packet_traits<float>::type;
inline constexpr int lane_count = sizeof(lanes) / sizeof(float);
static_assert(lane_count <= 16, "tka::cpu: head sizes are multiples of 16; widen head_dim_served");

[[nodiscard]] inline lanes splat(float x) noexcept { return Eigen::internal::pset1<lanes>(x); }
[[nodiscard]] inline lanes load(float const* p) noexcept {
  return Eigen::internal::ploadu<lanes>(p);
}
/// x in a register, from here on. Else g++ reads memory again for each use, and there are fewer
/// ports for loads than for products; or it loads far ahead and runs out of registers.
[[nodiscard]] inline lanes held(lanes x) noexcept {
#if defined(__x86_64__)
  asm volatile("" : "+v"(x));
#endif
  return x;
}
inline void store(float* p, lanes x) noexcept { Eigen::internal::pstoreu(p, x); }
[[nodiscard]] inline lanes add(lanes a, lanes b) noexcept { return Eigen::internal::padd(a, b); }
[[nodiscard]] inline lanes subtract(lanes a, lanes b) noexcept {
  return Eigen::internal::psub(a, b);
}
[[nodiscard]] inline lanes multiply(lanes a, lanes b) noexcept {
  return Eigen::internal::pmul(a, b);
}
/// a * b + c, fused wherever the target fuses: the same operation in every use.
[[nodiscard]] inline lanes multiply_add(lanes a, lanes b, lanes c) noexcept {
  return Eigen::internal::pmadd(a, b, c);
}
/// x where x > 0 or NaN, else 0.
[[nodiscard]] inline lanes rectify(lanes x) noexcept {
  lanes const zero = splat(0.0f);
  return Eigen::internal::pandnot(x, Eigen::internal::pcmp_le(x, zero));
}
/// value where x >= limit or x is NaN, else 0.
[[nodiscard]] inline lanes keep_from(lanes x, float limit, lanes value) noexcept {
  return Eigen::internal::pandnot(value, Eigen::internal::pcmp_lt(x, splat(limit)));
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // of a register type, as an argument
/// lane_count packets, `packet[i]`.
using lane_square = Eigen::internal::PacketBlock<lanes, lane_count>;
#pragma GCC diagnostic pop

/// Lane i of the result is the sum of the lanes of x[i]: a transposition, then a tree of additions
/// over neighbours. One order for every sum in the library.
[[nodiscard]] inline lanes sum_each(lane_square x) noexcept {
#if defined(__AVX512F__)
  // The same tree with 30 shuffles instead of the 64 and more of a transposition.
  auto const neighbours = [](lanes a, lanes b) {
    return add(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
  };
  auto const quarters = [](lanes a, lanes b) {
    return add(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
  };
  lanes four[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    four[i] = neighbours(neighbours(x.packet[4 * i], x.packet[4 * i + 1]),
                         neighbours(x.packet[4 * i + 2], x.packet[4 * i + 3]));
  }
  return quarters(quarters(four[0], four[1]), quarters(four[2], four[3]));
#elif defined(__AVX2__)
  // The same tree with 14 shuffles instead of 24.
  __m256 const low = _mm256_hadd_ps(_mm256_hadd_ps(x.packet[0], x.packet[1]),
                                    _mm256_hadd_ps(x.packet[2], x.packet[3]));
  __m256 const high = _mm256_hadd_ps(_mm256_hadd_ps(x.packet[4], x.packet[5]),
                                     _mm256_hadd_ps(x.packet[6], x.packet[7]));
  return add(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
#else
  Eigen::internal::ptranspose(x);
#pragma GCC unroll 4
  for (int step = 1; step < lane_count; step *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < lane_count; i += 2 * step) {
      x.packet[i] = add(x.packet[i], x.packet[i + step]);
    }
  }
  return x.packet[0];
#endif
}

/// The sum of all lanes of one packet, in the same order.
[[nodiscard]] inline float sum(lanes x) noexcept {
  float part[lane_count];
  store(part, x);
  for (int step = 1; step < lane_count; step *= 2) {
    for (int i = 0; i < lane_count; i += 2 * step) part[i] += part[i + step];
  }
  return part[0];
}

/// e^x with e^x = 0 below the normal range (Eigen's clamps there) and NaN passed on.
[[nodiscard]] inline lanes exponential(lanes x) noexcept {
  return keep_from(x, -87.0f, Eigen::internal::pexp(x));
}
/// One float, by the same instructions.
[[nodiscard]] inline float exponential(float x) noexcept {
  return Eigen::internal::pfirst(exponential(splat(x)));
}
[[nodiscard]] inline lanes hyperbolic_tangent(lanes x) noexcept {
  return Eigen::internal::ptanh(x);
}

/// Integers of the same width, for bit work that Eigen 3.4 has no packets for.
using word_lanes [[gnu::vector_size(4 * lane_count)]] = std::uint32_t;
using half_lanes [[gnu::vector_size(2 * lane_count)]] = std::uint16_t;
using byte_lanes [[gnu::vector_size(lane_count)]] = std::uint8_t;
using float_lanes [[gnu::vector_size(4 * lane_count)]] = float;

template <class To, class From>
[[nodiscard]] inline To same_bits(From const& from) noexcept {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(static_cast<void*>(&to), static_cast<void const*>(&from), sizeof(To));
  return to;
}

template <class T>
[[nodiscard]] inline T load_unaligned(void const* p) noexcept {
  T value;
  std::memcpy(static_cast<void*>(&value), p, sizeof(T));
  return value;
}

/// Unsigned integers widened to 32 bits; g++ 12 needs help to do it in one instruction.
[[nodiscard]] inline word_lanes widen_integers(half_lanes x) noexcept {
#if defined(__AVX512F__)
  return same_bits<word_lanes>(_mm512_cvtepu16_epi32(same_bits<__m256i>(x)));
#elif defined(__AVX2__)
  return same_bits<word_lanes>(_mm256_cvtepu16_epi32(same_bits<__m128i>(x)));
#else
  return __builtin_convertvector(x, word_lanes);
#endif
}
[[nodiscard]] inline word_lanes widen_integers(byte_lanes x) noexcept {
#if defined(__AVX512F__)
  return same_bits<word_lanes>(_mm512_cvtepu8_epi32(same_bits<__m128i>(x)));
#elif defined(__AVX2__)
  return same_bits<word_lanes>(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(same_bits<long long>(x))));
#else
  return __builtin_convertvector(x, word_lanes);
#endif
}

[[nodiscard]] inline lanes widen(float const* p) noexcept { return load(p); }

[[nodiscard]] inline lanes widen(bfloat16_t const* p) noexcept {
  return same_bits<lanes>(widen_integers(load_unaligned<half_lanes>(p)) << 16);
}

/// Twice as many neighbours at once: those at even places and those at odd ones. No shuffle, so
/// half the work of two widenings.
inline void widen_dealt(bfloat16_t const* p, lanes& even, lanes& odd) noexcept {
  auto const words = load_unaligned<word_lanes>(p);
  even = same_bits<lanes>(words << 16);
  odd = same_bits<lanes>(words & 0xffff0000u);
}

[[nodiscard]] inline lanes widen(float16_t const* p) noexcept {
#if defined(__AVX512F__)
  return same_bits<lanes>(_mm512_cvtph_ps(load_unaligned<__m256i>(p)));
#elif defined(__AVX2__) && defined(__F16C__)
  return same_bits<lanes>(_mm256_cvtph_ps(load_unaligned<__m128i>(p)));
#else
  word_lanes const h = widen_integers(load_unaligned<half_lanes>(p));
  word_lanes const sign = (h & 0x8000u) << 16;
  word_lanes const magnitude = (h & 0x7fffu) << 13;
  // Three cases by exponent, all computed and then chosen by mask: normal, inf or NaN, subnormal.
  auto const special = same_bits<word_lanes>(magnitude >= 0x0f800000u);
  auto const subnormal = same_bits<word_lanes>(magnitude < 0x00800000u);
  auto const tiny = same_bits<word_lanes>(same_bits<float_lanes>(magnitude + 0x38800000u) -
                                          (float_lanes{} + 0x1p-14f));
  word_lanes const normal = magnitude + 0x38000000u + (special & 0x38000000u);
  return same_bits<lanes>(sign | (subnormal & tiny) | (~subnormal & normal));
#endif
}

[[nodiscard]] inline lanes widen(float8_e4m3_t const* p) noexcept {
  word_lanes const b = widen_integers(load_unaligned<byte_lanes>(p));
  word_lanes const sign = (b & 0x80u) << 24;
  word_lanes const code = b & 0x7fu;
  auto const subnormal = same_bits<word_lanes>(code < 8u);
  auto const nan = same_bits<word_lanes>(code == 0x7fu);
  auto const tiny = same_bits<word_lanes>(same_bits<float_lanes>((code << 20) + 0x3c800000u) -
                                          (float_lanes{} + 0x1p-6f));
  word_lanes const wide = (subnormal & tiny) | (~subnormal & ((code << 20) + 0x3c000000u));
  return same_bits<lanes>(sign | (~nan & wide) | (nan & 0x7fc00000u));
}

}  // namespace tka::inline TKA_ABI::detail::cpu
