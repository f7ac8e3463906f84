# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# The library that bench/cuda/decode.py loads. It holds its own CUDA runtime and alone in a folder
# with its stamp, so that the folder can be taken to a machine with a GPU.

set(TKA_BENCH_CUDA_ARCHITECTURE "90a" CACHE STRING "Compute capability of the benchmark library")
set(TKA_BENCH_CUDA_INSTANCES
    "attend/exact_radix/query_head;attend/exact_radix/kv_group;attend/bucketed/query_head;\
select/exact_radix/query_head;select/exact_radix/kv_group;\
attend_selected/exact_radix/query_head;attend_selected/exact_radix/kv_group"
    CACHE STRING "Instances (task/selection/scope) of the benchmark library")

set(instances "")
foreach(instance IN LISTS TKA_BENCH_CUDA_INSTANCES)
  string(REPLACE "/" ", " arguments ${instance})
  string(REPLACE "/" "_" name ${instance})
  set(file ${CMAKE_CURRENT_BINARY_DIR}/instances/${name}.cu)
  file(
    CONFIGURE
    OUTPUT ${file}
    CONTENT "#include \"instance.cuh\"\nTKA_BENCH_INSTANCE(${arguments})\n"
    @ONLY)
  list(APPEND instances ${file})
endforeach()

set(output ${PROJECT_BINARY_DIR}/bench/cuda)
add_library(tka_bench SHARED cuda/tka_bench.cu ${instances})
target_link_libraries(tka_bench PRIVATE tka::tka $<TARGET_NAME_IF_EXISTS:tka::cuda>)
target_include_directories(tka_bench PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/cuda)
set(architecture ${TKA_BENCH_CUDA_ARCHITECTURE})
# -std by hand: CMake before 3.26 does not know that nvcc has C++20.
target_compile_options(
  tka_bench
  PRIVATE "SHELL:-gencode arch=compute_${architecture},code=sm_${architecture}"
          -std=c++20 -lineinfo "SHELL:-Xcompiler=-Wall,-Wextra")
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
