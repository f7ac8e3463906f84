# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# The library that bench/cuda/decode.py loads, and the program bench_matrix_cuda over it. They stand
# with their stamp in a folder that can be taken to a machine with a GPU, which needs no compiler.

set(TKA_BENCH_CUDA_ARCHITECTURE "90a" CACHE STRING "Compute capability of the benchmark library")
set(TKA_BENCH_CCCL "" CACHE PATH "A checkout of CCCL whose CUB bench_matrix_cuda compares with, not the toolkit's")

set(generated ${CMAKE_CURRENT_BINARY_DIR}/matrix_cuda)
# -D TKA_BENCH_CUDA_ONLY=...: of bench/matrix.py's combinations those that begin with one of these
# (task/selection/scope/precision/kv). Not kept: a build folder that was narrowed once makes all of
# them when it is configured without.
tka_bench_matrix(cuda ${generated} instances ${TKA_BENCH_CUDA_ONLY})
unset(TKA_BENCH_CUDA_ONLY CACHE)

set(output ${PROJECT_BINARY_DIR}/bench/cuda)
set(architecture ${TKA_BENCH_CUDA_ARCHITECTURE})
# -std by hand: CMake before 3.26 does not know that nvcc has C++20.
set(cuda_flags "SHELL:-gencode arch=compute_${architecture},code=sm_${architecture}" -std=c++20 -lineinfo
               "SHELL:-Xcompiler=-Wall,-Wextra")

add_library(tka_bench SHARED cuda/tka_bench.cu cuda/inputs.cu ${generated}/recorded_scores.cpp ${instances})
target_link_libraries(tka_bench PRIVATE tka::tka $<TARGET_NAME_IF_EXISTS:tka::cuda>)
target_include_directories(tka_bench PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/cuda)
target_compile_options(tka_bench PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_flags}>")
set_target_properties(
  tka_bench
  PROPERTIES CUDA_ARCHITECTURES OFF
             CUDA_RUNTIME_LIBRARY Static
             LIBRARY_OUTPUT_DIRECTORY ${output})
# PyTorch brings a runtime too, with the same names; neither may see the other's.
target_link_options(tka_bench PRIVATE LINKER:--exclude-libs,ALL LINKER:-Bsymbolic)

add_custom_target(
  bench_cuda ALL
  COMMAND
    ${CMAKE_COMMAND} -D SOURCE=${PROJECT_SOURCE_DIR} -D LIBRARY=$<TARGET_FILE:tka_bench> -D
    OUTPUT=${output}/build.json -D ARCHITECTURE=sm_${architecture} -D
    "COMPILER=${CMAKE_CUDA_COMPILER_ID} ${CMAKE_CUDA_COMPILER_VERSION}" -P
    ${CMAKE_CURRENT_SOURCE_DIR}/cuda/stamp.cmake
  DEPENDS tka_bench
  VERBATIM)

# The program is quietly left out where Google Benchmark is not found.
if(benchmark_FOUND)
  add_executable(bench_matrix_cuda cuda/matrix.cpp cuda/cub_peers.cu)
  target_link_libraries(bench_matrix_cuda PRIVATE tka::cuda tka_bench benchmark::benchmark)
  target_include_directories(bench_matrix_cuda PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${generated})
  target_compile_options(
    bench_matrix_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_flags}>"
                              $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wconversion;-Wno-sign-conversion>)
  if(TKA_BENCH_CCCL)
    target_include_directories(
      bench_matrix_cuda BEFORE
      PRIVATE ${TKA_BENCH_CCCL}/cub ${TKA_BENCH_CCCL}/libcudacxx/include ${TKA_BENCH_CCCL}/thrust)
  endif()
  set_target_properties(
    bench_matrix_cuda
    PROPERTIES CUDA_ARCHITECTURES OFF
               CUDA_RUNTIME_LIBRARY Static
               RUNTIME_OUTPUT_DIRECTORY ${output}
               INSTALL_RPATH "\$ORIGIN"
               BUILD_WITH_INSTALL_RPATH ON)
  get_target_property(kind benchmark::benchmark TYPE)
  if(kind STREQUAL "SHARED_LIBRARY")
    add_custom_command(
      TARGET bench_matrix_cuda
      POST_BUILD
      COMMAND ${CMAKE_COMMAND} -E copy_if_different $<TARGET_FILE:benchmark::benchmark>
              ${output}/$<TARGET_SONAME_FILE_NAME:benchmark::benchmark>
      VERBATIM)
  endif()
  add_dependencies(bench_cuda bench_matrix_cuda)
endif()
