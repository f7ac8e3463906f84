// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The macros of the library: all of them are here, all begin with TKA_.

#pragma once

#include <tka/version.hpp>

#if !defined(__cpp_concepts) || __cpp_concepts < 201907L
#error "tka needs C++20 with concepts: compile with -std=c++20 (g++ 11, clang 14 or newer)"
#endif
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "tka needs NaN, infinities and -0: compile without -ffast-math, -Ofast and the like"
#endif

// Two inline namespaces keep code apart that must not meet at link time.
//
// TKA_ABI is the version. What carries data stands in it alone (shapes, plans, views, policies), so
// that files of one program exchange it however each is compiled.
//
// TKA_BUILD names every flag that changes the code of a backend. Everything that computes stands in
// it, so that a file compiled for AVX2 and one that is not never share a function.
#define TKA_ABI v0_1

#if defined(__AVX512F__)
#define TKA_BUILD_LEVEL x86_avx512
#elif defined(__AVX2__)
#define TKA_BUILD_LEVEL x86_avx2
#elif defined(__AVX__)
#define TKA_BUILD_LEVEL x86_avx
#elif defined(__SSE4_2__)
#define TKA_BUILD_LEVEL x86_sse42
#elif defined(__SSE4_1__)
#define TKA_BUILD_LEVEL x86_sse41
#elif defined(__SSSE3__)
#define TKA_BUILD_LEVEL x86_ssse3
#elif defined(__SSE3__)
#define TKA_BUILD_LEVEL x86_sse3
#elif defined(__x86_64__)
#define TKA_BUILD_LEVEL x86
#elif defined(__aarch64__)
#define TKA_BUILD_LEVEL arm64
#else
#define TKA_BUILD_LEVEL other
#endif
#if defined(__FMA__)
#define TKA_BUILD_FMA _fma
#else
#define TKA_BUILD_FMA
#endif
#if defined(__F16C__)
#define TKA_BUILD_F16C _f16c
#else
#define TKA_BUILD_F16C
#endif
#if defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define TKA_BUILD_AVX512 _dqbwvl
#else
#define TKA_BUILD_AVX512
#endif
#if defined(EIGEN_DONT_VECTORIZE)
#define TKA_BUILD_EIGEN _plain
#elif defined(EIGEN_MAX_ALIGN_BYTES)
#define TKA_BUILD_EIGEN _aligned
#else
#define TKA_BUILD_EIGEN
#endif
#define TKA_BUILD_JOIN(a, b, c, d, e, ...) TKA_BUILD_PASTE(a, b, c, d, e, __VA_ARGS__)
#if defined(__CUDACC__) && defined(__CUDA_ARCH_LIST__)
// Lists of architectures are ascending numbers of three digits or four, so they need nothing
// between.
#define TKA_BUILD_PASTE(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, ...) \
  a##b##c##d##e##_cuda##f##g##h##i##j##k##l##m##n##o##p##q##r##s##t##u
#define TKA_BUILD                                                                  \
  TKA_BUILD_JOIN(TKA_BUILD_LEVEL, TKA_BUILD_FMA, TKA_BUILD_F16C, TKA_BUILD_AVX512, \
                 TKA_BUILD_EIGEN, __CUDA_ARCH_LIST__, , , , , , , , , , , , , , , , )
#else
#define TKA_BUILD_PASTE(a, b, c, d, e, ...) a##b##c##d##e
#define TKA_BUILD                                                                  \
  TKA_BUILD_JOIN(TKA_BUILD_LEVEL, TKA_BUILD_FMA, TKA_BUILD_F16C, TKA_BUILD_AVX512, \
                 TKA_BUILD_EIGEN, )
#endif

#if defined(__CUDACC__)
#define TKA_HOST_DEVICE __host__ __device__
#else
#define TKA_HOST_DEVICE
#endif

// Device code that few calls need, kept out of the way of what every call does. (Relocatable device
// code lets no kernel bound the registers of what it calls: there it is inlined.)
#if defined(__CUDACC_RDC__)
#define TKA_OUT_OF_LINE __attribute__((always_inline))
#else
#define TKA_OUT_OF_LINE __noinline__
#endif

// Functions of types that carry data are inlined wherever they are called: the linker never chooses
// among copies that were compiled for different processors.
#define TKA_INLINE TKA_HOST_DEVICE __attribute__((always_inline))
