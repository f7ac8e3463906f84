// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The macros of the library: all of them are here, all begin with TKA_.

#pragma once

#include <tka/version.hpp>

#if !defined(__cpp_concepts) || __cpp_concepts < 201907L
#error "tka needs C++20 with concepts: compile with -std=c++20 (g++ 11, clang 14 or newer)"
#endif

// Two translation units compiled for different instruction sets hold different code under one
// name. The inline namespace keeps them, and two versions of the library, apart at link time.
#if defined(__CUDACC__) && defined(__CUDA_ARCH_LIST__)
#define TKA_ABI_JOIN(a, b, c, d, ...) v0_1_cuda_##a##_##b##_##c##_##d
#define TKA_ABI_OF(...) TKA_ABI_JOIN(__VA_ARGS__, 0, 0, 0, 0)
#define TKA_ABI TKA_ABI_OF(__CUDA_ARCH_LIST__)
#elif defined(__AVX512F__)
#define TKA_ABI v0_1_avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define TKA_ABI v0_1_avx2
#else
#define TKA_ABI v0_1
#endif

#if defined(__CUDACC__)
#define TKA_HOST_DEVICE __host__ __device__
#else
#define TKA_HOST_DEVICE
#endif
