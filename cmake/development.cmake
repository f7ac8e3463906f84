# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# What the tests, examples and benchmarks are compiled with, and no consumer is.

get_property(tka_multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(PROJECT_IS_TOP_LEVEL AND NOT tka_multi_config AND NOT CMAKE_BUILD_TYPE)
  set_property(CACHE CMAKE_BUILD_TYPE PROPERTY VALUE Release)
endif()

set(CMAKE_CXX_EXTENSIONS OFF)

# -Wno-sign-conversion: clang counts it to -Wconversion, g++ does not; indices here are signed.
add_library(tka_warnings INTERFACE)
target_compile_options(
  tka_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wno-sign-conversion;-Werror>)
# The host's side of CUDA sources: without -Wpedantic, which the compiler's own line markers break.
target_compile_options(
  tka_warnings INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Werror;-Werror=all-warnings>")

add_library(tka_development INTERFACE)
target_link_libraries(tka_development INTERFACE tka_warnings)
if(TKA_MARCH)
  target_compile_options(tka_development INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=${TKA_MARCH}>)
  # g++ before 13 takes the undefined registers of its own AVX-512 intrinsics for mistakes (PR 105593).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(
      tka_development INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-uninitialized;-Wno-maybe-uninitialized>)
  endif()
endif()
if(TKA_SANITIZE)
  target_compile_options(tka_development INTERFACE -fsanitize=${TKA_SANITIZE} -fno-sanitize-recover=all
                                                   -fno-omit-frame-pointer)
  target_link_options(tka_development INTERFACE -fsanitize=${TKA_SANITIZE})
endif()
